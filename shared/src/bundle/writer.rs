//! From the folds of a run to shards: tensors are encoded, what folds have in common is found (equal rows here, a base
//! and what sets each fold apart in `apart`), and each set of folds gets shards of what belongs to just these. Of all folds
//! some rows are in memory at a time, and one unfinished shard a set of folds. The same run gives the same bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::apart;
use super::encoding::{WORD_EMBEDDINGS, shared_by_row};
use super::numbers::{Encoded, Numbers, width_of};
use super::packing::{FoldSet, Packer, Piece};
use super::{Contents, Manifest, Shard};
use crate::tokenizer::{CompactTokenizer, TokenizerTensor};
use crate::{Error, Result};

/// Numbers of a fold's table that are in memory at a time, where its rows stand for themselves.
const BLOCK_NUMBERS: usize = 4 << 20;

/// Whose tensors are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of the fold at this place.
    Fold(usize),
    /// Of what the folds have in common ([`Base`]).
    Base,
}

/// What folds are told apart from, where an encoding has deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The model that all were trained from, read as [`Whose::Base`]. A tensor that it lacks is each fold's own.
    Ancestor,
    /// The folds' mean: nearer to them, but each fold has then a little of the others, which were trained on the rows that it
    /// held out. Its scores on them are too good.
    Mean,
}

/// Some rows of a tensor in every fold.
pub(super) struct Block<'a> {
    pub name: &'a str,
    /// Of the whole tensor.
    pub shape: &'a [usize],
    pub rows: Range<usize>,
    /// Whether they are cold: all of a block are, or none.
    pub cold: bool,
    /// A fold's numbers, row by row.
    pub versions: Vec<Vec<f32>>,
}

/// Writes a bundle's shards and gives the manifest that names them, which says nothing of a verification yet.
///
/// `read` gives rows of a tensor, by whose it is, its name and which rows (a vector's have one number): each that a fold is asked
/// for, and of the base those that there are. `emit` takes each shard's bytes as soon as it is full. There is a tokenizer a fold.
///
/// # Errors
/// Those of `read` and `emit`; if a tensor has not the size the config asks for or cannot be encoded; if a
/// manifest may not say what `contents` says.
pub fn write<E: From<Error>>(
    contents: Contents,
    tokenizers: &[CompactTokenizer],
    base: Base,
    mut read: impl FnMut(Whose, &str, Range<usize>) -> Result<Option<Vec<f32>>, E>,
    emit: impl FnMut(&Shard, Vec<u8>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let (folds, encoding) = (contents.folds.len(), contents.encoding);
    assert_eq!(tokenizers.len(), folds, "a tokenizer a fold");
    super::limits::check_contents(&contents)?;
    let mut packer = Packer::new(emit);
    for (set, tensor) in shared_tables(tokenizers) {
        packer.add_table(set, tensor)?;
    }
    for (name, shape) in contents.config.tensor_shapes(contents.labels.len()) {
        let (all, by_row) = (shape[0], shared_by_row(&name));
        let step = if by_row { (BLOCK_NUMBERS / width_of(&shape)).max(1) } else { all };
        let hot = contents.hot_rows.filter(|_| name == WORD_EMBEDDINGS).unwrap_or(all);
        let hot_blocks = (0..hot).step_by(step).map(|first| first..hot.min(first + step));
        let cold_blocks = (hot..all).step_by(step).map(|first| first..all.min(first + step));
        for rows in hot_blocks.chain(cold_blocks) {
            let cold = rows.start >= hot;
            let mut versions = Vec::with_capacity(folds);
            for fold in 0..folds {
                let version = read(Whose::Fold(fold), &name, rows.clone())?;
                versions.push(version.ok_or_else(|| Error::MissingTensor { name: name.clone() })?);
            }
            let block = Block { name: &name, shape: &shape, rows, cold, versions };
            block.versions.iter().try_for_each(|version| block.check(version))?;
            let common = match base {
                _ if !encoding.has_base(&name, &shape) => None,
                Base::Ancestor => read(Whose::Base, &name, block.rows.clone())?,
                Base::Mean => Some(apart::mean(&block.versions)),
            };
            let numbers = encoding.of(&name, &shape);
            match common {
                Some(common) => {
                    block.check(&common)?;
                    let deltas = encoding.delta_of(&name, &shape);
                    apart::write(&block, &common, numbers, deltas, &mut packer)?;
                }
                None => write_whole(&block, numbers, by_row, &mut packer)?,
            }
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

/// Stores what each fold has, once for all that have the same.
fn write_whole<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>>(
    block: &Block<'_>,
    numbers: Numbers,
    by_row: bool,
    packer: &mut Packer<F>,
) -> Result<(), E> {
    let encoded = block.versions.iter().map(|version| block.encode(numbers, version));
    let encoded = encoded.collect::<Result<Vec<_>>>()?;
    let versions = Versions { numbers, width: block.width(), rows: block.rows.len(), encoded };
    for (set, places) in versions.sharing(by_row) {
        let source = &versions.encoded[set.trailing_zeros() as usize];
        block.pack(set, "", numbers, &places, source, packer)?;
    }
    Ok(())
}

impl Block<'_> {
    fn check(&self, version: &[f32]) -> Result<()> {
        if version.len() == self.rows.len() * self.width() {
            return Ok(());
        }
        let (name, found) = (self.name.to_owned(), vec![version.len()]);
        Err(Error::TensorShape { name, expected: vec![self.rows.len(), self.width()], found })
    }

    pub fn width(&self) -> usize {
        width_of(self.shape)
    }

    /// # Errors
    /// If a number cannot be encoded; the tensor is named.
    pub fn encode(&self, numbers: Numbers, rows: &[f32]) -> Result<Encoded> {
        numbers.encode(rows, self.width()).map_err(|error| match error {
            Error::Bundle(reason) => Error::Bundle(format!("tensor `{}`: {reason}", self.name)),
            other => other,
        })
    }

    /// Packs those of the block's encoded rows that are at `places`, for the tensor called so with `ending`.
    pub fn pack<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>>(
        &self,
        set: FoldSet,
        ending: &str,
        numbers: Numbers,
        places: &[usize],
        encoded: &Encoded,
        packer: &mut Packer<F>,
    ) -> Result<(), E> {
        let rows: Vec<usize> = places.iter().map(|place| self.rows.start + place).collect();
        let selected = encoded.select(numbers, self.width(), places);
        let name = format!("{}{ending}", self.name);
        let (name, shape) = (&*name, self.shape);
        let (rows, cold) = (&*rows, self.cold);
        packer.add_rows(set, &Piece { name, shape, numbers, rows, cold, encoded: &selected })
    }
}

/// Rows of one tensor in each fold.
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
