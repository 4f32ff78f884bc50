//! From shards to a model: one fold's tensors, checked against the manifest's config as they come.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::encoding::Numbers;
use super::model::FoldModel;
use super::shard::OpenShard;
use super::sink::{Arrival, Filled, Sink};
use super::{Encoding, Manifest, ROWS, SCALES, refuse};
use crate::model::{Classifier, DebertaConfig};
use crate::nn::{Prepared, Weights};
use crate::tokenizer::CompactTokenizer;
use crate::{Error, Result};

/// Takes the shards of one fold, in any order, and becomes its model.
///
/// A shard is decoded at once and can be dropped after it was taken. After an error the loader is of no more use.
pub struct FoldLoader {
    config: DebertaConfig,
    labels: usize,
    max_len: usize,
    encoding: Encoding,
    shapes: BTreeMap<String, Vec<usize>>,
    /// Shards that have not come, by their place in the manifest.
    awaited: BTreeMap<usize, String>,
    /// Tensors of which rows have come.
    sinks: BTreeMap<String, Sink>,
    tokenizer: BTreeMap<String, (Dtype, Vec<u8>)>,
}

impl FoldLoader {
    /// # Panics
    /// If the bundle has no such fold.
    pub fn new(manifest: &Manifest, fold: usize) -> Self {
        assert!(fold < manifest.folds(), "the bundle has {} folds", manifest.folds());
        let awaited = manifest.shards_of(fold).into_iter();
        let (config, labels) = (manifest.config(), manifest.labels().len());
        Self {
            config: config.clone(),
            labels,
            max_len: manifest.max_len(),
            encoding: manifest.encoding(),
            shapes: config.tensor_shapes(labels),
            awaited: awaited
                .map(|place| (place, manifest.shards()[place].sha256.clone()))
                .collect(),
            sinks: BTreeMap::new(),
            tokenizer: BTreeMap::new(),
        }
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
            let taken = self.take_tensor(name, &tensors);
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
    pub fn finish(self) -> Result<FoldModel> {
        if !self.awaited.is_empty() {
            return refuse(format!("{} shards of the fold have not come", self.awaited.len()));
        }
        let mut sinks = self.sinks;
        let (mut tensors, mut prepared) = (BTreeMap::new(), Prepared::default());
        for name in self.shapes.into_keys() {
            match sinks.remove(&name).filter(Sink::is_full) {
                None => return Err(Error::MissingTensor { name }),
                Some(sink) => match sink.finish()? {
                    Filled::Dense(tensor) => drop(tensors.insert(name, tensor)),
                    Filled::Encoded(table) => drop(prepared.tables.insert(name, table)),
                    Filled::Packed(weight) => drop(prepared.linear.insert(name, weight)),
                },
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
        Ok(FoldModel::new(tokenizer, classifier, self.max_len, self.labels))
    }

    /// What is wrong with a tensor is said without its name.
    fn take_tensor(&mut self, name: &str, tensors: &SafeTensors<'_>) -> Result<(), String> {
        let view = tensors.tensor(name).expect("a name that is there");
        if let Some(whole) = name.strip_suffix(ROWS).or(name.strip_suffix(SCALES)) {
            let of_a_part = tensors.tensor(whole).is_ok() && self.shapes.contains_key(whole);
            return if of_a_part { Ok(()) } else { Err("belongs to no other".to_owned()) };
        }
        if CompactTokenizer::has_tensor(name) {
            let tensor = (view.dtype(), view.data().to_vec());
            return match self.tokenizer.insert(name.to_owned(), tensor) {
                None => Ok(()),
                Some(_) => Err("has come before".to_owned()),
            };
        }
        let Some(shape) = self.shapes.get(name) else {
            return Err("is none that the model has".to_owned());
        };
        let stored = self.encoding.of(name, shape);
        if view.dtype() != stored.dtype() || view.shape().get(1..) != shape.get(1..) {
            let (dtype, found) = (view.dtype(), view.shape());
            return Err(format!("is {dtype} {found:?}, which does not make {shape:?}"));
        }
        let runs = runs(tensors.tensor(&format!("{name}{ROWS}")).ok(), shape[0])?;
        let rows = view.shape()[0];
        let scales = scales(tensors.tensor(&format!("{name}{SCALES}")).ok(), stored, rows)?;
        let sink = self.sinks.entry(name.to_owned()).or_insert_with(|| {
            Sink::new(shape.clone(), stored, self.encoding.in_memory(name, shape))
        });
        let arrived = Arrival { data: view.data(), scales };
        match sink.take(runs.into_iter(), &arrived) {
            true => Ok(()),
            false => Err("has rows that the model has not, or that came before".to_owned()),
        }
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

fn scales(stored: Option<TensorView<'_>>, numbers: Numbers, rows: usize) -> Result<&[u8], String> {
    match (stored, numbers) {
        (None, Numbers::F32 | Numbers::F16) => Ok(&[]),
        (Some(view), Numbers::Int16 | Numbers::Int8)
            if view.dtype() == Dtype::F32 && view.shape() == [rows] =>
        {
            Ok(view.data())
        }
        _ => Err("has not the scales that its numbers need".to_owned()),
    }
}
