//! The teacher: a trained run, of which students learn fold by fold.

use std::path::Path;

use anyhow::Result;
use shared::LabelSet;
use shared::words::joined;

use crate::{
    config::{Places, Settings, TrainConfig},
    data::Dataset,
    digest::Digest,
    error::UserError,
    evaluation::report::Summary,
    inference,
    progress::Progress,
    run::{
        Run,
        files::{self, damaged, read_json},
    },
    scored_rows,
};

/// A run of which every fold is trained.
pub struct TeacherRun {
    pub run: Run,
    pub config: TrainConfig,
    pub labels: LabelSet,
    pub summary: Summary,
}

impl TeacherRun {
    /// Opens a run.
    ///
    /// # Errors
    /// If there is none, a fold is not trained, or a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Run::open(folder)?;
        let config = TrainConfig::load(&run.config_toml())?;
        let (_, missing) = run.split_trained(0..config.folds);
        if !missing.is_empty() {
            return Err(unfinished(&run, &missing).into());
        }
        let labels = config.labels.clone();
        let labels = labels.ok_or_else(|| damaged(&run.config_toml(), "it has no labels"))?;
        let summary = read_json(&run.summary_json())?;
        Ok(Self { run, config, labels, summary })
    }

    /// The settings that the students have of it. `train_csv` is named by the user if the file has moved.
    ///
    /// # Errors
    /// If the training file is not where it was.
    pub fn decided(&self, train_csv: Option<&Path>) -> Result<Settings> {
        let config = &self.config;
        let train_csv = match train_csv {
            Some(path) => path.to_owned(),
            None => Places::saved(&self.run).train_csv(&self.run, &config.train_csv)?,
        };
        Ok(Settings {
            train_csv: Some(train_csv),
            labels: Some(self.labels.names().to_vec()),
            text_column: config.text_column.clone(),
            id_column: config.id_column.clone(),
            format: config.format,
            delimiter: config.delimiter,
            label_list_column: config.label_list_column.clone(),
            skip_unlabelled: Some(config.skip_unlabelled),
            soft_labels: Some(config.soft_labels),
            folds: Some(config.folds),
            split: Some(config.split),
            ..Settings::default()
        })
    }

    /// The fold that held out each row of the training file.
    ///
    /// # Errors
    /// If the teacher was trained on other rows.
    pub fn fold_of(&self, dataset: &Dataset) -> Result<Vec<usize>> {
        if let Some(fold_of) = scored_rows::fold_of(&self.run, &self.config, dataset)? {
            return Ok(fold_of);
        }
        let run = self.run.folder().display();
        let message =
            format!("the training file holds other rows than the teacher `{run}` was trained on");
        Err(UserError::new(message)
            .hint("pass the file that the teacher was trained on as `--train-csv FILE`")
            .into())
    }

    /// Digests of what decides the answers of each fold.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn digests(&self) -> Result<Vec<String>> {
        (0..self.config.folds).map(|fold| self.digest(fold)).collect()
    }

    fn digest(&self, fold: usize) -> Result<String> {
        let folder = self.run.fold(fold);
        let mut digest = Digest::default();
        digest.bytes(&self.config.max_len.to_le_bytes());
        digest.texts(self.labels.names());
        digest.bytes(&files::read(&folder.config_json())?);
        digest.bytes(&files::read(&folder.tokenizer_json())?);
        let model = inference::open_fold(&folder, &self.labels)?;
        model.read_weight_files(|bytes| digest.piece(bytes))?;
        Ok(digest.finish())
    }

    /// Warns if the teacher's own scores are too good, as the students' then are as well.
    pub fn tell_doubts(&self, progress: &Progress) {
        let twins = self.summary.duplicates.normalized.twin_in_another_fold;
        if twins.rows > 0 {
            progress.warn(format_args!(
                "the teacher was validated on {} of {} rows whose texts it was trained on, so its scores are too good, \
                 and those of its students a little as well",
                twins.rows, twins.of
            ));
        }
    }
}

fn unfinished(run: &Run, missing: &[usize]) -> UserError {
    let (folder, missing) = (run.folder().display(), joined(missing));
    UserError::new(format!("these folds of the teacher `{folder}` are not trained: {missing}"))
        .hint(format!("`{}` trains them", run.resume_command()))
}
