//! Tiles as plain loops, for any machine.

use super::super::factor::Tile;
use super::super::geometry::COLUMNS;

/// Sums of products of integers.
pub fn integers<W: Copy + Into<i32>, const R: usize>(
    x: Tile<'_, i16>,
    w: &[W],
    sums: &mut [[i32; COLUMNS]; R],
) {
    for (step, w) in w.chunks_exact(COLUMNS * 2).enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = x.step(R, r, step);
            let x = [i32::from(x[0]), i32::from(x[1])];
            for (sum, w) in sums.iter_mut().zip(w.chunks_exact(2)) {
                *sum += x[0] * w[0].into() + x[1] * w[1].into();
            }
        }
    }
}

/// Sums of products of floats, in the order of steps.
pub fn floats<const R: usize>(x: Tile<'_, f32>, w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
    let mut kept = [[0.0; COLUMNS]; R];
    for (step, w) in w.as_chunks::<COLUMNS>().0.iter().enumerate() {
        for (r, kept) in kept.iter_mut().enumerate() {
            let x = x.step(R, r, step)[0];
            for (sum, w) in kept.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
    }
    for (sum, kept) in sums.as_flattened_mut().iter_mut().zip(kept.as_flattened()) {
        *sum += kept;
    }
}
