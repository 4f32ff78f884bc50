//! The results of a training beside its models: scores, thresholds, predictions.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{context::TrainContext, inputs::Inputs, material::Material};
use crate::{
    config::TrainConfig,
    cross_validation::{Outcome, Predictions},
    evaluation::{
        decide,
        report::{Distillation, OutOfFold, Seconds, Summary},
    },
    memory, report,
    run::{
        Run,
        files::{read_json, write_json},
        tables::{ID, ThresholdTable, write_decisions, write_probabilities},
    },
    scored_rows::ScoredRows,
};

/// The summary of a run whose wanted folds are all trained and in the summary.
///
/// # Errors
/// If the summary exists and cannot be read.
pub fn finished(run: &Run, config: &TrainConfig) -> Result<Option<Summary>> {
    let trained = |fold: &usize| run.fold(*fold).has_model();
    let wanted_are_trained = match config.only_fold {
        Some(fold) => trained(&fold),
        None => (0..config.folds).all(|fold| trained(&fold)),
    };
    let mut written = vec![run.oof_csv(), run.thresholds_json(), run.summary_json()];
    written.extend(config.test_csv.as_ref().map(|_| run.submission_csv()));
    if !wanted_are_trained || !written.iter().all(|file| file.exists()) {
        return Ok(None);
    }
    let summary: Summary = read_json(&run.summary_json())?;
    // A fold may have been trained after the summary of the others was written.
    let counts_all = summary.per_fold.len() == (0..config.folds).filter(trained).count();
    Ok(counts_all.then_some(summary))
}

/// Scores the outcome and writes oof.csv, thresholds.json, submission.csv and summary.json.
///
/// `clock` is the time at which the command began, and the time from then to the first training step.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    run: &Run,
    context: &TrainContext,
    outcome: &Outcome,
    distillation: Option<Distillation>,
    clock: (Instant, Duration),
) -> Result<Summary> {
    let (inputs, predictions) = (&context.inputs, &outcome.predictions);
    let dataset = &inputs.dataset;
    let labels = &dataset.labels;
    let rows = scored_rows(inputs, predictions);
    let scored = rows.score();

    write_probabilities(&run.oof_csv(), labels, &rows.ids, &rows.probabilities)?;
    let thresholds = scored.thresholds.clone();
    ThresholdTable { labels: labels.clone(), thresholds }.write(&run.thresholds_json())?;
    if let (Some(test), Some(probabilities)) = (&inputs.test, &predictions.test) {
        let decisions = decide(probabilities, &scored.thresholds);
        let id = test.id_column.as_deref().unwrap_or(ID);
        write_decisions(&run.submission_csv(), id, labels, &test.ids, &decisions)?;
    }
    let seconds = seconds(&context.material, outcome, clock);
    let summary = summary(context, outcome, scored, distillation, seconds);
    report::write(run, &summary, &rows)?;
    // Last, as a run with a summary counts as finished.
    write_json(&run.summary_json(), &summary)?;
    Ok(summary)
}

/// The rows that were scored.
pub fn scored_rows(inputs: &Inputs, predictions: &Predictions) -> ScoredRows {
    let Predictions { rows, out_of_fold, .. } = predictions;
    ScoredRows::of(&inputs.dataset, &inputs.folds, rows, out_of_fold)
}

fn summary(
    TrainContext { config, inputs, material }: &TrainContext,
    outcome: &Outcome,
    scored: OutOfFold,
    distillation: Option<Distillation>,
    seconds: Seconds,
) -> Summary {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Summary {
        model: config.model.to_string(),
        seed: u64::from(config.seed),
        versions: BTreeMap::from([(env!("CARGO_PKG_NAME").to_owned(), version)]),
        labels: inputs.dataset.labels.clone(),
        rows: inputs.dataset.len(),
        split: config.split.to_string(),
        folds: config.folds,
        cross_validation: scored.cross_validation,
        per_label: scored.per_label,
        per_fold: outcome.predictions.folds.clone(),
        distillation,
        duplicates: inputs.duplicates.clone(),
        truncated_texts: material.truncated,
        seconds,
        peak_memory_bytes: memory::peak_memory_bytes(),
    }
}

fn seconds(
    material: &Material,
    outcome: &Outcome,
    (started, setup): (Instant, Duration),
) -> Seconds {
    let (train, validate) = (outcome.times.train, outcome.times.validation);
    let (predict, total) = (outcome.prediction_time, started.elapsed());
    Seconds {
        setup: setup.saturating_sub(material.tokenise_time).as_secs_f64(),
        tokenise: material.tokenise_time.as_secs_f64(),
        train: train.as_secs_f64(),
        validate: validate.as_secs_f64(),
        predict: predict.as_secs_f64(),
        files: total.saturating_sub(setup + train + validate + predict).as_secs_f64(),
        total: total.as_secs_f64(),
    }
}
