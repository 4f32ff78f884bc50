//! The teacher's answers: the logits of each of its folds for every row and text.
//!
//! They are computed once and kept as `RUN/teacher/fold-K/NNNNN.safetensors`, a file for each thousand texts, whose
//! metadata holds a digest of the texts and of the fold's model. A file that is damaged or of other texts or models is
//! written anew. The texts of a file are batched by themselves, so that its bits do not depend on where a killed command
//! went on.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use shared::batch::Batch;
use shared::ensemble;
use shared::kernels::scalar::sigmoid;
use shared::model::FrozenClassifier;
use shared::tokenizer::Tokenizer;

use super::teacher::TeacherRun;
use crate::{
    commands::train::inputs::Inputs,
    digest::Digest,
    grid::{Grid, Probabilities},
    inference, length_batches,
    progress::Progress,
    run::tensors,
};

/// The texts of a file.
const CHUNK_TEXTS: usize = 1024;

const METADATA_KEY: &str = "quintet_answers";
const LOGITS: &str = "logits";

/// The logits of each fold.
pub struct Answers {
    folds: Vec<Grid<f32>>,
}

/// A fold of the teacher, whose model is loaded once something is left to ask.
struct Fold<'a> {
    teacher: &'a TeacherRun,
    number: usize,
    digest: &'a str,
    device: &'a Device,
    model: Option<(Tokenizer, FrozenClassifier)>,
}

impl Answers {
    pub fn new(folds: Vec<Grid<f32>>) -> Self {
        Self { folds }
    }

    /// Asks each fold for what it has not answered yet.
    ///
    /// # Errors
    /// If a file of the teacher cannot be read, or an answer cannot be written.
    pub fn gather(
        teacher: &TeacherRun,
        digests: &[String],
        inputs: &Inputs,
        folder: &Path,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self> {
        let texts: Vec<&String> = inputs.dataset.texts.iter().chain(&inputs.unlabelled).collect();
        let mut folds = Vec::new();
        for (number, digest) in digests.iter().enumerate() {
            let mut fold = Fold { teacher, number, digest, device, model: None };
            let folder = folder.join(format!("fold-{number}"));
            folds.push(fold.answers(&texts, &folder, progress)?);
            progress.clear();
        }
        Ok(Self::new(folds))
    }

    /// The probabilities of a fold at a temperature.
    pub fn of_fold(&self, fold: usize, temperature: f64) -> Probabilities {
        let logits = &self.folds[fold];
        Probabilities::new(logits.columns(), softened(logits, temperature))
    }

    /// The mean of the folds' probabilities at a temperature.
    pub fn of_ensemble(&self, temperature: f64) -> Probabilities {
        let folds: Vec<Vec<f32>> =
            self.folds.iter().map(|logits| softened(logits, temperature)).collect();
        Probabilities::new(self.folds[0].columns(), ensemble::mean(&folds))
    }
}

impl Fold<'_> {
    fn answers(
        &mut self,
        texts: &[&String],
        folder: &Path,
        progress: &mut Progress,
    ) -> Result<Grid<f32>> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
        let labels = self.teacher.labels.len();
        let mut logits = Vec::with_capacity(texts.len() * labels);
        for (number, texts) in texts.chunks(CHUNK_TEXTS).enumerate() {
            let path = folder.join(format!("{number:05}.safetensors"));
            let digest = self.digest_of(texts);
            let known = read(&path, &digest, [texts.len(), labels]);
            logits.extend(match known {
                Some(known) => known,
                None => self.ask(texts, &path, digest, progress)?,
            });
            if self.model.is_some() {
                progress.rows(logits.len() / labels);
            }
        }
        Ok(Grid::new(labels, logits))
    }

    /// Computes and keeps the answers to some texts.
    fn ask(
        &mut self,
        texts: &[&String],
        path: &Path,
        digest: String,
        progress: &Progress,
    ) -> Result<Vec<f32>> {
        if self.model.is_none() {
            progress.note(format_args!("fold {} of the teacher answers", self.number));
            self.model = Some(self.load()?);
        }
        let (tokenizer, model) = self.model.as_ref().expect("loaded above");
        let max_len = self.teacher.config.max_len;
        let input_ids: Vec<Vec<u32>> =
            texts.par_iter().map(|text| tokenizer.encode(text, max_len).input_ids).collect();
        let input_ids: Vec<&[u32]> = input_ids.iter().map(Vec::as_slice).collect();
        let labels = self.teacher.labels.len();
        let forward = |batch: &Batch| Ok(model.logits(batch)?.flatten_all()?.to_vec1::<f32>()?);
        let logits =
            length_batches::run(model.device(), &input_ids, labels, forward, |_| ())?.into_values();
        let tensor = Tensor::from_slice(&logits, (texts.len(), labels), &Device::Cpu)?;
        let metadata = [(METADATA_KEY.to_owned(), digest)].into();
        tensors::write(path, metadata, &[(LOGITS.to_owned(), tensor)].into())?;
        Ok(logits)
    }

    fn load(&self) -> Result<(Tokenizer, FrozenClassifier)> {
        let TeacherRun { run, labels, .. } = self.teacher;
        let tokenizer = inference::common_tokenizer(run, &[self.number])?;
        Ok((tokenizer, inference::load_fold(&run.fold(self.number), labels, self.device)?))
    }

    fn digest_of(&self, texts: &[&String]) -> String {
        let mut digest = Digest::default();
        digest.bytes(self.digest.as_bytes());
        texts.iter().for_each(|text| digest.bytes(text.as_bytes()));
        digest.finish()
    }
}

/// The answers in a file, if it is whole and theirs.
fn read(path: &Path, digest: &String, shape: [usize; 2]) -> Option<Vec<f32>> {
    let (metadata, tensors) = tensors::read(path).ok()?;
    let logits = tensors.get(LOGITS)?;
    if metadata.get(METADATA_KEY) != Some(digest) || logits.dims() != shape {
        return None;
    }
    logits.flatten_all().ok()?.to_vec1().ok()
}

fn softened(logits: &Grid<f32>, temperature: f64) -> Vec<f32> {
    logits.rows().flatten().map(|logit| sigmoid(logit / temperature as f32)).collect()
}
