//! A trained run, as `predict` and `evaluate` open it: its ensemble, thresholds and columns.

use anyhow::Result;
use candle_core::Device;
use shared::bundle::Encoding;
use shared::words::{counted, joined};
use shared::{Thresholds, ensemble};

use crate::{
    cli::InferenceArgs,
    config::TrainConfig,
    data::{FileOptions, LabelValues, Unlabelled},
    device,
    error::UserError,
    export::verify::{Differences, Tolerance},
    inference::Ensemble,
    progress::Progress,
    run::{Run, files::damaged, tables::ThresholdTable},
    trust,
};

pub struct TrainedRun {
    run: Run,
    /// The folds that are trained.
    trained: Vec<usize>,
    pub ensemble: Ensemble,
    encoding: Encoding,
    /// The options by which the input is read.
    pub options: FileOptions,
    max_len: usize,
}

impl TrainedRun {
    /// Opens the run, its weights as a bundle of `encoding` has them, and warns of folds that are missing.
    ///
    /// # Errors
    /// If there is no run, a fold is missing without `--allow-missing-folds`, a file is damaged, or the encoding is none of the
    /// device's.
    pub fn open(args: &InferenceArgs, encoding: Encoding, progress: &Progress) -> Result<Self> {
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
        if !encoding.is_exact() && device != device::Device::Cpu {
            let message =
                format!("`--encoding {encoding}` is for the CPU, and the device is {device}");
            return Err(UserError::new(message)
                .hint("pass `--device cpu`, or leave `--encoding` out")
                .into());
        }
        trust::establish(device, progress)?;
        let device = device::open(device)?;
        let ensemble = match encoding.is_exact() {
            true => Ensemble::load(&run, &trained, labels, config.max_len, &device)?,
            false => Ensemble::load_as(encoding, &run, &trained, labels, config.max_len)?,
        };
        for fold in missing {
            progress.warn(format_args!("fold {fold} is not trained: its vote is missing"));
        }
        Ok(Self { run, trained, ensemble, encoding, options, max_len: config.max_len })
    }

    /// Labels texts in f32 as well and says how far the probabilities differ, unless the weights are in f32. One fold at a
    /// time is in memory twice.
    ///
    /// # Errors
    /// If a file is damaged, or a tensor operation fails.
    pub fn tell_difference(&self, texts: &[String], progress: &Progress) -> Result<()> {
        if self.encoding.is_exact() {
            return Ok(());
        }
        let (encoding, labels) = (self.encoding, self.ensemble.labels());
        let ours = self.ensemble.label(texts, |_| ())?.probabilities.into_values();
        let exact = self.trained.iter().map(|&fold| {
            let labels = labels.clone();
            let fold = Ensemble::load(&self.run, &[fold], labels, self.max_len, &Device::Cpu)?;
            Ok(fold.label(texts, |_| ())?.probabilities.into_values())
        });
        let exact = ensemble::mean(&exact.collect::<Result<Vec<_>>>()?);
        let found = Differences::of(&ours, &exact);
        let allowed = Tolerance::of(encoding).probability;
        let said = format!(
            "{encoding} beside f32, over the first {}: a probability differs by {:.1e} at most and {:.1e} on average; \
             `export` allows {allowed:.0e}",
            counted(texts.len(), "text"),
            found.largest,
            found.mean()
        );
        match found.largest <= allowed {
            true => progress.note(format_args!("{said}")),
            false => progress.warn(format_args!("{said}")),
        }
        Ok(())
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
        .hint(format!(
            "{resume}; `predict` and `evaluate` do without them by `--allow-missing-folds`"
        ))
}
