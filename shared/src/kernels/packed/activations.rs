//! Activations in the order in which tiles read them.

use std::ops::Range;

use super::geometry::ROWS;
use super::tile::{Factor, interleave_rows};

/// Tile after tile, [steps, rows, step]: the next `step` inputs of each of the tile's rows, then the next. There are
/// as few tiles as possible, and their numbers of rows differ by at most one.
pub struct Activations<F> {
    numbers: Vec<F>,
    /// `[rows]`
    scales: Vec<f32>,
    steps: usize,
}

impl<F: Factor> Activations<F> {
    /// x [rows, inputs], converted by [`Factor::convert`].
    pub fn new(x: &[f32], inputs: usize, qmax: i16) -> Self {
        Self::filled(x.len() / inputs, inputs, |row, factors| {
            F::convert(&x[row * inputs..][..inputs], qmax, factors)
        })
    }

    /// Factors [rows, inputs] that were converted before, with their `scales` `[rows]`.
    pub fn of(converted: &[F], scales: &[f32]) -> Self {
        let inputs = converted.len() / scales.len();
        Self::filled(scales.len(), inputs, |row, factors| {
            factors.copy_from_slice(&converted[row * inputs..][..inputs]);
            scales[row]
        })
    }

    /// `convert` writes a row and returns its scale.
    fn filled(rows: usize, inputs: usize, mut convert: impl FnMut(usize, &mut [F]) -> f32) -> Self {
        let steps = inputs.div_ceil(F::STEP);
        let width = steps * F::STEP;
        let mut numbers = vec![F::default(); rows * width];
        let mut scales = Vec::with_capacity(rows);
        // The end of a row, behind its inputs, stays zero.
        let mut converted = vec![F::default(); ROWS * width];
        for t in 0..tiles(rows) {
            let tile = rows_of(rows, t);
            let count = tile.len();
            for (row, converted) in tile.clone().zip(converted.chunks_exact_mut(width)) {
                scales.push(convert(row, &mut converted[..inputs]));
            }
            let numbers = &mut numbers[tile.start * width..tile.end * width];
            interleave_rows(&converted[..count * width], count, numbers);
        }
        Self { numbers, scales, steps }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// The scale of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The number of steps of a row.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The number of tiles.
    pub fn tiles(&self) -> usize {
        tiles(self.rows())
    }

    /// The rows of tile t.
    pub fn rows_of(&self, t: usize) -> Range<usize> {
        rows_of(self.rows(), t)
    }

    /// Some steps of tile t.
    pub fn tile(&self, t: usize, steps: &Range<usize>) -> &[F] {
        let rows = self.rows_of(t);
        let at = |step: usize| (rows.start * self.steps + step * rows.len()) * F::STEP;
        &self.numbers[at(steps.start)..at(steps.end)]
    }
}

/// The number of tiles of `rows` rows.
fn tiles(rows: usize) -> usize {
    rows.div_ceil(ROWS)
}

/// The rows of tile t, of `rows` in all.
fn rows_of(rows: usize, t: usize) -> Range<usize> {
    let tiles = tiles(rows);
    t * rows / tiles..(t + 1) * rows / tiles
}
