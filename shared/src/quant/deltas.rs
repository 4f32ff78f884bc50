//! Corrections of few bits a number to some rows of a matrix.

use super::format::Format;
use super::matrix::{QuantizedMatrix, QuantizedRows};
use crate::kernels::low_bits::Bits;

/// Corrections that are added to some rows of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Deltas {
    /// The place of each row of the matrix among `deltas`, or [`NONE`]. Empty while no row has a delta.
    places: Vec<u32>,
    matrix_rows: usize,
    deltas: QuantizedMatrix,
}

const NONE: u32 = u32::MAX;

impl Deltas {
    /// No deltas yet, for a matrix [rows, width].
    pub fn none(bits: Bits, [rows, width]: [usize; 2]) -> Self {
        let deltas = QuantizedMatrix::unfilled(Format::Delta(bits), 0, width);
        Self { places: Vec::new(), matrix_rows: rows, deltas }
    }

    /// Whether no row has a delta.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes the deltas of the rows from `first` on.
    ///
    /// # Panics
    /// If the matrix ends before.
    pub fn push(&mut self, first: usize, deltas: QuantizedRows<'_>) {
        self.places.resize(self.matrix_rows, NONE);
        let [next, _] = self.deltas.shape();
        for (place, delta) in self.places[first..][..deltas.len()].iter_mut().zip(next..) {
            *place = delta as u32;
        }
        self.deltas.push_rows(deltas);
    }

    /// Adds the delta of a row of the matrix to `sums`, if it has one.
    pub fn add_row(&self, row: usize, sums: &mut [f32]) {
        match self.places.get(row) {
            None | Some(&NONE) => {}
            Some(&place) => self.deltas.add_row(place as usize, sums),
        }
    }
}
