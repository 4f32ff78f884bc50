//! Rows of activations in the order in which tiles read them.

use std::ops::Range;

use super::ROWS;
use super::tile::{Factor, interleave_rows};

/// Tile after tile, [steps, rows, step]: the next `step` inputs of each of the tile's rows, then the next. There are
/// as few tiles as can be, and their rows differ by one at most.
pub struct Activations<F> {
    numbers: Vec<F>,
    /// One a row.
    scales: Vec<f32>,
    steps: usize,
}

impl<F: Factor> Activations<F> {
    /// x [rows, inputs], [converted](Factor::convert).
    pub fn new(x: &[f32], inputs: usize, largest: i16) -> Self {
        Self::filled(x.len() / inputs, inputs, |row, factors| {
            F::convert(&x[row * inputs..][..inputs], largest, factors)
        })
    }

    /// Numbers [rows, inputs] that were converted before, with their scales.
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
        // What lies beyond a row's inputs stays zero.
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

    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

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

/// How many tiles so many rows are.
fn tiles(rows: usize) -> usize {
    rows.div_ceil(ROWS)
}

/// Those of `rows` rows that are tile t.
fn rows_of(rows: usize, t: usize) -> Range<usize> {
    let tiles = tiles(rows);
    t * rows / tiles..(t + 1) * rows / tiles
}
