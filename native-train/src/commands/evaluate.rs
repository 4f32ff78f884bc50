//! `evaluate`: scores a run on a labelled file.

use std::path::Path;

use anyhow::Result;
use shared::LabelSet;

use super::{stdout::print, trained_run::TrainedRun};
use crate::{
    cli::EvaluateArgs,
    data::{Dataset, csv::Reader, quoted},
    error::UserError,
    evaluation::{report::Evaluation, table::evaluation_table},
    grid::Probabilities,
    inference::CHUNK_ROWS,
    progress::Progress,
};

/// Prints scores at 0.5 and at the run's thresholds.
///
/// # Errors
/// If a fold is not trained, or the input lacks a label of the run.
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

/// Checks that the file has the run's labels, which a user cannot choose here.
fn check_labels(input: &Path, labels: &LabelSet) -> Result<()> {
    let reader = Reader::open(input)?;
    let Some(missing) = labels.names().iter().find(|name| !reader.header().contains(name)) else {
        return Ok(());
    };
    let (file, found) = (reader.file(), quoted(reader.header()));
    Err(UserError::new(format!(
        "`{file}` has no column for the run's label `{missing}` (found: {found})"
    ))
    .hint("add a column of 0 and 1 for each label of the run; `predict` needs none")
    .into())
}
