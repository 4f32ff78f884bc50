//! Consecutive rows of a tensor, as one fold has them.

use std::sync::Arc;

use super::deltas::Deltas;
use super::matrix::QuantizedMatrix;
use crate::kernels::packed::PackedLinear;

/// Rows that several folds may share, and what one fold adds to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The shared rows.
    pub rows: Arc<QuantizedMatrix>,
    /// The fold's own corrections; `None` if folds with this encoding have none.
    pub deltas: Option<Deltas>,
}

impl Segment {
    /// Adds the numbers of a row, delta included, to `sums`.
    pub fn add_row(&self, row: usize, sums: &mut [f32]) {
        self.rows.add_row(row, sums);
        if let Some(deltas) = &self.deltas {
            deltas.add_row(row, sums);
        }
    }

    /// The weights of a linear layer: the decoded sums, rounded to integers anew.
    pub fn pack(&self) -> PackedLinear {
        let [_, width] = self.rows.shape();
        let mut values = self.rows.decode();
        if let Some(deltas) = &self.deltas {
            values
                .chunks_exact_mut(width)
                .enumerate()
                .for_each(|(row, sums)| deltas.add_row(row, sums));
        }
        PackedLinear::requantized(&values, width)
    }
}
