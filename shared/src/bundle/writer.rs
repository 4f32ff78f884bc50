//! Writes the folds of a run, and its final model, as shards. Tensors are quantized, what models share is found (equal rows here,
//! a common base in `deltas`), and each set of models gets shards of what just these models share. A few rows of all models are in
//! memory at a time, and one unfinished shard for each set of models. The same run gives the same bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::block::Block;
use super::contents::Contents;
use super::encoding::is_shared_by_row;
use super::manifest::Manifest;
use super::packing::{FoldSet, Packer};
use super::shard::{FinalShards, Shard};
use super::sink::flat;
use super::{deltas, limits};
use crate::model::WORD_EMBEDDINGS;
use crate::quant::{Format, QuantizedMatrix};
use crate::tokenizer::{CompactTokenizer, TokenizerTensor};
use crate::{Error, Result};

/// Numbers of each fold's word embeddings that are in memory at a time.
const BLOCK_NUMBERS: usize = 4 << 20;

/// Whose tensors are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The tensors of the fold at this index of [`Contents::folds`].
    Fold(usize),
    /// The tensors of the final model.
    Final,
    /// The tensors of the folds' common [`Base`].
    Base,
}

/// The base that deltas are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The model that all folds were trained from, read as [`Whose::Base`]. Each fold stores the tensors that it lacks.
    Ancestor,
    /// The folds' mean. It is nearer to the folds, but gives each fold a little of the others, which were trained on the
    /// rows that it held out, so that its scores on those are too good.
    Mean,
}

/// Writes a bundle's shards and returns the manifest that lists them, which has no verification yet.
///
/// `read` returns rows [rows, width] of a tensor, given whose it is, its name and which rows; each row of a vector is one
/// number. A model must have every tensor, the base need not. `emit` takes the bytes of each shard as soon as it is full. There
/// is one tokenizer for each fold, and the last one is the final model's, if there is one.
///
/// # Errors
/// Those of `read` and `emit`; if a tensor does not have the size that the config asks for or cannot be encoded; if
/// `contents` are not allowed in a manifest.
pub fn write<E: From<Error>>(
    contents: Contents,
    tokenizers: &[CompactTokenizer],
    base: Base,
    mut read: impl FnMut(Whose, &str, Range<usize>) -> Result<Option<Vec<f32>>, E>,
    emit: impl FnMut(&Shard, Vec<u8>) -> Result<(), E>,
) -> Result<Manifest, E> {
    let (folds, encoding) = (contents.folds.len(), contents.encoding);
    let whose: Vec<Whose> =
        (0..folds).map(Whose::Fold).chain(contents.final_model.then_some(Whose::Final)).collect();
    assert_eq!(tokenizers.len(), whose.len(), "a tokenizer for each model");
    limits::check_contents(&contents)?;
    let mut packer = Packer::new(emit);
    for (set, tensor) in shared_tables(tokenizers) {
        packer.add_table(set, tensor)?;
    }
    for (name, shape) in contents.config.tensor_shapes(contents.labels.len()) {
        let ([all, width], by_row) = (flat(&shape), is_shared_by_row(&name));
        let step = if by_row { (BLOCK_NUMBERS / width).max(1) } else { all };
        let hot = contents.hot_rows.filter(|_| name == WORD_EMBEDDINGS).unwrap_or(all);
        let hot_blocks = (0..hot).step_by(step).map(|first| first..hot.min(first + step));
        let cold_blocks = (hot..all).step_by(step).map(|first| first..all.min(first + step));
        for rows in hot_blocks.chain(cold_blocks) {
            let cold = rows.start >= hot;
            let mut versions = Vec::with_capacity(whose.len());
            for &whose in &whose {
                let version = read(whose, &name, rows.clone())?;
                versions.push(version.ok_or_else(|| Error::MissingTensor { name: name.clone() })?);
            }
            let block = Block { name: &name, shape: &shape, rows, cold, versions };
            block.versions.iter().try_for_each(|version| block.check(version))?;
            let common = match base {
                _ if !encoding.has_base(&name, &shape) => None,
                Base::Ancestor => read(Whose::Base, &name, block.rows.clone())?,
                Base::Mean => Some(deltas::mean(&block.versions[..folds])),
            };
            match common {
                Some(common) => {
                    block.check(&common)?;
                    let format = encoding.format_of(&name, &shape);
                    let bits = encoding.delta_bits(&name, &shape);
                    deltas::write(&block, &common, format, bits, &mut packer)?;
                }
                None => {
                    let format = encoding.format_for(&name, &shape, &block.versions);
                    write_versions(&block, format, by_row, &mut packer)?;
                }
            }
        }
    }
    let (shards, final_shards) = split(packer.finish()?, folds);
    Ok(Manifest::new(contents, shards, final_shards)?)
}

/// The shards of the folds, and those of the final model, which the writer counts as one more fold.
fn split(shards: Vec<Shard>, folds: usize) -> (Vec<Shard>, FinalShards) {
    let (mut of_folds, mut of_final) = (Vec::new(), FinalShards::default());
    for mut shard in shards {
        let is_final = shard.folds.pop_if(|last| *last == folds).is_some();
        if shard.folds.is_empty() {
            of_final.own.push(shard);
            continue;
        }
        if is_final {
            of_final.shared.push(of_folds.len());
        }
        of_folds.push(shard);
    }
    (of_folds, of_final)
}

/// The tables of all tokenizers, each with the set of folds that have it.
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

/// Stores each fold's rows, equal ones once.
fn write_versions<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>>(
    block: &Block<'_>,
    format: Format,
    by_row: bool,
    packer: &mut Packer<F>,
) -> Result<(), E> {
    let versions = block.versions.iter().map(|version| block.encode(format, version));
    let versions = versions.collect::<Result<Vec<_>>>()?;
    for (set, places) in sharing(&versions, by_row) {
        let source = &versions[set.trailing_zeros() as usize];
        block.pack(set, "", &places, source, packer)?;
    }
    Ok(())
}

/// The rows that each set of folds shares. Every fold has each row in one of its sets.
fn sharing(versions: &[QuantizedMatrix], by_row: bool) -> BTreeMap<FoldSet, Vec<usize>> {
    let [rows, _] = versions[0].shape();
    let mut sharing: BTreeMap<FoldSet, Vec<usize>> = BTreeMap::new();
    if !by_row {
        for set in equal_folds(versions, |a, b| a == b) {
            sharing.insert(set, (0..rows).collect());
        }
        return sharing;
    }
    for row in 0..rows {
        let equal = |a: &QuantizedMatrix, b: &QuantizedMatrix| {
            a.slice_rows(row..row + 1).is_nearly(b.slice_rows(row..row + 1))
        };
        for set in equal_folds(versions, equal) {
            sharing.entry(set).or_default().push(row);
        }
    }
    sharing
}

/// The folds in sets whose members are equal.
fn equal_folds(
    versions: &[QuantizedMatrix],
    equal: impl Fn(&QuantizedMatrix, &QuantizedMatrix) -> bool,
) -> Vec<FoldSet> {
    let mut sets: Vec<FoldSet> = Vec::new();
    for (fold, version) in versions.iter().enumerate() {
        let same =
            sets.iter_mut().find(|set| equal(&versions[set.trailing_zeros() as usize], version));
        match same {
            Some(set) => *set |= 1 << fold,
            None => sets.push(1 << fold),
        }
    }
    sets
}
