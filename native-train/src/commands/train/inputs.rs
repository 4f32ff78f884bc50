//! The texts of a training: rows with labels and folds, and test texts.

use anyhow::{Context, Result};
use shared::LabelSet;

use crate::{
    config::TrainConfig,
    data::{Dataset, Duplicates, Folds, LabelChoice, LabelRule, LabelValues, Loaded, Texts, folds},
    error::UserError,
    progress::Progress,
    run::tables::ID,
};

pub struct Inputs {
    pub dataset: Dataset,
    pub folds: Folds,
    /// Texts without labels, which only a teacher can make something of.
    pub unlabelled: Vec<String>,
    pub test: Option<Texts>,
    pub duplicates: Duplicates,
}

impl Inputs {
    /// Reads the files that the settings name, deals the rows to folds, and reports warnings.
    ///
    /// # Errors
    /// If a file or column is missing, a label has another value than it may, or there are too few rows for
    /// the folds.
    pub fn read(config: &TrainConfig, progress: &Progress) -> Result<Self> {
        let (dataset, test) = read(config, progress)?;
        let seed = u64::from(config.seed);
        let (folds, warnings) = folds::assign(&dataset, config.split, config.folds, seed)?;
        warnings.iter().for_each(|warning| warning.tell(progress));
        Ok(Self::new(dataset, folds, test))
    }

    /// Reads the files that the settings name, of which `fold_of` tells the rows' folds.
    ///
    /// # Errors
    /// If a file or column is missing, or `fold_of` refuses the rows.
    pub fn dealt_by(
        config: &TrainConfig,
        fold_of: impl FnOnce(&Dataset) -> Result<Vec<usize>>,
        progress: &Progress,
    ) -> Result<Self> {
        let (dataset, test) = read(config, progress)?;
        let folds = Folds::new(fold_of(&dataset)?, config.folds);
        Ok(Self::new(dataset, folds, test))
    }

    fn new(dataset: Dataset, folds: Folds, test: Option<Texts>) -> Self {
        let test_texts = test.as_ref().map(|test| &test.texts[..]);
        let duplicates = Duplicates::new(&dataset.texts, &folds, test_texts);
        Self { dataset, folds, unlabelled: Vec::new(), test, duplicates }
    }
}

/// The training file, and the texts of the test file.
fn read(config: &TrainConfig, progress: &Progress) -> Result<(Dataset, Option<Texts>)> {
    let options = config.file_options();
    let labels = config.labels.as_ref().map(LabelSet::names);
    let labels = labels.map_or(LabelChoice::Find, LabelChoice::Named);
    let loaded = Dataset::read(&config.train_csv, &options, labels)?;
    if loaded.dataset.labels.names().iter().any(|name| name == ID) {
        let message =
            format!("`{ID}` cannot be a label: the run's tables have a column of that name");
        return Err(UserError::new(message)
            .hint("give the label another name in the training file")
            .into());
    }
    tell(&loaded, options.label_values, progress);
    let test = match &config.test_csv {
        Some(path) => {
            let (texts, warnings) =
                Texts::read(path, &options).context("cannot read the test file")?;
            warnings.iter().for_each(|warning| warning.tell(progress));
            Some(texts)
        }
        None => None,
    };
    Ok((loaded.dataset, test))
}

/// Reports the warnings, and the label columns if the user did not name them.
fn tell(loaded: &Loaded, values: LabelValues, progress: &Progress) {
    loaded.warnings.iter().for_each(|warning| warning.tell(progress));
    if let LabelRule::ByValues { left_out } = &loaded.label_rule {
        let names = loaded.dataset.labels.names().join(", ");
        progress.note(format_args!("labels are the columns that hold only {values}: {names}"));
        for column in left_out {
            progress.note(format_args!("  not among them: {column}"));
        }
        if values == LabelValues::Probabilities {
            // Scores, shares and weights are such numbers too.
            progress.note("  if one of them is no label, name those that are with `--labels`");
        }
    }
    if let LabelRule::Lists { column } = &loaded.label_rule {
        let names = loaded.dataset.labels.names().join(", ");
        progress.note(format_args!(
            "labels are all that the lists in `{column}` hold, sorted: {names}"
        ));
    }
    if values == LabelValues::Probabilities {
        progress
            .note("labels are probabilities: folds, thresholds and scores take 0.5 and more as 1");
    }
}
