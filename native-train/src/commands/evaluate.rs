//! `evaluate`: a run scored on a labelled file.

use std::path::Path;

use anyhow::Result;
use shared::LabelSet;

use super::{print, trained_run::TrainedRun};
use crate::{
    cli::EvaluateArgs,
    data::{Dataset, csv::Reader, listed},
    error::UserError,
    evaluation::{report::Evaluation, table::evaluation_table},
    grid::Probabilities,
    inference::CHUNK_ROWS,
    progress::Progress,
};

/// Prints scores at 0.5 and at the run's thresholds.
///
/// # Errors
/// If the run lacks folds, or the input lacks one of its labels.
pub fn run(args: &EvaluateArgs, progress: &mut Progress) -> Result<()> {
    let trained = TrainedRun::open(&args.inference, progress)?;
    let thresholds = trained.thresholds()?;
    let labels = trained.ensemble.labels();
    check_labels(&args.inference.input, labels)?;
    let loaded = Dataset::read(&args.inference.input, &trained.columns, Some(labels.names()))?;
    for warning in &loaded.warnings {
        progress.warn(warning);
    }
    let dataset = loaded.dataset;
    let (mut values, mut truncated) = (Vec::new(), 0);
    for (chunk, texts) in dataset.texts.chunks(CHUNK_ROWS).enumerate() {
        let before = chunk * CHUNK_ROWS;
        let labelled = trained.ensemble.label(texts, |done| progress.rows(before + done))?;
        values.extend(labelled.probabilities.rows().flatten());
        truncated += labelled.truncated;
    }
    progress.clear();
    trained.tell_truncated(truncated, dataset.len(), progress);
    let probabilities = Probabilities::new(labels.len(), values);
    let evaluation = Evaluation::new(labels, &dataset.targets, &probabilities, &thresholds);
    if args.json {
        return print(&(serde_json::to_string_pretty(&evaluation)? + "\n"));
    }
    print(&evaluation_table(&evaluation))
}

/// Said here, as the labels are not for the user to choose.
fn check_labels(input: &Path, labels: &LabelSet) -> Result<()> {
    let reader = Reader::open(input)?;
    let Some(lacking) = labels.names().iter().find(|name| !reader.header().contains(name)) else {
        return Ok(());
    };
    let (file, found) = (reader.file(), listed(reader.header()));
    Err(UserError::new(format!("`{file}` lacks the run's label `{lacking}` (found: {found})"))
        .hint("scoring takes a column of 0 and 1 for each label of the run; `predict` takes none")
        .into())
}
