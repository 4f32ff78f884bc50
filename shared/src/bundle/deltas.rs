//! Folds as a common base and deltas. Folds come from one pretrained model and stay near it, so a few bits a number store
//! their differences nearly completely (for one model, down to one bit: J. Liu et al., "BitDelta: Your Fine-Tune May Only Be
//! Worth One Bit", <https://arxiv.org/abs/2402.10193>).
//!
//! A delta is the difference of the fold from the decoded base, so it corrects the rounding of the base as well.

use super::block::Block;
use super::encoding::is_shared_by_row;
use super::names::DELTA;
use super::packing::{FoldSet, Packer};
use super::shard::Shard;
use crate::kernels::low_bits::Bits;
use crate::quant::Format;
use crate::{Error, Result};

/// Rows whose differences from the base have more than this share of their own energy (sum of squares over all folds) have no
/// useful base, such as a head that each fold began with random numbers. Each fold stores its own.
const FAR: f64 = 1.0 / 16.0;

/// A row whose numbers have moved by less than this share of the largest needs no delta: a word that no text has, which only
/// weight decay has moved. This is an eighth of what rounding to int8 costs. Coarser formats set no larger limit, as moves
/// that training makes together count for more than the scattered ones of rounding.
const UNMOVED: f32 = 1.0 / 2048.0;

/// The rows of a block by how they are stored.
struct Sorted {
    /// Rows that each fold stores for itself.
    far: Vec<usize>,
    /// Rows with a common base.
    near: Vec<usize>,
    /// The tensors of `near` that need a delta, for each fold.
    moved: Vec<Vec<usize>>,
}

/// Stores the block's rows: `common` in `format` for all folds, and each fold's deltas, if `bits` says how fine.
pub(super) fn write<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>>(
    block: &Block<'_>,
    common: &[f32],
    format: Format,
    bits: Option<Bits>,
    packer: &mut Packer<F>,
) -> Result<(), E> {
    let encoded = block.encode(format, common)?;
    let base = encoded.decode();

    let Sorted { far, near, moved } = sort(block, common, &base);
    let all = FoldSet::MAX >> (FoldSet::BITS as usize - block.versions.len());
    block.pack(all, "", &near, &encoded, packer)?;
    for (fold, (version, moved)) in block.versions.iter().zip(moved).enumerate() {
        if !far.is_empty() {
            block.pack(1 << fold, "", &far, &block.encode(format, version)?, packer)?;
        }
        let Some(bits) = bits.filter(|_| !moved.is_empty()) else { continue };
        let differences: Vec<f32> =
            version.iter().zip(&base).map(|(own, base)| own - base).collect();
        let deltas = block.encode(Format::Delta(bits), &differences)?;
        block.pack(1 << fold, DELTA, &moved, &deltas, packer)?;
    }
    Ok(())
}

/// The mean of models, summed in f64: the mean of equal numbers is that number.
pub(super) fn mean(versions: &[Vec<f32>]) -> Vec<f32> {
    let folds = versions.len() as f64;
    let at = |place| versions.iter().map(|version| f64::from(version[place])).sum::<f64>();
    (0..versions[0].len()).map(|place| (at(place) / folds) as f32).collect()
}

fn sort(block: &Block<'_>, common: &[f32], base: &[f32]) -> Sorted {
    // Word embeddings always have a base, so that folds in one memory share them.
    let may_be_far = !is_shared_by_row(block.name);
    let mut sorted =
        Sorted { far: Vec::new(), near: Vec::new(), moved: vec![Vec::new(); block.versions.len()] };
    for place in 0..block.rows.len() {
        let row = place * block.width()..(place + 1) * block.width();
        let (common, base) = (&common[row.clone()], &base[row.clone()]);
        let versions = block.versions.iter().map(|version| &version[row.clone()]);
        let energy_apart: f64 = versions.clone().map(|version| squares(version, base)).sum();
        let energy: f64 = versions.clone().flatten().map(|&x| f64::from(x).powi(2)).sum();
        if may_be_far && energy_apart > energy * FAR {
            sorted.far.push(place);
            continue;
        }
        sorted.near.push(place);
        let largest = common.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        for (version, moved) in versions.zip(&mut sorted.moved) {
            let moves = version.iter().zip(common).map(|(own, common)| (own - common).abs());
            if moves.fold(0.0, f32::max) > largest * UNMOVED {
                moved.push(place);
            }
        }
    }
    sorted
}

fn squares(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
