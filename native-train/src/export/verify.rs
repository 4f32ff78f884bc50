//! A comparison of a bundle, loaded as a browser loads it, with its run: the same texts go through both.

use anyhow::{Result, ensure};
use shared::bundle::{Encoding, EnsembleScores, FoldModel, FoldScores, Manifest, Verification};
use shared::ensemble;
use shared::quant::Format;

use super::reference::{Answers, Common, Reference, logits, probabilities};
use super::{BundleFolder, Source};
use crate::evaluation::{Decisions, Scores, decide};
use crate::grid::{Grid, Probabilities, Targets};

/// The differences from the run that an encoding may cause.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// The largest difference of a probability of the ensemble.
    pub probability: f64,
    /// The most that macro-F1 may be lower than the run's.
    pub macro_f1: f64,
}

impl Tolerance {
    /// The tolerance of an encoding.
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

/// The comparison of a bundle with its run.
#[derive(Debug, Clone)]
pub struct Found {
    /// Of the folds, or of the bundle's one model.
    pub models: Verification,
    /// Of the final model, where it is beside the folds.
    pub final_model: Option<Verification>,
}

impl Found {
    /// Both comparisons, as far as they were made.
    pub fn all(&self) -> impl Iterator<Item = &Verification> {
        std::iter::once(&self.models).chain(&self.final_model)
    }
}

/// Loads every model of the bundle and compares it with the run's. `done` is called with the index of each that is finished.
///
/// # Errors
/// If a shard cannot be read, or if the two tokenizers differ. Tolerances are the business of [`check`].
pub fn compare(
    source: &Source,
    reference: &Reference,
    manifest: &Manifest,
    folder: &BundleFolder,
    mut done: impl FnMut(usize),
) -> Result<Found> {
    let mut load = |place: usize| {
        let model = load(manifest, folder, place)?;
        check_tokenizer(&model, &reference.common, source)?;
        done(place);
        Ok(model)
    };
    let encoding = manifest.encoding();
    let models = compare_models(source, &reference.common, &reference.models, encoding, &mut load)?;
    let final_model = reference.final_model.as_ref().zip(manifest.final_model());
    let final_model = final_model.map(|(answers, place)| {
        compare_models(source, &reference.common, answers, encoding, |_| load(place))
    });
    Ok(Found { models, final_model: final_model.transpose()? })
}

/// Compares one model, or several and their mean, with the answers of the run's. `load` gives each of them by its place in the
/// answers.
fn compare_models(
    source: &Source,
    common: &Common,
    answers: &Answers,
    encoding: Encoding,
    mut load: impl FnMut(usize) -> Result<FoldModel>,
) -> Result<Verification> {
    let (mut rows, mut models) = (Judgement::default(), Vec::new());
    for (place, judged) in answers.judged.iter().enumerate() {
        let model = load(place)?;
        let ours = logits(model.classifier(), &judged.input_ids, source)?;
        rows.add(source, &judged.targets, &ours, &judged.logits);
        models.push(probabilities(&logits(model.classifier(), &common.input_ids, source)?));
    }
    let ours = ensemble::mean(&models);
    let of_ensemble = Differences::of(&ours, &answers.mean);
    let (macro_f1_run, macro_f1_bundle) = rows.macro_f1();
    Ok(Verification {
        rows: rows.targets.len() / source.labels.len(),
        logit_difference: rows.logits.largest,
        fold_probability_difference: rows.probabilities.largest,
        probability_difference: of_ensemble.largest,
        tolerance: Tolerance::of(encoding).probability,
        mean_fold_probability_difference: rows.probabilities.mean(),
        mean_probability_difference: of_ensemble.mean(),
        macro_f1_run,
        macro_f1_bundle,
        folds: rows.folds,
        ensemble: ensemble_scores(source, common, ours),
    })
}

/// Checks that the bundle is within the tolerance of its encoding.
///
/// # Errors
/// If it differs from the run by more.
pub fn check(found: &Found, encoding: Encoding) -> Result<()> {
    check_models("the bundle", &found.models, encoding)?;
    match &found.final_model {
        Some(found) => check_models("the bundle's final model", found, encoding),
        None => Ok(()),
    }
}

fn check_models(which: &str, found: &Verification, encoding: Encoding) -> Result<()> {
    let Tolerance { probability, macro_f1 } = Tolerance::of(encoding);
    let difference = found.probability_difference;
    ensure!(
        difference <= probability,
        "{which} differs from the run: a probability by {difference:.2e}, and {encoding} allows \
         {probability:.0e}; nothing was published"
    );
    ensure!(
        macro_f1_drop(found) <= macro_f1,
        "{which} is worse than the run: macro-F1 {:.4} instead of {:.4}, and {encoding} \
         allows {macro_f1} less; nothing was published",
        found.macro_f1_bundle,
        found.macro_f1_run
    );
    Ok(())
}

/// The macro-F1 that a bundle loses against its run; below zero where it gains.
pub fn macro_f1_drop(found: &Verification) -> f64 {
    found.macro_f1_run - found.macro_f1_bundle
}

/// Loads a fold as a browser does.
fn load(manifest: &Manifest, folder: &BundleFolder, fold: usize) -> Result<FoldModel> {
    FoldModel::load(manifest, fold, |_, shard| folder.read(shard))
}

/// Checks that the run's tokenizer and the bundle's give the common texts the same ids.
fn check_tokenizer(model: &FoldModel, common: &Common, source: &Source) -> Result<()> {
    for (row, (text, input_ids)) in common.texts.iter().zip(&common.input_ids).enumerate() {
        ensure!(
            model.tokenizer().encode(text, source.config.max_len).input_ids == *input_ids,
            "the bundle's tokenizer gives text {row} other ids than the run's"
        );
    }
    Ok(())
}

fn ensemble_scores(source: &Source, common: &Common, ours: Vec<f32>) -> EnsembleScores {
    let labels = source.labels.len();
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

/// The decisions of single models about labelled rows, so far.
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

    /// Macro-F1 of the run and of the bundle, over all rows together.
    fn macro_f1(&self) -> (f64, f64) {
        let targets = Targets::new(self.labels, self.targets.clone());
        let score = |decisions: &Vec<bool>| {
            Scores::new(&targets, &Grid::new(self.labels, decisions.clone())).macro_f1()
        };
        (score(&self.of_run), score(&self.of_bundle))
    }
}

/// The differences of pairs of numbers.
#[derive(Debug, Default, Clone, Copy)]
pub struct Differences {
    /// The largest.
    pub largest: f64,
    sum: f64,
    count: usize,
}

impl Differences {
    /// Compares two lists of as many numbers.
    pub fn of(ours: &[f32], theirs: &[f32]) -> Self {
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

    /// Their mean.
    pub fn mean(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}
