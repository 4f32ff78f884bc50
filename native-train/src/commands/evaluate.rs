//! `evaluate`: scores a run on a labelled file.

use anyhow::Result;
use shared::Thresholds;
use shared::quant::Format;

use super::{stdout::print, trained_run::TrainedRun};
use crate::{
    cli::EvaluateArgs,
    config::set_threads,
    data::{Dataset, FileOptions, LabelChoice, LabelValues, Unlabelled},
    evaluation::{report::Evaluation, table::evaluation_table},
    grid::Probabilities,
    inference::CHUNK_ROWS,
    progress::Progress,
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
        let trained = TrainedRun::open(&args.inference, Format::F32.into(), progress)?;
        let thresholds = trained.thresholds()?;
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
        Ok(Self { dataset, probabilities, thresholds })
    }
}

/// Prints scores at 0.5 and at the run's thresholds.
///
/// # Errors
/// As of [`Judged::by`].
pub fn run(args: &EvaluateArgs, progress: &mut Progress) -> Result<()> {
    set_threads(args.inference.threads)?;
    let Judged { dataset, probabilities, thresholds } = Judged::by(args, progress)?;
    let Dataset { labels, targets, .. } = &dataset;
    let evaluation = Evaluation::new(labels, targets, &probabilities, &thresholds);
    if args.json {
        return print(&(serde_json::to_string_pretty(&evaluation)? + "\n"));
    }
    print(&evaluation_table(&evaluation))
}
