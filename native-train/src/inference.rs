//! A run's folds as one ensemble: texts in, mean probabilities out. Files of texts are the
//! commands' to read and write.

use anyhow::{Error, Result};
use candle_core::Device;
use rayon::prelude::*;
use shared::{
    LabelSet,
    batch::Batch,
    ensemble,
    model::{Classifier, FrozenClassifier},
    nn::Weights,
    tokenizer::{Encoding, Tokenizer},
};

use crate::{
    config::TrainConfig,
    error::UserError,
    grid::Probabilities,
    length_batches,
    pretrained::Pretrained,
    run::{FoldFolder, Run, files, tensors},
};

/// Texts read from a file and labelled at a time: enough to find others of the same length.
pub const CHUNK_ROWS: usize = 4096;

/// The trained folds of a run.
pub struct Ensemble {
    labels: LabelSet,
    max_len: usize,
    tokenizer: Tokenizer,
    folds: Vec<FrozenClassifier>,
}

/// What to do about folds that were not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingFolds {
    Refuse,
    Allow,
}

/// Texts with their probabilities.
pub struct Labelled {
    pub probabilities: Probabilities,
    /// Texts longer than the model's limit, of which the end was not seen.
    pub truncated: usize,
}

impl Ensemble {
    /// Loads the trained folds; also gives the numbers of those that are missing.
    ///
    /// # Errors
    /// If there is no fold, one is missing and may not be, or a file is damaged.
    pub fn load(
        run: &Run,
        missing_folds: MissingFolds,
        device: &Device,
    ) -> Result<(Self, Vec<usize>)> {
        let config = TrainConfig::load(&run.config_toml())?;
        let labels =
            config.labels.ok_or_else(|| files::damaged(&run.config_toml(), "it has no labels"))?;
        let (present, missing): (Vec<usize>, Vec<usize>) =
            (0..config.folds).partition(|&fold| run.fold(fold).has_model());
        if present.is_empty() || (!missing.is_empty() && missing_folds == MissingFolds::Refuse) {
            return Err(lacking(run, &missing, config.folds).into());
        }
        let tokenizer = common_tokenizer(run, &present)?;
        let folds = present.iter().map(|&fold| load_fold(&run.fold(fold), &labels, device));
        let folds = folds.collect::<Result<_>>()?;
        Ok((Self { labels, max_len: config.max_len, tokenizer, folds }, missing))
    }

    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// Labels texts; `labelled` hears how many are done.
    ///
    /// # Errors
    /// If a tensor operation fails (out of memory, say).
    pub fn label(&self, texts: &[String], labelled: impl FnMut(usize)) -> Result<Labelled> {
        let encodings: Vec<Encoding> =
            texts.par_iter().map(|text| self.tokenizer.encode(text, self.max_len)).collect();
        let input_ids: Vec<&[u32]> =
            encodings.iter().map(|encoding| &encoding.input_ids[..]).collect();
        let labels = self.labels.len();
        let mean = |batch: &Batch| self.mean_probabilities(batch);
        Ok(Labelled {
            probabilities: length_batches::run(&input_ids, labels, mean, labelled)?,
            truncated: encodings.iter().filter(|encoding| encoding.truncated).count(),
        })
    }

    fn mean_probabilities(&self, batch: &Batch) -> Result<Vec<f32>> {
        let folds = self.folds.iter().map(|fold| fold.probabilities(batch));
        Ok(ensemble::mean(&folds.collect::<shared::Result<Vec<_>>>()?))
    }
}

/// A trained fold's model, as it lies in its folder, in f32.
///
/// # Errors
/// If a file is missing or damaged, or the model is one for other labels.
pub fn load_fold(
    fold: &FoldFolder,
    labels: &LabelSet,
    device: &Device,
) -> Result<FrozenClassifier> {
    let pretrained = open_fold(fold, labels)?;
    // Of a whole classifier nothing is made anew, so the seed decides nothing.
    let loaded = pretrained.load(labels.len(), 0).map_err(|error| of_fold(error, fold))?;
    if !loaded.report.is_complete() {
        return Err(files::damaged(&fold.model_safetensors(), loaded.report));
    }
    tensors::check(&fold.model_safetensors(), &loaded.tensors)?;
    let tensors = loaded.tensors.into_iter();
    let tensors = tensors.map(|(name, tensor)| Ok((name, tensor.to_device(device)?)));
    let tensors = tensors.collect::<Result<_>>()?;
    let weights = Weights::new(&tensors);
    Ok(Classifier::new(&pretrained.config, labels.len(), &weights)?.freeze()?)
}

/// A trained fold's folder; the numbers wait.
///
/// # Errors
/// If a file is missing or damaged, or the model is one for other labels.
pub fn open_fold(fold: &FoldFolder, labels: &LabelSet) -> Result<Pretrained> {
    let pretrained =
        Pretrained::from_folder(fold.folder()).map_err(|error| of_fold(error, fold))?;
    if pretrained.config.labels.as_ref() != Some(labels) {
        return Err(files::damaged(&fold.config_json(), "its labels are not the run's"));
    }
    Ok(pretrained)
}

/// A damaged model of ours is not fetched again, as one from elsewhere would be.
pub fn of_fold(error: Error, fold: &FoldFolder) -> Error {
    match error.downcast::<UserError>() {
        Ok(error) => {
            UserError::new(error.to_string()).hint(files::remedy(&fold.model_safetensors())).into()
        }
        Err(error) => error,
    }
}

/// The folds of a run were trained with one tokenizer, so that texts are encoded once for all.
///
/// # Errors
/// If a fold's is missing or damaged, or another than the first's.
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

fn lacking(run: &Run, missing: &[usize], folds: usize) -> UserError {
    let run = run.folder().display();
    let resume = format!("`native-train train --resume --output {run}` trains them");
    if missing.len() == folds {
        return UserError::new(format!("`{run}` has no trained fold")).hint(resume);
    }
    let numbers: Vec<String> = missing.iter().map(ToString::to_string).collect();
    UserError::new(format!(
        "of the {folds} folds of `{run}` these are missing: {}",
        numbers.join(", ")
    ))
    .hint(format!("{resume}; `--allow-missing-folds` does without"))
}
