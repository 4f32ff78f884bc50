//! A bundle as a browser would load it, against the run: the same texts through both, and what differs.

use anyhow::{Result, ensure};
use shared::bundle::{Encoding, EnsembleScores, FoldModel, FoldScores, Manifest, Verification};
use shared::ensemble;
use shared::quant::Format;

use super::reference::{Reference, logits, probabilities};
use super::{BundleFolder, Source};
use crate::evaluation::{Decisions, Scores, decide};
use crate::grid::{Grid, Probabilities, Targets};

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
        match encoding.format() {
            // The same numbers through the same code.
            Some(Format::F32) => Self { probability: 1e-6, macro_f1: 1e-6 },
            Some(Format::F16) => Self { probability: 1e-3, macro_f1: 0.005 },
            Some(Format::Int16) => Self { probability: 1e-4, macro_f1: 0.001 },
            Some(Format::Int12) => Self { probability: 5e-3, macro_f1: 0.005 },
            Some(Format::Int8) => Self { probability: 0.05, macro_f1: 0.02 },
            // With few bits a single text may go far astray; macro-F1 tells whether many do.
            _ => Self { probability: 0.5, macro_f1: 0.02 },
        }
    }
}

/// Loads every model of the bundle and compares it with the run's; `done` hears the place of the one that is through.
///
/// # Errors
/// If a shard cannot be read, or the two tokenizers differ. What is out of tolerance is for [`check`] to say.
pub fn compare(
    source: &Source,
    reference: &Reference,
    manifest: &Manifest,
    folder: &BundleFolder,
    mut done: impl FnMut(usize),
) -> Result<Verification> {
    let common = &reference.common;
    let (mut rows, mut models) = (Judgement::default(), Vec::new());
    for (place, judged) in reference.judged.iter().enumerate() {
        let model = load(manifest, folder, place)?;
        check_tokenizer(&model, reference, source)?;
        let ours = logits(model.classifier(), &judged.input_ids, source)?;
        rows.add(source, &judged.targets, &ours, &judged.logits);
        models.push(probabilities(&logits(model.classifier(), &common.input_ids, source)?));
        done(place);
    }
    let ours = ensemble::mean(&models);
    let of_ensemble = Differences::of(&ours, &common.bundled);
    let (macro_f1_run, macro_f1_bundle) = rows.macro_f1();
    Ok(Verification {
        rows: rows.targets.len() / source.labels.len(),
        logit_difference: rows.logits.largest,
        fold_probability_difference: rows.probabilities.largest,
        probability_difference: of_ensemble.largest,
        tolerance: Tolerance::of(manifest.encoding()).probability,
        mean_fold_probability_difference: rows.probabilities.mean(),
        mean_probability_difference: of_ensemble.mean(),
        macro_f1_run,
        macro_f1_bundle,
        folds: rows.folds,
        ensemble: ensemble_scores(source, reference, ours),
    })
}

/// # Errors
/// If the bundle differs from the run by more than its encoding may.
pub fn check(found: &Verification, encoding: Encoding) -> Result<()> {
    let Tolerance { probability, macro_f1 } = Tolerance::of(encoding);
    let difference = found.probability_difference;
    ensure!(
        difference <= probability,
        "the bundle differs from the run: a probability by {difference:.2e}, of {encoding} at most \
         {probability:.0e} is taken; nothing was published"
    );
    ensure!(
        macro_f1_drop(found) <= macro_f1,
        "the bundle is worse than the run: macro-F1 {:.4} rather than {:.4}, of {encoding} {macro_f1} less \
         is taken; nothing was published",
        found.macro_f1_bundle,
        found.macro_f1_run
    );
    Ok(())
}

/// The macro-F1 that a bundle loses against its run; below zero where it gains.
pub fn macro_f1_drop(found: &Verification) -> f64 {
    found.macro_f1_run - found.macro_f1_bundle
}

/// The fold as a browser loads it.
fn load(manifest: &Manifest, folder: &BundleFolder, fold: usize) -> Result<FoldModel> {
    FoldModel::load(manifest, fold, |_, shard| folder.read(shard))
}

/// The common texts must have the same ids by the run's tokenizer and by the bundle's.
fn check_tokenizer(model: &FoldModel, reference: &Reference, source: &Source) -> Result<()> {
    let common = &reference.common;
    for (row, (text, input_ids)) in common.texts.iter().zip(&common.input_ids).enumerate() {
        ensure!(
            model.tokenizer().encode(text, source.config.max_len).input_ids == *input_ids,
            "the bundle's tokenizer reads text {row} otherwise than the run's"
        );
    }
    Ok(())
}

fn ensemble_scores(source: &Source, reference: &Reference, ours: Vec<f32>) -> EnsembleScores {
    let (common, labels) = (&reference.common, source.labels.len());
    let decided = |probabilities: &[f32]| {
        decide(&Probabilities::new(labels, probabilities.to_vec()), &source.thresholds)
    };
    let (ours, theirs) = (decided(&ours), decided(&common.folds));
    let score = |decisions: &Decisions| {
        common.targets.as_ref().map(|targets| Scores::new(targets, decisions).macro_f1())
    };
    let (macro_f1_run, macro_f1_bundle) = (score(&theirs), score(&ours));
    let alike = ours.rows().flatten().zip(theirs.rows().flatten()).filter(|(a, b)| a == b).count();
    let all = common.texts.len() * labels;
    EnsembleScores {
        rows: common.texts.len(),
        seen_in_training: common.seen_in_training,
        agreement: alike as f64 / all.max(1) as f64,
        macro_f1_run,
        macro_f1_bundle,
    }
}

/// What single models say of labelled rows, so far.
#[derive(Default)]
struct Judgement {
    targets: Vec<u8>,
    of_run: Vec<bool>,
    of_bundle: Vec<bool>,
    logits: Differences,
    probabilities: Differences,
    folds: Vec<FoldScores>,
    labels: usize,
}

impl Judgement {
    fn add(&mut self, source: &Source, targets: &Targets, ours: &[f32], theirs: &[f32]) {
        self.labels = source.labels.len();
        self.logits.add(Differences::of(ours, theirs));
        let (ours, theirs) = (probabilities(ours), probabilities(theirs));
        self.probabilities.add(Differences::of(&ours, &theirs));
        let decided = |probabilities: Vec<f32>| {
            decide(&Probabilities::new(self.labels, probabilities), &source.thresholds)
        };
        let (ours, theirs) = (decided(ours), decided(theirs));
        self.folds.push(FoldScores {
            macro_f1_run: Scores::new(targets, &theirs).macro_f1(),
            macro_f1_bundle: Scores::new(targets, &ours).macro_f1(),
        });
        self.targets.extend(targets.rows().flatten());
        self.of_run.extend(theirs.rows().flatten());
        self.of_bundle.extend(ours.rows().flatten());
    }

    /// Of the run and of the bundle, over all rows together.
    fn macro_f1(&self) -> (f64, f64) {
        let targets = Targets::new(self.labels, self.targets.clone());
        let score = |decisions: &Vec<bool>| {
            Scores::new(&targets, &Grid::new(self.labels, decisions.clone())).macro_f1()
        };
        (score(&self.of_run), score(&self.of_bundle))
    }
}

/// Of numbers, pair by pair.
#[derive(Debug, Default, Clone, Copy)]
struct Differences {
    largest: f64,
    sum: f64,
    count: usize,
}

impl Differences {
    fn of(ours: &[f32], theirs: &[f32]) -> Self {
        debug_assert_eq!(ours.len(), theirs.len());
        let mut all = Self { count: ours.len(), ..Self::default() };
        for (a, b) in ours.iter().zip(theirs) {
            let difference = (f64::from(*a) - f64::from(*b)).abs();
            // A NaN on one side is a difference like no other.
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            all.largest = all.largest.max(difference);
            all.sum += difference;
        }
        all
    }

    fn add(&mut self, other: Self) {
        self.largest = self.largest.max(other.largest);
        self.sum += other.sum;
        self.count += other.count;
    }

    fn mean(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}
