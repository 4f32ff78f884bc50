//! A trained run, as `predict` and `evaluate` open it: its ensemble, thresholds and columns.

use anyhow::Result;
use shared::Thresholds;
use shared::words::joined;

use crate::{
    cli::InferenceArgs,
    config::TrainConfig,
    data::{FileOptions, LabelValues, Unlabelled},
    device,
    error::UserError,
    inference::Ensemble,
    progress::Progress,
    run::{Run, files::damaged, tables::ThresholdTable},
    trust,
};

pub struct TrainedRun {
    run: Run,
    pub ensemble: Ensemble,
    /// The options by which the input is read.
    pub options: FileOptions,
    max_len: usize,
}

impl TrainedRun {
    /// Opens the run and warns of folds that are missing.
    ///
    /// # Errors
    /// If there is no run, a fold is missing without `--allow-missing-folds`, or a file is damaged.
    pub fn open(args: &InferenceArgs, progress: &Progress) -> Result<Self> {
        let run = Run::open(&args.run)?;
        let config = TrainConfig::load(&run.config_toml())?;
        let options = FileOptions {
            format: args.format,
            delimiter: args.delimiter,
            text_column: args.text_column.clone().or(config.text_column),
            id_column: args.id_column.clone().or(config.id_column),
            label_list_column: config.label_list_column,
            unlabelled: Unlabelled::default(),
            label_values: LabelValues::soft(config.soft_labels),
        };
        let labels =
            config.labels.ok_or_else(|| damaged(&run.config_toml(), "it has no labels"))?;
        let (trained, missing) = run.split_trained(0..config.folds);
        if trained.is_empty() || (!missing.is_empty() && !args.allow_missing_folds) {
            return Err(untrained(&run, &missing, config.folds).into());
        }
        let device = args.device.resolve_one(device::cards)?;
        trust::establish(device, progress)?;
        let device = device::open(device)?;
        let ensemble = Ensemble::load(&run, &trained, labels, config.max_len, &device)?;
        for fold in missing {
            progress.warn(format_args!("fold {fold} is not trained: its vote is missing"));
        }
        Ok(Self { run, ensemble, options, max_len: config.max_len })
    }

    /// The run's thresholds.
    ///
    /// # Errors
    /// If they are missing, damaged, or those of other labels.
    pub fn thresholds(&self) -> Result<Thresholds> {
        let path = self.run.thresholds_json();
        let table = ThresholdTable::read(&path)?;
        if table.labels != *self.ensemble.labels() {
            return Err(damaged(&path, "its labels are not those of the run"));
        }
        Ok(table.thresholds)
    }

    /// Warns of texts that were truncated.
    pub fn tell_truncated(&self, truncated: usize, rows: usize, progress: &Progress) {
        if truncated > 0 {
            progress.warn(format_args!(
                "{truncated} of {rows} texts are longer than {} tokens and were truncated",
                self.max_len
            ));
        }
    }
}

fn untrained(run: &Run, missing: &[usize], folds: usize) -> UserError {
    let resume = format!("`{}` trains them", run.resume_command());
    let run = run.folder().display();
    if missing.len() == folds {
        return UserError::new(format!("`{run}` has no trained fold")).hint(resume);
    }
    let missing = joined(missing);
    UserError::new(format!("these of the {folds} folds of `{run}` are not trained: {missing}"))
        .hint(format!("{resume}; `--allow-missing-folds` predicts without them"))
}
