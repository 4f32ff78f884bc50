//! What `predict` and `evaluate` open alike: a run's ensemble, its thresholds, the input's columns.

use anyhow::Result;
use shared::Thresholds;

use crate::{
    cli::InferenceArgs,
    config::{TrainConfig, set_threads},
    data::ColumnChoice,
    device,
    inference::{Ensemble, MissingFolds},
    progress::Progress,
    run::{Run, files::damaged, tables::ThresholdTable},
};

pub struct TrainedRun {
    run: Run,
    pub ensemble: Ensemble,
    pub columns: ColumnChoice,
    max_len: usize,
}

impl TrainedRun {
    /// # Errors
    /// If there is no run, a fold is missing and may not be, or a file is damaged.
    pub fn open(args: &InferenceArgs, progress: &Progress) -> Result<Self> {
        set_threads(args.threads)?;
        let run = Run::open(&args.run)?;
        let config = TrainConfig::load(&run.config_toml())?;
        let columns = ColumnChoice {
            text: args.text_column.clone().or(config.text_column),
            id: args.id_column.clone().or(config.id_column),
        };
        let missing_folds =
            if args.allow_missing_folds { MissingFolds::Allow } else { MissingFolds::Refuse };
        let device = device::open(args.device.resolve()?)?;
        let (ensemble, missing) = Ensemble::load(&run, missing_folds, &device)?;
        for fold in missing {
            progress.warn(format_args!("fold {fold} was not trained: its vote is missing"));
        }
        Ok(Self { run, ensemble, columns, max_len: config.max_len })
    }

    /// # Errors
    /// If they are not there, damaged, or those of other labels.
    pub fn thresholds(&self) -> Result<Thresholds> {
        let path = self.run.thresholds_json();
        let table = ThresholdTable::read(&path)?;
        if table.labels != *self.ensemble.labels() {
            return Err(damaged(&path, "its labels are not the run's"));
        }
        Ok(table.thresholds)
    }

    /// Says how many texts were cut, if any.
    pub fn tell_truncated(&self, truncated: usize, rows: usize, progress: &Progress) {
        if truncated > 0 {
            progress.warn(format_args!(
                "{truncated} of {rows} texts are longer than {} tokens and were cut",
                self.max_len
            ));
        }
    }
}
