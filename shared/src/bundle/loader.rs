//! The loader makes a model of shards: the tensors of one fold, checked against the manifest's config as they arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::encoding::Encoding;
use super::manifest::Manifest;
use super::model::{FoldModel, Words};
use super::names::{DELTA, ROWS, SCALES, refuse};
use super::shard::OpenShard;
use super::sink::{Filled, Sink, flat};
use crate::model::{Classifier, DebertaConfig, WORD_EMBEDDINGS};
use crate::nn::{Prepared, QuantizedEmbedding, Weights};
use crate::quant::{Format, QuantizedRows};
use crate::tokenizer::CompactTokenizer;
use crate::{Error, Result};

/// Takes the shards that make one fold or the final model answer, in any order, and becomes its model.
///
/// A shard can be dropped once it was taken. After an error the loader is of no more use.
pub struct FoldLoader {
    config: DebertaConfig,
    labels: usize,
    max_len: usize,
    encoding: Encoding,
    pub(super) shapes: BTreeMap<String, Vec<usize>>,
    /// The rows of the word embeddings that this loader takes.
    words: Range<usize>,
    pub(super) takes_tokenizer: bool,
    /// The sha256 of each shard that is not taken yet, by its index in the manifest.
    awaited: BTreeMap<usize, String>,
    /// Tensors of which rows have arrived.
    sinks: BTreeMap<String, Sink>,
    tokenizer: BTreeMap<String, (Dtype, Vec<u8>)>,
    /// The shards that word embeddings have come from, deltas not counted.
    words_from: BTreeSet<usize>,
    /// The shards whose word embeddings another fold has in memory.
    words_known: BTreeSet<usize>,
}

/// A tensor of the model, or its delta, as a shard stores it.
struct StoredTensor {
    /// The name of the model's tensor.
    name: String,
    shape: Vec<usize>,
    format: Format,
}

impl FoldLoader {
    /// # Panics
    /// If the bundle has no such model.
    pub fn new(manifest: &Manifest, fold: usize) -> Self {
        let hot_rows = manifest.hot_rows().unwrap_or(manifest.config().vocab_size);
        Self::of(manifest, fold, manifest.hot_shards_of(fold), 0..hot_rows)
    }

    pub(super) fn of(
        manifest: &Manifest,
        fold: usize,
        shards: Vec<usize>,
        words: Range<usize>,
    ) -> Self {
        assert!(fold < manifest.models(), "the bundle has {} models", manifest.models());
        let hash = |index: usize| (index, manifest.shards()[index].sha256.clone());
        let (config, labels) = (manifest.config(), manifest.labels().len());
        Self {
            config: config.clone(),
            labels,
            max_len: manifest.max_len(),
            encoding: manifest.encoding(),
            shapes: config.tensor_shapes(labels),
            words,
            takes_tokenizer: true,
            awaited: shards.into_iter().map(hash).collect(),
            sinks: BTreeMap::new(),
            tokenizer: BTreeMap::new(),
            words_from: BTreeSet::new(),
            words_known: BTreeSet::new(),
        }
    }

    /// Begins like [`new`](Self::new), beside a loaded fold of the same bundle: if both have their word embeddings from the same
    /// shards, the new fold shares those in memory.
    pub fn beside(manifest: &Manifest, fold: usize, loaded: &FoldModel) -> Self {
        let mut loader = Self::new(manifest, fold);
        loader.share_words(loaded, false);
        loader
    }

    pub(super) fn share_words(&mut self, loaded: &FoldModel, cold: bool) {
        let Some((rows, shards)) = loaded.words(cold) else { return };
        if shards.iter().all(|shard| self.awaited.contains_key(shard)) {
            let deltas = self.encoding.delta_bits(WORD_EMBEDDINGS, &rows.shape());
            self.sinks.insert(WORD_EMBEDDINGS.to_owned(), Sink::beside(rows.clone(), deltas));
            self.words_known.clone_from(shards);
        }
    }

    /// Takes the contents of the shard at `index` of the manifest's.
    ///
    /// # Errors
    /// If the fold does not need it or has taken it before, or if a tensor in it is not one that the fold needs.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<()> {
        if self.awaited.get(&index).is_none_or(|awaited| awaited != shard.sha256()) {
            return refuse(format!("shard {index} is unexpected or repeated"));
        }
        let tensors = shard.tensors();
        let names: BTreeSet<&str> = tensors.names().into_iter().collect();
        for name in names {
            let taken = self.take_tensor(index, name, &tensors);
            taken.map_err(|reason| Error::Shard {
                file: format!("{}.safetensors", shard.sha256()),
                reason: format!("tensor `{name}` {reason}"),
            })?;
        }
        self.awaited.remove(&index);
        Ok(())
    }

    /// The model, once all shards were taken.
    ///
    /// # Errors
    /// If a shard is missing, if the shards together lack a part of a tensor, or if the tokenizer cannot be used.
    pub fn finish(mut self) -> Result<FoldModel> {
        self.check_all_taken()?;
        let mut words = None;
        let (mut tensors, mut prepared) = (BTreeMap::new(), Prepared::default());
        for (name, shape) in std::mem::take(&mut self.shapes) {
            match self.filled(&name)? {
                Filled::Dense(tensor) => drop(tensors.insert(name, tensor)),
                Filled::Packed(weight) => drop(prepared.linear.insert(name, weight)),
                Filled::Rows(segment) => {
                    let embedding = Arc::new(QuantizedEmbedding::new(segment, shape[0]));
                    let from = [self.words_come_from(), BTreeSet::new()];
                    words = Some(Words { embedding: Arc::clone(&embedding), from });
                    prepared.embeddings.insert(name, embedding);
                }
            }
        }
        let tokenizer = CompactTokenizer::from_tensors(|name| {
            self.tokenizer.get(name).map(|(dtype, bytes)| (*dtype, &bytes[..]))
        })?;
        let (ids, embeddings) = (tokenizer.vocab_size(), self.config.vocab_size);
        if ids > embeddings {
            return refuse(format!(
                "the tokenizer has {ids} ids, but the model has {embeddings} word embeddings"
            ));
        }
        let weights = Weights::with_prepared(&tensors, &prepared);
        let classifier = Classifier::new(&self.config, self.labels, &weights)?.freeze()?;
        let model = FoldModel::new(tokenizer, classifier, self.max_len, self.labels);
        Ok(model.with_words(words))
    }

    pub(super) fn check_all_taken(&self) -> Result<()> {
        match self.awaited.len() {
            0 => Ok(()),
            missing => refuse(format!("{missing} of the fold's shards are missing")),
        }
    }

    pub(super) fn filled(&mut self, name: &str) -> Result<Filled> {
        match self.sinks.remove(name).filter(Sink::is_full) {
            None => Err(Error::MissingTensor { name: name.to_owned() }),
            Some(sink) => sink.finish(),
        }
    }

    pub(super) fn words_come_from(&self) -> BTreeSet<usize> {
        self.words_from.union(&self.words_known).copied().collect()
    }

    /// Takes one entry of a shard. The error goes on after the entry's name.
    fn take_tensor(
        &mut self,
        index: usize,
        name: &str,
        tensors: &SafeTensors<'_>,
    ) -> Result<(), String> {
        let view = tensors.tensor(name).expect("a name that is there");
        if let Some(described) = name.strip_suffix(ROWS).or(name.strip_suffix(SCALES)) {
            let is_known = (tensors.tensor(described))
                .is_ok_and(|view| self.stored(described, view.dtype()).is_some());
            return if is_known {
                Ok(())
            } else {
                Err("describes no tensor of the shard".to_owned())
            };
        }
        if self.takes_tokenizer && CompactTokenizer::has_tensor(name) {
            let tensor = (view.dtype(), view.data().to_vec());
            return match self.tokenizer.insert(name.to_owned(), tensor) {
                None => Ok(()),
                Some(_) => Err("is in two shards".to_owned()),
            };
        }
        let Some(StoredTensor { name: of, mut shape, format }) = self.stored(name, view.dtype())
        else {
            return Err("is not a tensor of this model".to_owned());
        };
        let count = view.shape().first().copied().unwrap_or(0);
        let expected = (format.dtype(), format.stored_shape(count, &shape));
        if (view.dtype(), view.shape()) != (expected.0, &expected.1) {
            let (dtype, found) = (view.dtype(), view.shape());
            return Err(format!("is {dtype} {found:?}, expected {} {:?}", expected.0, expected.1));
        }
        let [all, width] = flat(&shape);
        let scales = scales(tensors.tensor(&format!("{name}{SCALES}")).ok(), format, count, width)?;
        let rows = QuantizedRows::new(format, width, view.data(), &scales);
        let runs = runs(tensors.tensor(&format!("{name}{ROWS}")).ok(), all)?.into_iter();

        let is_words = of == WORD_EMBEDDINGS;
        let before = if is_words { self.words.start } else { 0 };
        // Rows that other shards bring are outside, too.
        let runs =
            runs.map(|(first, count)| (first.checked_sub(before).unwrap_or(usize::MAX), count));
        let (encoding, full_shape) = (self.encoding, shape.clone());
        if is_words {
            shape[0] = self.words.len();
        }
        let sink = self.sinks.entry(of).or_insert_with_key(|of| {
            let base = match format {
                Format::Delta(_) => encoding.format_of(of, &full_shape),
                base => base,
            };
            let deltas = encoding.delta_bits(of, &full_shape);
            Sink::new(shape, base, encoding.residency(of, &full_shape, base), deltas)
        });
        let taken = match format {
            Format::Delta(_) => sink.take_deltas(runs, rows),
            _ if is_words && self.words_known.contains(&index) => true,
            _ => {
                if is_words {
                    self.words_from.insert(index);
                }
                sink.take(runs, rows)
            }
        };
        match taken {
            true => Ok(()),
            false => Err("has rows that are repeated, outside of the model's tensor, not as many as listed, or not in one format".to_owned()),
        }
    }

    /// The tensor that an entry called `name` of type `dtype` stores; `None` if a shard of this bundle cannot have it.
    fn stored(&self, name: &str, dtype: Dtype) -> Option<StoredTensor> {
        let (name, shape, format) = match self.shapes.get(name) {
            Some(shape) => (name, shape, self.encoding.format_stored_as(dtype, name, shape)),
            None => {
                let name = name.strip_suffix(DELTA)?;
                let shape = self.shapes.get(name)?;
                (name, shape, Format::Delta(self.encoding.delta_bits(name, shape)?))
            }
        };
        Some(StoredTensor { name: name.to_owned(), shape: shape.clone(), format })
    }
}

/// First row and number of rows of each run; one run of `all` if nothing is stored.
fn runs(stored: Option<TensorView<'_>>, all: usize) -> Result<Vec<(usize, usize)>, String> {
    let Some(view) = stored else { return Ok(vec![(0, all)]) };
    if view.dtype() != Dtype::U32 || !matches!(view.shape(), [_, 2]) {
        return Err(format!("needs its `{ROWS}` as U32 [runs, 2]"));
    }
    let (numbers, _) = view.data().as_chunks();
    let (pairs, _) = numbers.as_chunks();
    let number = |bytes| u32::from_le_bytes(bytes) as usize;
    Ok(pairs.iter().map(|&[first, count]| (number(first), number(count))).collect())
}

/// The scales of `rows` rows.
fn scales(
    stored: Option<TensorView<'_>>,
    format: Format,
    rows: usize,
    width: usize,
) -> Result<Vec<f32>, String> {
    match (stored, format.scales_shape(rows, width)) {
        (None, None) => Ok(Vec::new()),
        (Some(view), Some(shape)) if view.dtype() == Dtype::F32 && view.shape() == shape => {
            let (numbers, _) = view.data().as_chunks();
            Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
        }
        (_, Some(shape)) => Err(format!("needs its `{SCALES}` as F32 {shape:?}")),
        (Some(_), None) => Err(format!("has `{SCALES}`, which {format} does not use")),
    }
}
