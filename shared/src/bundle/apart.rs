//! Folds as a base and what sets each apart. They come from one pretrained model and have gone little ways from it, so
//! of the differences a few bits a number say nearly everything (for one model, down to one bit: J. Liu et al., "BitDelta: Your
//! Fine-Tune May Only Be Worth One Bit", <https://arxiv.org/abs/2402.10193>).
//!
//! A difference is that of the fold from the base as it is decoded, so that it mends the base's own rounding as well.

use super::encoding::shared_by_row;
use super::numbers::Numbers;
use super::packing::{FoldSet, Packer};
use super::writer::Block;
use super::{DELTA, Shard};
use crate::{Error, Result};

/// Rows that differ from the base by more than this share of their own energy (squares, over all folds) have no base to speak
/// of: heads that each fold began with random numbers. They are stored whole in each fold.
const FAR: f64 = 1.0 / 16.0;

/// A row whose numbers have moved by less than this share of its largest needs no delta: one of a word that no text has, which
/// weight decay alone has moved. It is an eighth of what rounding to int8 costs. What coarser bases lose is no measure, as what
/// training moves together counts for more than what rounding scatters.
const UNMOVED: f32 = 1.0 / 2048.0;

/// The rows of a block, told apart.
struct Apart {
    /// Stored whole in each fold.
    far: Vec<usize>,
    /// Rows that have a base.
    near: Vec<usize>,
    /// For each fold, which of `near` need a delta.
    moved: Vec<Vec<usize>>,
}

/// Stores the block's rows: `common` for all folds, and each fold's differences where `deltas` says as what.
pub(super) fn write<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>>(
    block: &Block<'_>,
    common: &[f32],
    numbers: Numbers,
    deltas: Option<Numbers>,
    packer: &mut Packer<F>,
) -> Result<(), E> {
    let encoded = block.encode(numbers, common)?;
    let mut base = vec![0.0; common.len()];
    numbers.add(&encoded.data, &encoded.scales, block.width(), &mut base);

    let Apart { far, near, moved } = apart(block, common, &base);
    let all = FoldSet::MAX >> (FoldSet::BITS as usize - block.versions.len());
    block.pack(all, "", numbers, &near, &encoded, packer)?;
    for (fold, (version, moved)) in block.versions.iter().zip(moved).enumerate() {
        if !far.is_empty() {
            block.pack(1 << fold, "", numbers, &far, &block.encode(numbers, version)?, packer)?;
        }
        let Some(numbers) = deltas.filter(|_| !moved.is_empty()) else { continue };
        let differences: Vec<f32> =
            version.iter().zip(&base).map(|(own, base)| own - base).collect();
        let encoded = block.encode(numbers, &differences)?;
        block.pack(1 << fold, DELTA, numbers, &moved, &encoded, packer)?;
    }
    Ok(())
}

/// The folds' mean. Its sums are in f64, so that of equal numbers it is that number.
pub(super) fn mean(versions: &[Vec<f32>]) -> Vec<f32> {
    let folds = versions.len() as f64;
    let at = |place| versions.iter().map(|version| f64::from(version[place])).sum::<f64>();
    (0..versions[0].len()).map(|place| (at(place) / folds) as f32).collect()
}

fn apart(block: &Block<'_>, common: &[f32], base: &[f32]) -> Apart {
    // Word embeddings are the same for all folds, so that folds in one memory have them there once.
    let may_be_far = !shared_by_row(block.name);
    let mut apart =
        Apart { far: Vec::new(), near: Vec::new(), moved: vec![Vec::new(); block.versions.len()] };
    for place in 0..block.rows.len() {
        let row = place * block.width()..(place + 1) * block.width();
        let (common, base) = (&common[row.clone()], &base[row.clone()]);
        let versions = block.versions.iter().map(|version| &version[row.clone()]);
        let energy_apart: f64 = versions.clone().map(|version| squares(version, base)).sum();
        let energy: f64 = versions.clone().flatten().map(|&x| f64::from(x).powi(2)).sum();
        if may_be_far && energy_apart > energy * FAR {
            apart.far.push(place);
            continue;
        }
        apart.near.push(place);
        let largest = common.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        for (version, moved) in versions.zip(&mut apart.moved) {
            let moves = version.iter().zip(common).map(|(own, common)| (own - common).abs());
            if moves.fold(0.0, f32::max) > largest * UNMOVED {
                moved.push(place);
            }
        }
    }
    apart
}

fn squares(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
