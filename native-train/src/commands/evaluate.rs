//! `evaluate`: scores a run on a labelled file.

use std::path::Path;

use anyhow::Result;
use shared::quant::Format;
use shared::{Thresholds, ensemble};

use super::{stdout::print, trained_run::TrainedRun};
use crate::{
    cli::{EvaluateArgs, InferenceArgs},
    config::DeviceChoice,
    data::{Dataset, FileOptions, LabelChoice, LabelValues, Unlabelled},
    evaluation::{report::Evaluation, table::evaluation_table},
    grid::Probabilities,
    inference::{CHUNK_ROWS, Labelled},
    progress::Progress,
    threads,
};

/// A labelled file and what a run's ensemble says of it.
pub struct Judged {
    pub dataset: Dataset,
    pub probabilities: Probabilities,
    pub thresholds: Thresholds,
}

impl Judged {
    /// Reads the file and lets the ensemble label its texts.
    ///
    /// # Errors
    /// If a fold is not trained, or the input lacks a label of the run.
    pub fn by(args: &EvaluateArgs, progress: &mut Progress) -> Result<Self> {
        let (trained, dataset) = open(args, progress)?;
        let thresholds = trained.thresholds()?;
        let label =
            |texts: &[String], done: &mut dyn FnMut(usize)| trained.ensemble.label(texts, done);
        let values = label_all(&trained, &dataset, progress, label)?;
        let probabilities = Probabilities::new(dataset.labels.len(), values);
        Ok(Self { dataset, probabilities, thresholds })
    }

    /// Likewise, and what each fold says by itself.
    ///
    /// # Errors
    /// As of [`by`](Self::by).
    pub fn by_each(
        args: &EvaluateArgs,
        progress: &mut Progress,
    ) -> Result<(Self, Vec<Probabilities>)> {
        let (trained, dataset) = open(args, progress)?;
        let thresholds = trained.thresholds()?;
        let label = |texts: &[String], done: &mut dyn FnMut(usize)| {
            trained.ensemble.label_by_each(texts, done)
        };
        let values = label_all(&trained, &dataset, progress, label)?;
        let (labels, folds) = (dataset.labels.len(), trained.ensemble.folds());
        let of_fold = |fold: usize| -> Vec<f32> {
            let rows = values.chunks_exact(labels * folds);
            rows.flat_map(|row| &row[fold * labels..][..labels]).copied().collect()
        };
        let of_folds: Vec<Vec<f32>> = (0..folds).map(of_fold).collect();
        let probabilities = Probabilities::new(labels, ensemble::mean(&of_folds));
        let of_folds = of_folds.into_iter().map(|values| Probabilities::new(labels, values));
        Ok((Self { dataset, probabilities, thresholds }, of_folds.collect()))
    }
}

/// The flags by which a run labels a file as it labels its training file.
pub fn of_file(
    run: &Path,
    input: &Path,
    device: DeviceChoice,
    threads: Option<usize>,
) -> EvaluateArgs {
    let inference = InferenceArgs {
        run: run.to_owned(),
        input: input.to_owned(),
        allow_missing_folds: false,
        text_column: None,
        id_column: None,
        format: None,
        delimiter: None,
        device,
        threads,
    };
    EvaluateArgs {
        inference,
        json: false,
        skip_unlabelled: false,
        label_list_column: None,
        soft_labels: false,
    }
}

/// Opens the run and reads the file.
fn open(args: &EvaluateArgs, progress: &Progress) -> Result<(TrainedRun, Dataset)> {
    let trained = TrainedRun::open(&args.inference, Format::F32.into(), progress)?;
    let labels = trained.ensemble.labels();
    let unlabelled = Unlabelled::from(args.skip_unlabelled);
    let mut options = FileOptions { unlabelled, ..trained.options.clone() };
    if args.label_list_column.is_some() {
        options.label_list_column.clone_from(&args.label_list_column);
    }
    if args.soft_labels {
        options.label_values = LabelValues::Probabilities;
    }
    let loaded =
        Dataset::read(&args.inference.input, &options, LabelChoice::OfRun(labels.names()))?;
    loaded.warnings.iter().for_each(|warning| warning.tell(progress));
    Ok((trained, loaded.dataset))
}

/// Labels the texts by `label`, some at a time, and returns the rows of all.
fn label_all(
    trained: &TrainedRun,
    dataset: &Dataset,
    progress: &mut Progress,
    label: impl Fn(&[String], &mut dyn FnMut(usize)) -> Result<Labelled>,
) -> Result<Vec<f32>> {
    let (mut values, mut truncated) = (Vec::new(), 0);
    for (chunk, texts) in dataset.texts.chunks(CHUNK_ROWS).enumerate() {
        let before = chunk * CHUNK_ROWS;
        let labelled = label(texts, &mut |done| progress.rows(before + done))?;
        values.extend(labelled.probabilities.into_values());
        truncated += labelled.truncated;
    }
    progress.clear();
    trained.tell_truncated(truncated, dataset.len(), progress);
    Ok(values)
}

/// Prints scores at 0.5 and at the run's thresholds.
///
/// # Errors
/// As of [`Judged::by`].
pub fn run(args: &EvaluateArgs, progress: &mut Progress) -> Result<()> {
    threads::set(args.inference.threads)?;
    let Judged { dataset, probabilities, thresholds } = Judged::by(args, progress)?;
    let Dataset { labels, targets, .. } = &dataset;
    let evaluation = Evaluation::new(labels, targets, &probabilities, &thresholds);
    if args.json {
        return print(&(serde_json::to_string_pretty(&evaluation)? + "\n"));
    }
    print(&evaluation_table(&evaluation))
}
