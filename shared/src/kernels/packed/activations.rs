//! Rows of activations in the order in which tiles read them.

use std::ops::Range;

use super::ROWS;
use super::tile::Factor;

/// Tile after tile, [steps, rows, step]: the next `step` inputs of each of the tile's rows, then the next. Only the
/// last tile may have fewer than [`ROWS`] rows.
pub struct Activations<F> {
    numbers: Vec<F>,
    /// One a row.
    scales: Vec<f32>,
    steps: usize,
}

impl<F: Factor> Activations<F> {
    /// x [rows, inputs], [converted](Factor::convert).
    pub fn new(x: &[f32], inputs: usize, largest: i16) -> Self {
        let (rows, steps) = (x.len() / inputs, inputs.div_ceil(F::STEP));
        let width = steps * F::STEP;
        let mut numbers = vec![F::default(); rows * width];
        let mut scales = Vec::with_capacity(rows);
        let mut row_numbers = vec![F::default(); width];
        for (x, tile) in x.chunks(ROWS * inputs).zip(numbers.chunks_mut(ROWS * width)) {
            let tile_rows = x.len() / inputs;
            for (r, x) in x.chunks_exact(inputs).enumerate() {
                scales.push(F::convert(x, largest, &mut row_numbers[..inputs]));
                F::scatter(&row_numbers, tile, r, tile_rows);
            }
        }
        Self { numbers, scales, steps }
    }

    /// Numbers [rows, inputs] that were converted before, with their scales.
    pub fn of(converted: &[F], scales: Vec<f32>) -> Self {
        let inputs = converted.len() / scales.len();
        let steps = inputs.div_ceil(F::STEP);
        let width = steps * F::STEP;
        let mut numbers = vec![F::default(); scales.len() * width];
        let mut padded = vec![F::default(); width];
        for (rows, tile) in converted.chunks(ROWS * inputs).zip(numbers.chunks_mut(ROWS * width)) {
            for (r, row) in rows.chunks_exact(inputs).enumerate() {
                padded[..inputs].copy_from_slice(row);
                F::scatter(&padded, tile, r, rows.len() / inputs);
            }
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

    /// Some steps of tile t.
    pub fn tile(&self, t: usize, steps: &Range<usize>) -> &[F] {
        let rows = ROWS.min(self.rows() - t * ROWS);
        let at = |step: usize| (t * ROWS * self.steps + step * rows) * F::STEP;
        &self.numbers[at(steps.start)..at(steps.end)]
    }
}
