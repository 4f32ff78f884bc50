//! Some rows of one tensor in every fold, on their way from the run to shards.

use std::ops::Range;

use super::packing::{FoldSet, Packer, Piece};
use super::shard::Shard;
use super::sink::flat;
use crate::quant::{Format, QuantizedMatrix};
use crate::{Error, Result};

/// Some rows of a tensor in every fold.
pub(super) struct Block<'a> {
    pub name: &'a str,
    /// The shape of the whole tensor.
    pub shape: &'a [usize],
    pub rows: Range<usize>,
    /// Whether all of the rows are cold; otherwise none is.
    pub cold: bool,
    /// Each fold's values [rows, width].
    pub versions: Vec<Vec<f32>>,
}

impl Block<'_> {
    /// # Errors
    /// If these are not as many values as the block has.
    pub fn check(&self, values: &[f32]) -> Result<()> {
        if values.len() == self.rows.len() * self.width() {
            return Ok(());
        }
        let (name, found) = (self.name.to_owned(), vec![values.len()]);
        Err(Error::TensorShape { name, expected: vec![self.rows.len(), self.width()], found })
    }

    pub fn width(&self) -> usize {
        let [_, width] = flat(self.shape);
        width
    }

    /// # Errors
    /// If a value cannot be encoded; the tensor is named.
    pub fn encode(&self, format: Format, values: &[f32]) -> Result<QuantizedMatrix> {
        QuantizedMatrix::encode(format, values, self.width()).map_err(|error| match error {
            Error::Bundle(reason) => Error::Bundle(format!("tensor `{}`: {reason}", self.name)),
            other => other,
        })
    }

    /// Packs some rows of the block for a set of folds: those at `places`, of `matrix`, which has all rows of the block.
    /// `ending` is added to the tensor's name.
    pub fn pack<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>>(
        &self,
        set: FoldSet,
        ending: &str,
        places: &[usize],
        matrix: &QuantizedMatrix,
        packer: &mut Packer<F>,
    ) -> Result<(), E> {
        let rows: Vec<usize> = places.iter().map(|place| self.rows.start + place).collect();
        let piece = Piece {
            name: &format!("{}{ending}", self.name),
            shape: self.shape,
            rows: &rows,
            cold: self.cold,
            matrix: &matrix.select_rows(places),
        };
        packer.add_rows(set, &piece)
    }
}
