//! The answers of the run's own models to the texts that bundles are compared on, computed once for all bundles.
//!
//! Each fold judges the rows it held out. The texts that go through every fold, for the ensemble's mean, are those of a
//! separate file, else a sample of the training texts. Averaged weights and a final model have held out no texts: the effect of an
//! encoding on them is measured on that sample, and how they differ from the folds on the texts that go through every fold.

use anyhow::Result;
use candle_core::Device;
use rayon::prelude::*;
use shared::batch::Batch;
use shared::ensemble;
use shared::kernels::scalar::sigmoid;
use shared::model::FrozenClassifier;

use super::Source;
use super::source::Models;
use crate::grid::{Grid, Targets};
use crate::{inference, length_batches};

/// The number of training texts that go through every fold.
const SAMPLE_ROWS: usize = 500;

/// The run's answers.
pub struct Reference {
    /// The answers of the folds, or of the one model that goes into the bundle.
    pub models: Answers,
    /// The answers of the final model, where it goes into the bundle beside the folds.
    pub final_model: Option<Answers>,
    pub common: Common,
}

/// The answers of one model, or of several whose mean is the answer.
pub struct Answers {
    /// What each of them says of the texts that it is judged by.
    pub judged: Vec<Judged>,
    /// Their mean for the common texts.
    pub mean: Vec<f32>,
}

/// Labelled texts and one model's answers.
pub struct Judged {
    pub input_ids: Vec<Vec<u32>>,
    pub targets: Targets,
    pub logits: Vec<f32>,
}

/// Texts that go through every model, and the answers.
pub struct Common {
    pub texts: Vec<String>,
    pub input_ids: Vec<Vec<u32>>,
    pub targets: Option<Targets>,
    pub seen_in_training: bool,
    /// The mean over the run's folds.
    pub folds: Vec<f32>,
}

impl Reference {
    /// `unseen` are texts that the run was not trained on, with targets if they have labels. `done` is called with each fold
    /// that is finished.
    ///
    /// # Errors
    /// If a file of the run cannot be read.
    pub fn new(
        source: &Source,
        models: Models,
        unseen: Option<(Vec<String>, Option<Targets>)>,
        mut done: impl FnMut(usize),
    ) -> Result<Self> {
        let seen_in_training = unseen.is_none();
        let (texts, targets) = unseen.unwrap_or_else(|| {
            let rows = sample(source);
            (texts(source, &rows), Some(source.dataset.targets.select(&rows)))
        });
        let input_ids = encode(source, &texts);
        let (mut judged, mut folds) = (Vec::new(), Vec::new());
        for place in 0..source.folds.len() {
            let model =
                inference::load_fold(&source.fold_folder(place), &source.labels, &Device::Cpu)?;
            if models.have_folds() {
                judged.push(Judged::new(source, &source.held_out(place), &model)?);
            }
            folds.push(probabilities(&logits(&model, &input_ids, source)?));
            done(source.folds[place]);
        }
        let folds = ensemble::mean(&folds);
        let one = |model: FrozenClassifier| -> Result<Answers> {
            let judged = vec![Judged::new(source, &sample(source), &model)?];
            let mean = probabilities(&logits(&model, &input_ids, source)?);
            Ok(Answers { judged, mean })
        };
        let of_folds = Answers { judged, mean: folds.clone() };
        let (models, final_model) = match models {
            Models::Folds => (of_folds, None),
            Models::Both => (of_folds, Some(one(source.final_model()?)?)),
            Models::Soup => (one(source.soup()?)?, None),
            Models::Final => (one(source.final_model()?)?, None),
        };
        let common = Common { texts, input_ids, targets, seen_in_training, folds };
        Ok(Self { models, final_model, common })
    }
}

impl Judged {
    fn new(source: &Source, rows: &[usize], model: &FrozenClassifier) -> Result<Self> {
        let input_ids = encode(source, &texts(source, rows));
        let logits = logits(model, &input_ids, source)?;
        Ok(Self { input_ids, targets: source.dataset.targets.select(rows), logits })
    }
}

/// Rows of the training file, evenly spaced.
fn sample(source: &Source) -> Vec<usize> {
    let step = source.dataset.len().div_ceil(SAMPLE_ROWS).max(1);
    (0..source.dataset.len()).step_by(step).collect()
}

fn texts(source: &Source, rows: &[usize]) -> Vec<String> {
    rows.iter().map(|&row| source.dataset.texts[row].clone()).collect()
}

fn encode(source: &Source, texts: &[String]) -> Vec<Vec<u32>> {
    let encode = |text: &String| source.tokenizer.encode(text, source.config.max_len).input_ids;
    texts.par_iter().map(encode).collect()
}

/// The logits of each text, in their order.
pub fn logits(
    model: &FrozenClassifier,
    input_ids: &[Vec<u32>],
    source: &Source,
) -> Result<Vec<f32>> {
    let texts: Vec<&[u32]> = input_ids.iter().map(Vec::as_slice).collect();
    let forward = |batch: &Batch| Ok(model.logits(batch)?.flatten_all()?.to_vec1::<f32>()?);
    let logits: Grid<f32> =
        length_batches::run(model.device(), &texts, source.labels.len(), forward, |_| ())?;
    Ok(logits.into_values())
}

pub fn probabilities(logits: &[f32]) -> Vec<f32> {
    logits.iter().copied().map(sigmoid).collect()
}
