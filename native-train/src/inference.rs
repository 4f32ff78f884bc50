//! A run's folds as one ensemble: texts in, mean probabilities out. The commands read and write the
//! files.

use std::collections::BTreeMap;

use anyhow::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use shared::{
    LabelSet,
    batch::Batch,
    bundle::{Encoding as WeightEncoding, resident_classifier},
    ensemble,
    model::{Classifier, DebertaConfig, FrozenClassifier},
    nn::Weights,
    quant::Format,
    tokenizer::{Encoding, Tokenizer},
};

use crate::{
    error::UserError,
    grid::Probabilities,
    length_batches,
    pretrained::Pretrained,
    run::{FoldFolder, Run, files, tensors},
};

/// Texts of a file that are labelled at a time: enough to batch texts of about the same length.
pub const CHUNK_ROWS: usize = 4096;

/// The trained folds of a run.
pub struct Ensemble {
    labels: LabelSet,
    max_len: usize,
    tokenizer: Tokenizer,
    folds: Vec<FrozenClassifier>,
}

/// The probabilities of some texts.
pub struct Labelled {
    pub probabilities: Probabilities,
    /// The number of texts that were truncated, as they are longer than the ensemble takes.
    pub truncated: usize,
}

impl Ensemble {
    /// Loads `folds` of a run, which are trained. Texts are truncated to `max_len` tokens.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a model has other labels.
    pub fn load(
        run: &Run,
        folds: &[usize],
        labels: LabelSet,
        max_len: usize,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = common_tokenizer(run, folds)?;
        let folds = folds.iter().map(|&fold| load_fold(&run.fold(fold), &labels, device));
        let folds = folds.collect::<Result<_>>()?;
        Ok(Self { labels, max_len, tokenizer, folds })
    }

    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// Loads folds as [`load`](Self::load) does, for the CPU, their weights as a bundle of this encoding has them.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a model has other labels.
    pub fn load_as(
        encoding: WeightEncoding,
        run: &Run,
        folds: &[usize],
        labels: LabelSet,
        max_len: usize,
    ) -> Result<Self> {
        let tokenizer = common_tokenizer(run, folds)?;
        let folds = folds.iter().map(|&fold| load_fold_as(encoding, &run.fold(fold), &labels));
        let folds = folds.collect::<Result<_>>()?;
        Ok(Self { labels, max_len, tokenizer, folds })
    }

    /// Labels texts, and calls `labelled` with the number of those that are done.
    ///
    /// # Errors
    /// If a tensor operation fails, for example because memory is full.
    pub fn label(&self, texts: &[String], labelled: impl FnMut(usize)) -> Result<Labelled> {
        let mean = |batch: &Batch| Ok(ensemble::mean(&self.probabilities(batch)?));
        self.run(texts, self.labels.len(), mean, labelled)
    }

    /// Labels texts by each fold alone, and calls `labelled` as [`label`](Self::label) does. A row has the probabilities of the
    /// first fold, then those of the next.
    ///
    /// # Errors
    /// As of [`label`](Self::label).
    pub fn label_by_each(&self, texts: &[String], labelled: impl FnMut(usize)) -> Result<Labelled> {
        let labels = self.labels.len();
        let each = |batch: &Batch| {
            let folds = self.probabilities(batch)?;
            let of_text = |text: usize| {
                folds.iter().flat_map(move |fold| &fold[text * labels..][..labels]).copied()
            };
            Ok((0..folds[0].len() / labels).flat_map(of_text).collect())
        };
        self.run(texts, labels * self.folds.len(), each, labelled)
    }

    /// The number of folds.
    pub fn folds(&self) -> usize {
        self.folds.len()
    }

    fn run(
        &self,
        texts: &[String],
        columns: usize,
        forward: impl Fn(&Batch) -> Result<Vec<f32>> + Sync,
        labelled: impl FnMut(usize),
    ) -> Result<Labelled> {
        let encodings: Vec<Encoding> =
            texts.par_iter().map(|text| self.tokenizer.encode(text, self.max_len)).collect();
        let input_ids: Vec<&[u32]> =
            encodings.iter().map(|encoding| &encoding.input_ids[..]).collect();
        let device = self.folds[0].device();
        Ok(Labelled {
            probabilities: length_batches::run(device, &input_ids, columns, forward, labelled)?,
            truncated: encodings.iter().filter(|encoding| encoding.truncated).count(),
        })
    }

    /// Returns the probabilities of a batch by each fold.
    fn probabilities(&self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let folds = self.folds.iter().map(|fold| fold.probabilities(batch));
        Ok(folds.collect::<shared::Result<_>>()?)
    }
}

/// Loads the model of a trained fold, in f32.
///
/// # Errors
/// If a file is missing or damaged, or the model has other labels.
pub fn load_fold(
    fold: &FoldFolder,
    labels: &LabelSet,
    device: &Device,
) -> Result<FrozenClassifier> {
    if device.is_cpu() {
        return load_fold_as(Format::F32.into(), fold, labels);
    }
    let (config, tensors) = read_fold(fold, labels)?;
    let tensors = tensors.into_iter();
    let tensors = tensors.map(|(name, tensor)| Ok((name, tensor.to_device(device)?)));
    let tensors = tensors.collect::<Result<_>>()?;
    let weights = Weights::new(&tensors);
    Ok(Classifier::new(&config, labels.len(), &weights)?.freeze()?)
}

/// Loads the model of a trained fold for the CPU, its weights as a bundle of this encoding has them.
///
/// # Errors
/// If a file is missing or damaged, or the model has other labels.
pub fn load_fold_as(
    encoding: WeightEncoding,
    fold: &FoldFolder,
    labels: &LabelSet,
) -> Result<FrozenClassifier> {
    let (config, tensors) = read_fold(fold, labels)?;
    Ok(resident_classifier(&config, labels.len(), tensors, encoding)?)
}

/// Reads the tensors of a trained fold.
fn read_fold(
    fold: &FoldFolder,
    labels: &LabelSet,
) -> Result<(DebertaConfig, BTreeMap<String, Tensor>)> {
    let pretrained = open_fold(fold, labels)?;
    // No tensor of a trained classifier is initialised, so the seed does not matter.
    let loaded = pretrained.load(labels.len(), 0).map_err(|error| of_fold(error, fold))?;
    if !loaded.report.is_complete() {
        return Err(files::damaged(&fold.model_safetensors(), loaded.report));
    }
    tensors::check(&fold.model_safetensors(), &loaded.tensors)?;
    Ok((pretrained.config, loaded.tensors))
}

/// Opens the model of a trained fold without reading its tensors.
///
/// # Errors
/// If a file is missing or damaged, or the model has other labels.
pub fn open_fold(fold: &FoldFolder, labels: &LabelSet) -> Result<Pretrained> {
    let pretrained =
        Pretrained::from_folder(fold.folder()).map_err(|error| of_fold(error, fold))?;
    if pretrained.config.labels.as_ref() != Some(labels) {
        return Err(files::damaged(&fold.config_json(), "its labels are not those of the run"));
    }
    Ok(pretrained)
}

/// An error about a fold's model with the remedy for a run's file: unlike a pretrained model it cannot
/// be downloaded again.
pub fn of_fold(error: Error, fold: &FoldFolder) -> Error {
    match error.downcast::<UserError>() {
        Ok(error) => {
            UserError::new(error.to_string()).hint(files::remedy(&fold.model_safetensors())).into()
        }
        Err(error) => error,
    }
}

/// Loads the tokenizer that all folds of a run have in common.
///
/// # Errors
/// If a fold's tokenizer is missing, damaged, or not that of the first fold.
pub fn common_tokenizer(run: &Run, folds: &[usize]) -> Result<Tokenizer> {
    let path = |fold: &usize| run.fold(*fold).tokenizer_json();
    let (first, others) = folds.split_first().expect("there is a fold");
    let json = files::read(&path(first))?;
    for other in others {
        if files::read(&path(other))? != json {
            let what = format!("it is not the tokenizer of fold {first}");
            return Err(files::damaged(&path(other), what));
        }
    }
    Tokenizer::from_json(&json).map_err(|error| files::damaged(&path(first), error))
}
