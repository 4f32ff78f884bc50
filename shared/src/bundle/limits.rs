//! The most that a manifest may ask for: far above every sound bundle, far below what would hang or kill a browser's tab.

use std::collections::BTreeSet;

use super::account::{Interval, LabelScores, Scores};
use super::contents::Contents;
use super::encoding::{Encoding, Residency};
use super::names::refuse;
use super::shard::{FinalShards, LARGEST_SHARD, Shard};
use super::sink::flat;
use crate::model::{DebertaConfig, WORD_EMBEDDINGS};
use crate::quant::{Format, Operand};
use crate::{LabelSet, Result};

/// The most bytes of a `manifest.json`.
pub const MANIFEST_BYTES: usize = 2 << 20;

const FOLDS: usize = 64;
const SHARDS: usize = 8192;
const LABELS: usize = 256;
const LABEL_BYTES: usize = 200;
const BINS: usize = 100;
const TEXT_BYTES: usize = 2000;
const LAYERS: usize = 128;
const MAX_LEN: usize = 8192;

/// The address space of wasm32.
const RESIDENT_BYTES: u64 = 4 << 30;

/// A Unigram piece with its id, score and offset, generously.
const TOKENIZER_BYTES_A_PIECE: u64 = 32;

/// The shard being read, a copy of it, a charsmap, and a batch of activations.
const WORKING_BYTES: u64 = 4 * LARGEST_SHARD;

/// Checks that a bundle may hold this.
pub(super) fn check_contents(contents: &Contents) -> Result<()> {
    check_words(contents)?;
    check_scores(&contents.about.scores, &contents.labels)?;
    check_geometry(contents)?;
    check_hot_rows(contents)?;
    check_folds(&contents.folds)?;
    let models = contents.folds.len() + usize::from(contents.final_model);
    match &contents.about.provenance.averaged_folds {
        Some(averaged) if models > 1 || averaged.len() > FOLDS => {
            refuse("`averaged_folds` is for a bundle of one model, averaged over at most 64 folds")
        }
        _ if contents.about.provenance.final_model && models > 1 => {
            refuse("`final_model` in `provenance` is for a bundle of one model")
        }
        _ if models > FOLDS => {
            refuse(format!("there are more than {FOLDS} models, the final model counted"))
        }
        _ => Ok(()),
    }
}

fn check_words(contents: &Contents) -> Result<()> {
    let (about, labels) = (&contents.about, &contents.labels);
    let long = |text: &str| text.len() > TEXT_BYTES;
    if long(&about.title) || about.license.as_deref().is_some_and(long) {
        return refuse(format!("`title` or `license` is longer than {TEXT_BYTES} bytes"));
    }
    if labels.len() > LABELS || labels.names().iter().any(|name| name.len() > LABEL_BYTES) {
        return refuse(format!(
            "there are more than {LABELS} labels, or one is longer than {LABEL_BYTES} bytes"
        ));
    }
    if contents.config.labels.as_ref() != Some(labels) {
        return refuse("`labels` and the labels in `config` differ");
    }
    if contents.thresholds.values().len() != labels.len() {
        return refuse("`thresholds` must have one entry for each label");
    }
    Ok(())
}

fn check_scores(scores: &Scores, labels: &LabelSet) -> Result<()> {
    if !scores.per_label.iter().map(|label| &label.label).eq(labels.names()) {
        return refuse("`scores` must list every label once, in the order of `labels`");
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
    if !all.all(|score| score.is_none_or(|score| (0.0..=1.0).contains(&score))) {
        return refuse("a score in `scores` is outside of 0 to 1");
    }
    let of_label = scores.per_label.iter().map(|label| label.interval);
    let ordered = |Interval { low, high }| 0.0 <= low && low <= high && high <= 1.0;
    if !of_label.chain([scores.macro_f1_interval]).flatten().all(ordered) {
        return refuse("an interval in `scores` is not `low` to `high` within 0 to 1");
    }
    match scores.per_label.iter().all(has_sound_bins) {
        true => Ok(()),
        false => refuse(format!(
            "a `reliability` in `scores` must have at most {BINS} bins, with `below` ascending to 1 and no more texts \
             `with_label` than `texts`"
        )),
    }
}

/// Whether a label's reliability table can be read; it may be empty.
fn has_sound_bins(label: &LabelScores) -> bool {
    let bins = &label.reliability;
    let ends = || bins.iter().map(|bin| bin.below);
    bins.len() <= BINS
        && std::iter::once(0.0).chain(ends()).is_sorted_by(|one, next| one < next)
        && bins.last().is_none_or(|last| last.below == 1.0)
        && bins.iter().all(|bin| bin.with_label <= bin.texts)
}

fn check_geometry(contents: &Contents) -> Result<()> {
    let (config, max_len) = (&contents.config, contents.max_len);
    if config.num_hidden_layers > LAYERS {
        return refuse(format!("the model has more than {LAYERS} layers"));
    }
    let longest = config.max_position_embeddings.min(MAX_LEN);
    if !(2..=longest).contains(&max_len) {
        return refuse(format!("`max_len` is {max_len}, it must be 2 to {longest} for this model"));
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
        return refuse(format!(
            "`hot_rows` is {hot_rows}, it must be 1 or more and less than the vocabulary of {all}"
        ));
    }
    if !contents.encoding.keeps_rows(WORD_EMBEDDINGS) {
        return refuse("`hot_rows` is not for word embeddings in f32");
    }
    Ok(())
}

fn check_folds(folds: &[usize]) -> Result<()> {
    let distinct: BTreeSet<&usize> = folds.iter().collect();
    if folds.is_empty() || folds.len() > FOLDS || distinct.len() != folds.len() {
        return refuse(format!("`folds` must be 1 to {FOLDS} different numbers"));
    }
    Ok(())
}

/// Checks that a bundle of these contents may have these shards: those of its folds, and those of its final model.
pub(super) fn check_shards(
    contents: &Contents,
    shards: &[Shard],
    final_shards: &FinalShards,
) -> Result<()> {
    let FinalShards { shared, own } = final_shards;
    if shards.len() + own.len() > SHARDS {
        return refuse(format!("there are more than {SHARDS} shards"));
    }
    let folds = contents.folds.len();
    shards.iter().chain(own).try_for_each(Shard::check)?;
    shards.iter().try_for_each(|shard| shard.check_folds(folds))?;
    if own.iter().any(|shard| !shard.folds.is_empty()) {
        return refuse("a shard in `final_model` lists `folds`: it belongs into `shards`");
    }
    let distinct: BTreeSet<&str> = shards.iter().chain(own).map(|shard| &*shard.sha256).collect();
    if distinct.len() != shards.len() + own.len() {
        return refuse("a shard is listed twice");
    }
    let cold_last = |shards: &[Shard]| shards.is_sorted_by_key(|shard| shard.cold);
    if !cold_last(shards) || !cold_last(own) {
        return refuse("cold shards must be listed after all others");
    }
    let most = stored_bytes(contents);
    for fold in 0..folds {
        let of_fold = shards.iter().filter(|shard| shard.folds.contains(&fold));
        check_bytes(&format!("fold {fold}"), of_fold, most)?;
    }
    if !contents.final_model {
        return Ok(());
    }
    let ascending = shared.is_sorted_by(|a, b| a < b);
    if !ascending || shared.last().is_some_and(|&last| last >= shards.len()) {
        return refuse(format!(
            "`shared_shards` must be ascending indices of the bundle's {} shards",
            shards.len()
        ));
    }
    let of_final = shared.iter().map(|&index| &shards[index]).chain(own);
    check_bytes("the final model", of_final, most)
}

/// Checks a model's bytes. `most` are those of hot and cold shards; `None` if there must be no cold ones.
fn check_bytes<'s>(
    whose: &str,
    shards: impl Iterator<Item = &'s Shard>,
    most: (u64, Option<u64>),
) -> Result<()> {
    let (cold, hot): (Vec<&Shard>, Vec<&Shard>) = shards.partition(|shard| shard.cold);
    for (kind, shards, most) in [("", hot, Some(most.0)), ("cold ", cold, most.1)] {
        let bytes: u64 = shards.iter().map(|shard| shard.bytes).sum();
        let expected = match most {
            None if bytes == 0 => continue,
            Some(most) if (1..=most).contains(&bytes) => continue,
            None => "none".to_owned(),
            Some(most) => format!("1 to {most}"),
        };
        return refuse(format!(
            "the {kind}shards of {whose} have {bytes} bytes, its model needs {expected}"
        ));
    }
    Ok(())
}

/// Bytes that loading and keeping one fold takes, where no matrix has outliers: linear weights as f32 or integers, word embeddings as they are stored, the
/// projections of the relative positions, the tokenizer, and room to work in. The number of layers must be checked before.
pub(super) fn resident_bytes(config: &DebertaConfig, labels: usize, encoding: Encoding) -> u64 {
    let tensors = config.tensor_shapes(labels).into_iter().map(|(name, shape)| {
        let stored = || {
            base_bytes(&name, &shape, encoding).saturating_add(delta_bytes(&name, &shape, encoding))
        };
        match encoding.residency(&name, &shape, encoding.format_of(&name, &shape)) {
            Residency::Rows => stored(),
            Residency::Packed(Operand::Int8) => rows_bytes(Format::Int8, &shape),
            Residency::Packed(Operand::Int16) => rows_bytes(Format::Int16, &shape),
            // As it is stored until all of it has arrived.
            Residency::Packed(Operand::Requantized) => {
                rows_bytes(Format::Int16, &shape).saturating_add(stored())
            }
            Residency::Dense | Residency::Packed(Operand::F32) => product(&shape).saturating_mul(4),
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

/// The part of [`resident_bytes`] that folds in one memory share: the base of their word embeddings.
pub(super) fn common_bytes(config: &DebertaConfig, labels: usize, encoding: Encoding) -> u64 {
    let tensors = config.tensor_shapes(labels).into_iter();
    let shared = tensors.filter(|(name, _)| encoding.has_deltas() && encoding.keeps_rows(name));
    shared.map(|(name, shape)| base_bytes(&name, &shape, encoding)).fold(0, u64::saturating_add)
}

/// The most bytes of one model's hot shards, each tensor in a shard of its own if need be; and of its cold shards, if the bundle
/// has cold rows.
fn stored_bytes(contents: &Contents) -> (u64, Option<u64>) {
    let Contents { config, encoding, hot_rows, .. } = contents;
    let stored = |name: &str, shape: &[usize]| {
        let finer = encoding.finer_than(encoding.format_of(name, shape), name);
        let finer = finer.map_or(0, |format| rows_bytes(format, shape));
        let base = base_bytes(name, shape, *encoding).max(finer);
        base.saturating_add(delta_bytes(name, shape, *encoding))
    };
    let mut cold = None;
    let tensors =
        config.tensor_shapes(contents.labels.len()).into_iter().map(|(name, mut shape)| {
            if let Some(hot_rows) = hot_rows.filter(|_| name == WORD_EMBEDDINGS) {
                let cold_shape = [shape[0] - hot_rows, shape[1]];
                cold = Some(stored(&name, &cold_shape).saturating_add(WORKING_BYTES));
                shape[0] = hot_rows;
            }
            stored(&name, &shape)
        });
    let hot = tensors.chain([tokenizer_bytes(config), WORKING_BYTES]).fold(0, u64::saturating_add);
    (hot, cold)
}

/// Stored bytes of a tensor, or of the folds' common base of it, where there are no outliers.
fn base_bytes(name: &str, shape: &[usize], encoding: Encoding) -> u64 {
    rows_bytes(encoding.format_of(name, shape), shape)
}

/// Stored bytes of one fold's deltas, if every row has one.
fn delta_bytes(name: &str, shape: &[usize], encoding: Encoding) -> u64 {
    let bits = encoding.delta_bits(name, shape);
    bits.map_or(0, |bits| rows_bytes(Format::Delta(bits), shape))
}

/// Bytes of rows with their scales, and two u32 for each row: it may be a run of its own.
fn rows_bytes(format: Format, shape: &[usize]) -> u64 {
    let [rows, width] = flat(shape);
    let row = format.row_bytes(width).saturating_add(4 * format.row_scales(width)) as u64;
    row.saturating_add(8).saturating_mul(rows as u64)
}

fn tokenizer_bytes(config: &DebertaConfig) -> u64 {
    TOKENIZER_BYTES_A_PIECE.saturating_mul(config.vocab_size as u64)
}

fn product(numbers: &[usize]) -> u64 {
    numbers.iter().fold(1_u64, |product, &number| product.saturating_mul(number as u64))
}
