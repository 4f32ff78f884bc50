//! What a manifest may ask for. The bounds lie far above every sound bundle and far below what would hang or kill
//! a browser's tab.

use std::collections::BTreeSet;

use super::account::Scores;
use super::encoding::{InMemory, WORD_EMBEDDINGS};
use super::manifest::Contents;
use super::numbers::{Numbers, width_of};
use super::{Encoding, LARGEST_SHARD, Shard, refuse};
use crate::model::DebertaConfig;
use crate::{LabelSet, Result};

pub(super) const MANIFEST_BYTES: usize = 2 << 20;
const FOLDS: usize = 64;
const SHARDS: usize = 8192;
const LABELS: usize = 256;
const LABEL_BYTES: usize = 200;
const TEXT_BYTES: usize = 2000;
const LAYERS: usize = 128;
const MAX_LEN: usize = 8192;

/// The address space of wasm32.
const RESIDENT_BYTES: u64 = 4 << 30;

/// A Unigram piece with its id, score and place, generously.
const TOKENIZER_BYTES_A_PIECE: u64 = 32;

/// The shard being read, its copy on the way, a charsmap, a batch of activations.
const WORKING_BYTES: u64 = 4 * LARGEST_SHARD;

/// Fails unless a bundle may hold this.
pub(super) fn check_contents(contents: &Contents) -> Result<()> {
    check_words(contents)?;
    check_scores(&contents.about.scores, &contents.labels)?;
    check_geometry(contents)?;
    check_hot_rows(contents)?;
    check_folds(&contents.folds)?;
    match &contents.about.provenance.averaged_folds {
        Some(averaged) if contents.folds.len() > 1 || averaged.len() > FOLDS => {
            refuse("it is said to hold averaged weights, which are of one model")
        }
        _ => Ok(()),
    }
}

fn check_words(contents: &Contents) -> Result<()> {
    let (about, labels) = (&contents.about, &contents.labels);
    let long = |text: &str| text.len() > TEXT_BYTES;
    if long(&about.title) || about.licence.as_deref().is_some_and(long) {
        return refuse(format!("title or licence is longer than {TEXT_BYTES} bytes"));
    }
    if labels.len() > LABELS || labels.names().iter().any(|name| name.len() > LABEL_BYTES) {
        return refuse(format!(
            "it has more than {LABELS} labels, or one longer than {LABEL_BYTES} bytes"
        ));
    }
    if contents.config.labels.as_ref() != Some(labels) {
        return refuse("the labels of its config are not its labels");
    }
    if contents.thresholds.values().len() != labels.len() {
        return refuse("it has not one threshold a label");
    }
    Ok(())
}

fn check_scores(scores: &Scores, labels: &LabelSet) -> Result<()> {
    if !scores.per_label.iter().map(|label| &label.label).eq(labels.names()) {
        return refuse("its scores are of other labels");
    }
    let of_label = scores
        .per_label
        .iter()
        .flat_map(|label| [Some(label.f1_at_half), Some(label.f1_tuned), label.f1_cross_fitted]);
    let mut all = of_label.chain([
        Some(scores.macro_f1_at_half),
        Some(scores.macro_f1_tuned),
        scores.macro_f1_cross_fitted,
    ]);
    match all.all(|score| score.is_none_or(|score| (0.0..=1.0).contains(&score))) {
        true => Ok(()),
        false => refuse("one of its scores is not within 0 to 1"),
    }
}

fn check_geometry(contents: &Contents) -> Result<()> {
    let (config, max_len) = (&contents.config, contents.max_len);
    if config.num_hidden_layers > LAYERS {
        return refuse(format!("its model has more than {LAYERS} layers"));
    }
    if !(2..=config.max_position_embeddings.min(MAX_LEN)).contains(&max_len) {
        return refuse(format!("its `max_len` is {max_len}, which its model cannot read"));
    }
    let bytes = resident_bytes(config, contents.labels.len(), contents.encoding);
    if bytes > RESIDENT_BYTES {
        return refuse(format!(
            "a fold would take {bytes} bytes of memory, a browser's tab has {RESIDENT_BYTES}"
        ));
    }
    Ok(())
}

fn check_hot_rows(contents: &Contents) -> Result<()> {
    let Some(hot_rows) = contents.hot_rows else { return Ok(()) };
    let all = contents.config.vocab_size;
    if !(1..all).contains(&hot_rows) {
        return refuse(format!("its `hot_rows` is {hot_rows}, which does not part {all} rows"));
    }
    if !contents.encoding.kept_encoded(WORD_EMBEDDINGS) {
        return refuse("it has `hot_rows`, but word embeddings in f32 come together");
    }
    Ok(())
}

fn check_folds(folds: &[usize]) -> Result<()> {
    let distinct: BTreeSet<&usize> = folds.iter().collect();
    if folds.is_empty() || folds.len() > FOLDS || distinct.len() != folds.len() {
        return refuse(format!("it must hold 1 to {FOLDS} different folds"));
    }
    Ok(())
}

/// Fails unless these may be its shards.
pub(super) fn check_shards(contents: &Contents, shards: &[Shard]) -> Result<()> {
    if shards.len() > SHARDS {
        return refuse(format!("it has more than {SHARDS} shards"));
    }
    let folds = contents.folds.len();
    shards.iter().try_for_each(|shard| shard.check(folds))?;
    let distinct: BTreeSet<&str> = shards.iter().map(|shard| &*shard.sha256).collect();
    if distinct.len() != shards.len() {
        return refuse("it names a shard twice");
    }
    if !shards.is_sorted_by_key(|shard| shard.cold) {
        return refuse("one of its cold shards does not come last");
    }
    let (hot, cold) = stored_bytes(contents);
    for fold in 0..folds {
        let bytes = |cold: bool| -> u64 {
            let of_fold = shards.iter().filter(|shard| shard.folds.contains(&fold));
            of_fold.filter(|shard| shard.cold == cold).map(|shard| shard.bytes).sum()
        };
        check_bytes(fold, "", bytes(false), Some(hot))?;
        check_bytes(fold, "cold ", bytes(true), cold)?;
    }
    Ok(())
}

/// `most`: `None` where there may be none.
fn check_bytes(fold: usize, kind: &str, bytes: u64, most: Option<u64>) -> Result<()> {
    match most {
        None if bytes == 0 => Ok(()),
        Some(most) if (1..=most).contains(&bytes) => Ok(()),
        _ => refuse(format!(
            "the {kind}shards of fold {fold} have {bytes} bytes, which is not what its model needs"
        )),
    }
}

/// What one loaded fold takes: linear weights as f32 or whole numbers, the word embeddings as they are stored, the projections of the
/// relative positions, the tokenizer, and room to work in. The layers must be within bounds.
pub(super) fn resident_bytes(config: &DebertaConfig, labels: usize, encoding: Encoding) -> u64 {
    let tensors = config.tensor_shapes(labels).into_iter().map(|(name, shape)| {
        match (encoding.in_memory(&name, &shape), encoding.of(&name, &shape)) {
            (InMemory::Encoded, _) => {
                common(&name, &shape, encoding).saturating_add(own(&name, &shape, encoding))
            }
            (InMemory::Packed, numbers @ Numbers::Int8) => rows_bytes(numbers, &shape),
            (InMemory::Packed, Numbers::Int12) => rows_bytes(Numbers::Int16, &shape),
            // As it is stored until all of it has come.
            (InMemory::PackedFinely, _) => rows_bytes(Numbers::Int16, &shape)
                .saturating_add(common(&name, &shape, encoding))
                .saturating_add(own(&name, &shape, encoding)),
            _ => product(&shape).saturating_mul(4),
        }
    });
    let terms = usize::from(config.has_c2p()) + usize::from(config.has_p2c());
    let projections = product(&[
        config.relative_rows(),
        config.hidden_size,
        config.num_hidden_layers,
        terms,
        size_of::<f32>(),
    ]);
    tensors
        .chain([projections, tokenizer_bytes(config), WORKING_BYTES])
        .fold(0, u64::saturating_add)
}

/// What of it is there already where another fold of the bundle is: word embeddings that all folds have in common.
pub(super) fn common_bytes(config: &DebertaConfig, labels: usize, encoding: Encoding) -> u64 {
    let tensors = config.tensor_shapes(labels).into_iter();
    let shared = tensors.filter(|(name, _)| encoding.has_deltas() && encoding.kept_encoded(name));
    shared.map(|(name, shape)| common(&name, &shape, encoding)).fold(0, u64::saturating_add)
}

/// The most that the shards of one fold may have: its tensors, each in a shard of its own if need be; and if word embeddings are
/// parted, the most that its cold shards may have.
fn stored_bytes(contents: &Contents) -> (u64, Option<u64>) {
    let Contents { config, encoding, hot_rows, .. } = contents;
    let stored = |name: &str, shape: &[usize]| {
        common(name, shape, *encoding).saturating_add(own(name, shape, *encoding))
    };
    let mut cold = None;
    let tensors =
        config.tensor_shapes(contents.labels.len()).into_iter().map(|(name, mut shape)| {
            if let Some(hot_rows) = hot_rows.filter(|_| name == WORD_EMBEDDINGS) {
                let others = [shape[0] - hot_rows, shape[1]];
                cold = Some(stored(&name, &others).saturating_add(WORKING_BYTES));
                shape[0] = hot_rows;
            }
            stored(&name, &shape)
        });
    let hot = tensors.chain([tokenizer_bytes(config), WORKING_BYTES]).fold(0, u64::saturating_add);
    (hot, cold)
}

/// Bytes of a tensor, or its base.
fn common(name: &str, shape: &[usize], encoding: Encoding) -> u64 {
    rows_bytes(encoding.of(name, shape), shape)
}

/// Bytes of the deltas beside a base, if every row has one.
fn own(name: &str, shape: &[usize], encoding: Encoding) -> u64 {
    encoding.delta_of(name, shape).map_or(0, |numbers| rows_bytes(numbers, shape))
}

/// With two u32 a row: it may be a run of its own.
fn rows_bytes(numbers: Numbers, shape: &[usize]) -> u64 {
    let width = width_of(shape);
    let row = numbers.row_bytes(width).saturating_add(numbers.scale_bytes(width)) as u64;
    row.saturating_add(8).saturating_mul(shape[0] as u64)
}

fn tokenizer_bytes(config: &DebertaConfig) -> u64 {
    TOKENIZER_BYTES_A_PIECE.saturating_mul(config.vocab_size as u64)
}

fn product(numbers: &[usize]) -> u64 {
    numbers.iter().fold(1_u64, |product, &number| product.saturating_mul(number as u64))
}
