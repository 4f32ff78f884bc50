//! The bundle as a browser would load it, against the run: the same texts through both, and what differs.
//!
//! Each fold judges the rows it held out, and a sample of all rows goes through every fold for the ensemble's mean.

use anyhow::{Result, bail, ensure};
use candle_core::Device;
use rayon::prelude::*;
use shared::batch::Batch;
use shared::bundle::{Encoding, FoldLoader, FoldModel, Manifest, Verification};
use shared::ensemble;
use shared::kernels::scalar::sigmoid;
use shared::model::FrozenClassifier;

use super::{BundleFolder, Source};
use crate::evaluation::{Scores, decide};
use crate::grid::{Grid, Probabilities};
use crate::{inference, length_batches};

/// Rows that go through every fold.
const ENSEMBLE_ROWS: usize = 500;

/// What an encoding may change.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Of the ensemble's probabilities, the largest over rows and labels.
    pub probability: f64,
    /// By how much macro-F1 may be lower than the run's.
    pub macro_f1: f64,
}

impl Tolerance {
    pub fn of(encoding: Encoding) -> Self {
        match encoding {
            // The same numbers through the same code.
            Encoding::F32 => Self { probability: 1e-6, macro_f1: 1e-6 },
            Encoding::F16 => Self { probability: 1e-3, macro_f1: 0.005 },
            Encoding::Int16 => Self { probability: 1e-4, macro_f1: 0.001 },
            Encoding::Int8 => Self { probability: 0.05, macro_f1: 0.02 },
        }
    }
}

/// Loads every fold of the bundle and compares it with the run's.
///
/// # Errors
/// If a shard or a file of the run cannot be read, or the two tokenizers differ. What is out of tolerance is for
/// [`check`] to say.
pub fn compare(
    source: &Source,
    manifest: &Manifest,
    folder: &BundleFolder,
    mut fold_done: impl FnMut(usize),
) -> Result<Verification> {
    let all: Vec<usize> = (0..source.dataset.len()).collect();
    let sample: Vec<usize> =
        all.iter().copied().step_by(all.len().div_ceil(ENSEMBLE_ROWS).max(1)).collect();
    let mut rows = Rows::default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for place in 0..source.folds.len() {
        let model = load(manifest, folder, place)?;
        let reference =
            inference::load_fold(&source.fold_folder(place), &source.labels, &Device::Cpu)?;
        let held_out = source.held_out(place);
        let input_ids = encode(source, &model, &held_out)?;
        rows.add(&held_out, &input_ids, model.classifier(), &reference, source)?;

        let input_ids = encode(source, &model, &sample)?;
        ours.push(through(model.classifier(), &input_ids, source)?.1.into_values());
        theirs.push(through(&reference, &input_ids, source)?.1.into_values());
        fold_done(place);
    }
    let (ours, theirs) = (ensemble::mean(&ours), ensemble::mean(&theirs));
    let targets = source.dataset.targets.select(&rows.rows);
    let macro_f1 = |probabilities: Vec<f32>| {
        let probabilities = Probabilities::new(source.labels.len(), probabilities);
        Scores::new(&targets, &decide(&probabilities, &source.thresholds)).macro_f1()
    };
    Ok(Verification {
        rows: rows.rows.len(),
        logit_difference: rows.logit_difference,
        fold_probability_difference: rows.probability_difference,
        probability_difference: largest_difference(&ours, &theirs),
        tolerance: Tolerance::of(manifest.encoding()).probability,
        macro_f1_run: macro_f1(rows.of_run),
        macro_f1_bundle: macro_f1(rows.of_bundle),
    })
}

/// # Errors
/// If the bundle differs from the run by more than its encoding may.
pub fn check(found: &Verification, encoding: Encoding) -> Result<()> {
    let Tolerance { probability, macro_f1 } = Tolerance::of(encoding);
    let (difference, name) = (found.probability_difference, encoding.name());
    ensure!(
        difference <= probability,
        "the bundle differs from the run: a probability by {difference:.2e}, of {name} at most \
         {probability:.0e} is taken; nothing was published"
    );
    let drop = found.macro_f1_run - found.macro_f1_bundle;
    ensure!(
        drop <= macro_f1,
        "the bundle is worse than the run: macro-F1 {:.4} rather than {:.4}, of {name} {macro_f1} less \
         is taken; nothing was published",
        found.macro_f1_bundle,
        found.macro_f1_run
    );
    Ok(())
}

/// The fold as a browser loads it.
fn load(manifest: &Manifest, folder: &BundleFolder, fold: usize) -> Result<FoldModel> {
    let mut loader = FoldLoader::new(manifest, fold);
    for index in manifest.shards_of(fold) {
        loader.take(index, &folder.read(&manifest.shards()[index])?)?;
    }
    Ok(loader.finish()?)
}

/// The ids of rows, which must be the same by the run's tokenizer and by the bundle's.
fn encode(source: &Source, model: &FoldModel, rows: &[usize]) -> Result<Vec<Vec<u32>>> {
    let max_len = source.config.max_len;
    let encode = |&row: &usize| {
        let text = &source.dataset.texts[row];
        let encoding = source.tokenizer.encode(text, max_len);
        if model.tokenizer().encode(text, max_len) != encoding {
            bail!("the bundle's tokenizer reads row {row} otherwise than the run's");
        }
        Ok(encoding.input_ids)
    };
    rows.par_iter().map(encode).collect()
}

/// Logits and probabilities.
fn through(
    classifier: &FrozenClassifier,
    input_ids: &[Vec<u32>],
    source: &Source,
) -> Result<(Grid<f32>, Probabilities)> {
    let texts: Vec<&[u32]> = input_ids.iter().map(Vec::as_slice).collect();
    let labels = source.labels.len();
    let forward = |batch: &Batch| Ok(classifier.logits(batch)?.flatten_all()?.to_vec1::<f32>()?);
    let logits = length_batches::run(&texts, labels, forward, |_| ())?;
    let probabilities = logits.rows().flatten().copied().map(sigmoid).collect();
    Ok((logits, Probabilities::new(labels, probabilities)))
}

/// Out-of-fold rows so far.
#[derive(Default)]
struct Rows {
    rows: Vec<usize>,
    of_bundle: Vec<f32>,
    of_run: Vec<f32>,
    logit_difference: f64,
    probability_difference: f64,
}

impl Rows {
    fn add(
        &mut self,
        rows: &[usize],
        input_ids: &[Vec<u32>],
        bundle: &FrozenClassifier,
        run: &FrozenClassifier,
        source: &Source,
    ) -> Result<()> {
        let (logits, probabilities) = through(bundle, input_ids, source)?;
        let (run_logits, run_probabilities) = through(run, input_ids, source)?;
        let logits = largest_difference(&logits.into_values(), &run_logits.into_values());
        let (ours, theirs) = (probabilities.into_values(), run_probabilities.into_values());
        self.logit_difference = self.logit_difference.max(logits);
        self.probability_difference =
            self.probability_difference.max(largest_difference(&ours, &theirs));
        self.rows.extend(rows);
        self.of_bundle.extend(ours);
        self.of_run.extend(theirs);
        Ok(())
    }
}

fn largest_difference(ours: &[f32], theirs: &[f32]) -> f64 {
    debug_assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    // A NaN on one side is a difference like no other.
    differences.map(|d| if d.is_nan() { f64::INFINITY } else { d }).fold(0.0, f64::max)
}
