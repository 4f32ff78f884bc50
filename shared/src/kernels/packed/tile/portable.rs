//! Tiles as plain loops, for any machine.

use super::super::geometry::COLUMNS;

/// Sums of products of integers.
pub fn integers<W: Copy + Into<i32>, const R: usize>(
    x: &[i16],
    w: &[W],
    sums: &mut [[i32; COLUMNS]; R],
) {
    for (x, w) in x.chunks_exact(R * 2).zip(w.chunks_exact(COLUMNS * 2)) {
        for (sums, x) in sums.iter_mut().zip(x.chunks_exact(2)) {
            let x = [i32::from(x[0]), i32::from(x[1])];
            for (sum, w) in sums.iter_mut().zip(w.chunks_exact(2)) {
                *sum += x[0] * w[0].into() + x[1] * w[1].into();
            }
        }
    }
}

/// Sums of products of floats. It is inlined, so that its loop is compiled for the instruction set of its caller.
#[inline(always)]
pub fn floats<const R: usize>(x: &[f32], w: &[f32], sums: &mut [[f32; COLUMNS]; R]) {
    for (x, w) in x.chunks_exact(R).zip(w.chunks_exact(COLUMNS)) {
        for (sums, x) in sums.iter_mut().zip(x) {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
    }
}
