//! From shards to a model: one fold's tensors, checked against the manifest's config as they come.

mod cold;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::encoding::WORD_EMBEDDINGS;
use super::model::{FoldModel, Words};
use super::numbers::{Numbers, width_of};
use super::shard::OpenShard;
use super::sink::{Arrival, Filled, Sink};
use super::{DELTA, Encoding, Manifest, ROWS, SCALES, refuse};
use crate::model::{Classifier, DebertaConfig};
use crate::nn::{EncodedTable, Prepared, Weights};
use crate::tokenizer::CompactTokenizer;
use crate::{Error, Result};

pub use cold::ColdLoader;

/// Takes the shards that make one fold answer, in any order, and becomes its model.
///
/// A shard is decoded at once and can be dropped after it was taken. After an error the loader is of no more use.
pub struct FoldLoader {
    config: DebertaConfig,
    labels: usize,
    max_len: usize,
    encoding: Encoding,
    shapes: BTreeMap<String, Vec<usize>>,
    /// The rows of the word embeddings that are to come.
    words: Range<usize>,
    takes_tokenizer: bool,
    /// Shards that have not come, by their place in the manifest.
    awaited: BTreeMap<usize, String>,
    /// Tensors of which rows have come.
    sinks: BTreeMap<String, Sink>,
    tokenizer: BTreeMap<String, (Dtype, Vec<u8>)>,
    /// The shards that word embeddings have come from, deltas not counted.
    words_from: BTreeSet<usize>,
    /// Of these the word embeddings are in memory.
    words_known: BTreeSet<usize>,
}

/// What a name in a shard stands for.
struct Part {
    /// The model's tensor.
    name: String,
    shape: Vec<usize>,
    stored: Numbers,
}

impl FoldLoader {
    /// # Panics
    /// If the bundle has no such fold.
    pub fn new(manifest: &Manifest, fold: usize) -> Self {
        let hot_rows = manifest.hot_rows().unwrap_or(manifest.config().vocab_size);
        Self::of(manifest, fold, manifest.hot_shards_of(fold), 0..hot_rows)
    }

    fn of(manifest: &Manifest, fold: usize, shards: Vec<usize>, words: Range<usize>) -> Self {
        assert!(fold < manifest.folds(), "the bundle has {} folds", manifest.folds());
        let awaited = shards.into_iter();
        let (config, labels) = (manifest.config(), manifest.labels().len());
        Self {
            config: config.clone(),
            labels,
            max_len: manifest.max_len(),
            encoding: manifest.encoding(),
            shapes: config.tensor_shapes(labels),
            words,
            takes_tokenizer: true,
            awaited: awaited
                .map(|place| (place, manifest.shards()[place].sha256.clone()))
                .collect(),
            sinks: BTreeMap::new(),
            tokenizer: BTreeMap::new(),
            words_from: BTreeSet::new(),
            words_known: BTreeSet::new(),
        }
    }

    /// As [`new`](Self::new), beside a loaded fold of the same bundle: if both have their word embeddings from the same
    /// shards, the new one uses those in memory.
    pub fn beside(manifest: &Manifest, fold: usize, loaded: &FoldModel) -> Self {
        let mut loader = Self::new(manifest, fold);
        loader.share_words(loaded, false);
        loader
    }

    fn share_words(&mut self, loaded: &FoldModel, cold: bool) {
        let Some((rows, shards)) = loaded.words(cold) else { return };
        if shards.iter().all(|shard| self.awaited.contains_key(shard)) {
            let shape = self.sink_shape(WORD_EMBEDDINGS);
            let stored = self.encoding.of(WORD_EMBEDDINGS, &shape);
            let sink = Sink::beside(rows.clone(), shape, stored);
            self.sinks.insert(WORD_EMBEDDINGS.to_owned(), sink);
            self.words_known.clone_from(shards);
        }
    }

    /// That of the rows that are to come.
    fn sink_shape(&self, name: &str) -> Vec<usize> {
        let mut shape = self.shapes[name].clone();
        if name == WORD_EMBEDDINGS {
            shape[0] = self.words.len();
        }
        shape
    }

    /// Decodes a shard, which is at place `index` of the manifest's.
    ///
    /// # Errors
    /// If it is no shard of this fold or came before, or a tensor in it is not one that the fold needs.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<()> {
        if self.awaited.get(&index).is_none_or(|awaited| awaited != shard.sha256()) {
            return refuse(format!("shard {index} is none that this fold still needs"));
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
    /// If a shard has not come, the shards together lack a part of a tensor, or the tokenizer does not do.
    pub fn finish(mut self) -> Result<FoldModel> {
        self.check_all_have_come()?;
        let mut words = None;
        let (mut tensors, mut prepared) = (BTreeMap::new(), Prepared::default());
        for (name, shape) in std::mem::take(&mut self.shapes) {
            match self.filled(&name)? {
                Filled::Dense(tensor) => drop(tensors.insert(name, tensor)),
                Filled::Packed(weight) => drop(prepared.linear.insert(name, weight)),
                Filled::Encoded(rows) => {
                    let table = Arc::new(EncodedTable::new(rows, shape[0]));
                    let from = [self.words_come_from(), BTreeSet::new()];
                    words = Some(Words { table: Arc::clone(&table), from });
                    prepared.tables.insert(name, table);
                }
            }
        }
        let tokenizer = CompactTokenizer::from_tensors(|name| {
            self.tokenizer.get(name).map(|(dtype, bytes)| (*dtype, &bytes[..]))
        })?;
        if tokenizer.vocab_size() > self.config.vocab_size {
            return refuse("its tokenizer has more ids than its model");
        }
        let weights = Weights::with_prepared(&tensors, &prepared);
        let classifier = Classifier::new(&self.config, self.labels, &weights)?.freeze()?;
        let model = FoldModel::new(tokenizer, classifier, self.max_len, self.labels);
        Ok(model.with_words(words))
    }

    fn check_all_have_come(&self) -> Result<()> {
        match self.awaited.len() {
            0 => Ok(()),
            missing => refuse(format!("{missing} shards of the fold have not come")),
        }
    }

    fn filled(&mut self, name: &str) -> Result<Filled> {
        match self.sinks.remove(name).filter(Sink::is_full) {
            None => Err(Error::MissingTensor { name: name.to_owned() }),
            Some(sink) => sink.finish(),
        }
    }

    fn words_come_from(&self) -> BTreeSet<usize> {
        self.words_from.union(&self.words_known).copied().collect()
    }

    /// What is wrong with a tensor is said without its name.
    fn take_tensor(
        &mut self,
        index: usize,
        name: &str,
        tensors: &SafeTensors<'_>,
    ) -> Result<(), String> {
        let view = tensors.tensor(name).expect("a name that is there");
        if let Some(whole) = name.strip_suffix(ROWS).or(name.strip_suffix(SCALES)) {
            let of_a_part = tensors.tensor(whole).is_ok() && self.part(whole).is_some();
            return if of_a_part { Ok(()) } else { Err("belongs to no other".to_owned()) };
        }
        if self.takes_tokenizer && CompactTokenizer::has_tensor(name) {
            let tensor = (view.dtype(), view.data().to_vec());
            return match self.tokenizer.insert(name.to_owned(), tensor) {
                None => Ok(()),
                Some(_) => Err("has come before".to_owned()),
            };
        }
        let Some(Part { name: of, shape, stored }) = self.part(name) else {
            return Err("is none that the model has".to_owned());
        };
        let rows = view.shape().first().copied().unwrap_or(0);
        if view.dtype() != stored.dtype() || view.shape() != stored.stored_shape(rows, &shape) {
            let (dtype, found) = (view.dtype(), view.shape());
            return Err(format!("is {dtype} {found:?}, which does not make {shape:?}"));
        }
        let is_words = of == WORD_EMBEDDINGS;
        let before = if is_words { self.words.start } else { 0 };
        let runs = runs(tensors.tensor(&format!("{name}{ROWS}")).ok(), shape[0])?.into_iter();
        // Rows that others bring are beyond the end as well.
        let runs =
            runs.map(|(first, rows)| (first.checked_sub(before).unwrap_or(usize::MAX), rows));
        let scales = tensors.tensor(&format!("{name}{SCALES}")).ok();
        let scales = self::scales(scales, stored, rows, width_of(&shape))?;
        let arrived = Arrival { data: view.data(), scales };
        let (becomes, base) = (self.encoding.in_memory(&of, &shape), self.encoding.of(&of, &shape));
        let shape = self.sink_shape(&of);
        let sink = self.sinks.entry(of).or_insert_with(|| Sink::new(shape, base, becomes));
        let taken = match stored {
            Numbers::Delta(bits) => sink.take_deltas(bits, runs, &arrived),
            _ if is_words && self.words_known.contains(&index) => true,
            _ => {
                if is_words {
                    self.words_from.insert(index);
                }
                sink.take(runs, &arrived)
            }
        };
        match taken {
            true => Ok(()),
            false => Err("has rows that the model has not, or that came before".to_owned()),
        }
    }

    /// `None`: a shard of this bundle may not hold it.
    fn part(&self, name: &str) -> Option<Part> {
        let (name, shape, stored) = match self.shapes.get(name) {
            Some(shape) => (name, shape, self.encoding.of(name, shape)),
            None => {
                let name = name.strip_suffix(DELTA)?;
                let shape = self.shapes.get(name)?;
                (name, shape, self.encoding.delta_of(name, shape)?)
            }
        };
        Some(Part { name: name.to_owned(), shape: shape.clone(), stored })
    }
}

/// First row and number of rows of each run.
fn runs(stored: Option<TensorView<'_>>, all: usize) -> Result<Vec<(usize, usize)>, String> {
    let Some(view) = stored else { return Ok(vec![(0, all)]) };
    if view.dtype() != Dtype::U32 || !matches!(view.shape(), [_, 2]) {
        return Err("has no u32 [runs, 2] for its rows".to_owned());
    }
    let (numbers, _) = view.data().as_chunks();
    let (pairs, _) = numbers.as_chunks();
    let number = |bytes| u32::from_le_bytes(bytes) as usize;
    Ok(pairs.iter().map(|&[first, count]| (number(first), number(count))).collect())
}

fn scales(
    stored: Option<TensorView<'_>>,
    numbers: Numbers,
    rows: usize,
    width: usize,
) -> Result<&[u8], String> {
    let needs_some = numbers.scales(width) > 0;
    match stored {
        None if !needs_some => Ok(&[]),
        Some(view)
            if needs_some
                && view.dtype() == Dtype::F32
                && view.shape() == numbers.scales_shape(rows, width) =>
        {
            Ok(view.data())
        }
        _ => Err("has not the scales that its numbers need".to_owned()),
    }
}
