//! From the folds of a run to shards: tensors are encoded, what is equal in several folds is found, and each set of
//! folds gets shards of what is equal in just these. One tensor of all folds is in memory at a time, and one unfinished
//! shard a set of folds. The same run gives the same bytes.

use std::collections::BTreeMap;

use super::encoding::{Encoded, Numbers, shared_by_row};
use super::packing::{Packer, Piece};
use super::{Contents, Manifest, Shard};
use crate::tokenizer::{CompactTokenizer, TokenizerTensor};
use crate::{Error, Result};

/// A set of folds: bit f stands for the fold at place f.
pub(super) type FoldSet = u64;

/// Writes a bundle's shards and gives the manifest that names them, which says nothing of a verification yet.
///
/// `read` gives a tensor of a fold, by the fold's place and the tensor's name; `emit` takes each shard's bytes as soon as it
/// is full. There is a tokenizer a fold.
///
/// # Errors
/// Those of `read` and `emit`; if a tensor has not the size the config asks for or cannot be encoded; if a
/// manifest may not say what `contents` says.
pub fn write<E: From<Error>>(
    contents: Contents,
    tokenizers: &[CompactTokenizer],
    mut read: impl FnMut(usize, &str) -> Result<Vec<f32>, E>,
    emit: impl FnMut(&Shard, Vec<u8>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let folds = contents.folds.len();
    assert_eq!(tokenizers.len(), folds, "a tokenizer a fold");
    super::limits::check_contents(&contents)?;
    let mut packer = Packer::new(emit);
    for (set, tensor) in shared_tables(tokenizers) {
        packer.add_table(set, tensor)?;
    }
    for (name, shape) in contents.config.tensor_shapes(contents.labels.len()) {
        let numbers = contents.encoding.of(&name, &shape);
        let width = shape[1..].iter().product();
        let mut encoded = Vec::with_capacity(folds);
        for fold in 0..folds {
            let values = read(fold, &name)?;
            if values.len() != shape[0] * width {
                let found = vec![values.len()];
                return Err(Error::TensorShape { name, expected: shape, found }.into());
            }
            let rows = numbers.encode(&values, width);
            encoded.push(rows.map_err(|error| of_tensor(&name, error))?);
        }
        let tensor = Versions { numbers, width, rows: shape[0], encoded };
        for (set, rows) in tensor.sharing(shared_by_row(&name)) {
            let source = &tensor.encoded[set.trailing_zeros() as usize];
            let piece = Piece { name: &name, shape: &shape, numbers, source };
            packer.add_rows(set, &piece, &rows)?;
        }
    }
    Ok(Manifest::new(contents, packer.finish()?)?)
}

/// The tables of all tokenizers, each with the folds that have it.
fn shared_tables(tokenizers: &[CompactTokenizer]) -> Vec<(FoldSet, TokenizerTensor)> {
    let mut shared: Vec<(FoldSet, TokenizerTensor)> = Vec::new();
    for (fold, tokenizer) in tokenizers.iter().enumerate() {
        for tensor in tokenizer.to_tensors() {
            match shared.iter_mut().find(|(_, known)| *known == tensor) {
                Some((set, _)) => *set |= 1 << fold,
                None => shared.push((1 << fold, tensor)),
            }
        }
    }
    shared
}

/// One tensor in each fold.
struct Versions {
    numbers: Numbers,
    width: usize,
    rows: usize,
    encoded: Vec<Encoded>,
}

impl Versions {
    /// Which folds have which rows in common: every fold has each row in one of its sets.
    fn sharing(&self, by_row: bool) -> BTreeMap<FoldSet, Vec<usize>> {
        let mut sharing: BTreeMap<FoldSet, Vec<usize>> = BTreeMap::new();
        if !by_row {
            for set in self.equal_folds(|a, b| a == b) {
                sharing.insert(set, (0..self.rows).collect());
            }
            return sharing;
        }
        for row in 0..self.rows {
            let same = |a: &Encoded, b: &Encoded| {
                let (data, scale) = self.row(a, row);
                let (other_data, other_scale) = self.row(b, row);
                data == other_data && self.numbers.same_scale(scale, other_scale)
            };
            for set in self.equal_folds(same) {
                sharing.entry(set).or_default().push(row);
            }
        }
        sharing
    }

    /// The folds, parted into sets whose members are equal.
    fn equal_folds(&self, equal: impl Fn(&Encoded, &Encoded) -> bool) -> Vec<FoldSet> {
        let mut sets: Vec<FoldSet> = Vec::new();
        for (fold, version) in self.encoded.iter().enumerate() {
            let same = sets
                .iter_mut()
                .find(|set| equal(&self.encoded[set.trailing_zeros() as usize], version));
            match same {
                Some(set) => *set |= 1 << fold,
                None => sets.push(1 << fold),
            }
        }
        sets
    }

    fn row<'e>(&self, encoded: &'e Encoded, row: usize) -> (&'e [u8], &'e [u8]) {
        encoded.rows(self.numbers, self.width, row, 1)
    }
}

fn of_tensor(name: &str, error: Error) -> Error {
    match error {
        Error::Bundle(reason) => Error::Bundle(format!("tensor `{name}`: {reason}")),
        other => other,
    }
}
