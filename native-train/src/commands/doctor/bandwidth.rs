//! The bandwidth of memory: how fast all threads copy blocks that no cache holds.

use std::time::Instant;

use rayon::prelude::*;

/// Bytes of the block that is copied.
const BYTES: usize = 256 << 20;
const ROUNDS: usize = 5;

/// Returns the bytes that are read and written a second, in 10^9: the best of some rounds.
pub fn of_copies() -> f64 {
    let source = vec![1_u64; BYTES / 8];
    let mut target = vec![0_u64; BYTES / 8];
    let part = source.len().div_ceil(rayon::current_num_threads());
    let round = |target: &mut [u64]| {
        let begin = Instant::now();
        target
            .par_chunks_mut(part)
            .zip(source.par_chunks(part))
            .for_each(|(to, from)| to.copy_from_slice(from));
        begin.elapsed().as_secs_f64()
    };
    round(&mut target); // the pages are made
    let best = (0..ROUNDS).map(|_| round(&mut target)).fold(f64::INFINITY, f64::min);
    assert!(std::hint::black_box(&target).iter().all(|&word| word == 1), "they were copied");
    2.0 * BYTES as f64 / best / 1e9
}
