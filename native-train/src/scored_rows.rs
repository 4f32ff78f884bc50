//! The rows that a run was trained on, and what its models say of those that they have not seen.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use shared::LabelSet;

use crate::config::{Places, TrainConfig};
use crate::data::{Dataset, Folds, Groups, LabelChoice};
use crate::error::UserError;
use crate::evaluation::report::{OutOfFold, Summary};
use crate::evaluation::threshold_search::cross_fitted;
use crate::evaluation::{Decisions, decide_at_half};
use crate::grid::{Probabilities, Targets};
use crate::progress::Progress;
use crate::run::Run;
use crate::run::files::{damaged, read_json};
use crate::run::tables::{FoldTable, read_probabilities};

/// The rows that a trained fold has held out, in the order of the training file; each field has one entry for each.
pub struct ScoredRows {
    pub labels: LabelSet,
    pub ids: Vec<String>,
    pub texts: Vec<String>,
    pub targets: Targets,
    /// The out-of-fold probabilities.
    pub probabilities: Probabilities,
    /// The fold that held out each row.
    pub fold_of: Vec<usize>,
}

impl ScoredRows {
    /// Reads them. `train_csv` is where the run's texts are now; `None`: where they were.
    ///
    /// # Errors
    /// If the run has no scores yet, a file is missing or damaged, or the texts are not the run's.
    pub fn read(folder: &Path, train_csv: Option<&Path>, progress: &Progress) -> Result<Self> {
        let run = Run::open(folder)?;
        let config = TrainConfig::load(&run.config_toml())?;
        let summary: Summary = read_json(&run.summary_json())?;
        let labels = &summary.labels;
        let (dataset, fold_of) = training_rows(&run, &config, labels, train_csv, progress)?;
        Self::of_run(&run, &config, &summary, &dataset, fold_of)
    }

    /// Reads the probabilities of a run whose training rows have been read; `fold_of` is the fold that held out each.
    ///
    /// # Errors
    /// If oof.csv is missing or damaged.
    pub fn of_run(
        run: &Run,
        config: &TrainConfig,
        summary: &Summary,
        dataset: &Dataset,
        fold_of: Vec<usize>,
    ) -> Result<Self> {
        let trained: Vec<usize> = summary.per_fold.iter().map(|fold| fold.fold).collect();
        let rows: Vec<usize> =
            (0..dataset.len()).filter(|&row| trained.contains(&fold_of[row])).collect();
        let (ids, probabilities) = read_probabilities(&run.oof_csv(), &summary.labels)?;
        let folds = Folds::new(fold_of, config.folds);
        let scored = Self::of(dataset, &folds, &rows, &probabilities);
        if scored.ids != ids {
            return Err(damaged(
                &run.oof_csv(),
                "its ids are not those of the rows that were scored",
            ));
        }
        Ok(scored)
    }

    /// The rows `rows` of a data set, which have these out-of-fold probabilities.
    pub fn of(
        dataset: &Dataset,
        folds: &Folds,
        rows: &[usize],
        probabilities: &Probabilities,
    ) -> Self {
        let of = |values: &[String]| rows.iter().map(|&row| values[row].clone()).collect();
        Self {
            labels: dataset.labels.clone(),
            ids: of(&dataset.ids),
            texts: of(&dataset.texts),
            targets: dataset.targets.select(rows),
            probabilities: probabilities.clone(),
            fold_of: rows.iter().map(|&row| folds.fold_of()[row]).collect(),
        }
    }

    /// Scores the probabilities, and finds the thresholds to predict with.
    pub fn score(&self) -> OutOfFold {
        let groups = Groups::of_equal(&self.texts);
        OutOfFold::score(&self.labels, &groups, &self.targets, &self.probabilities, &self.fold_of)
    }

    /// The summary of the run with intervals, which earlier versions did not write.
    pub fn with_intervals(&self, summary: Summary) -> Summary {
        if summary.cross_validation.intervals.is_some() {
            return summary;
        }
        let OutOfFold { cross_validation, per_label, .. } = self.score();
        Summary { cross_validation, per_label, ..summary }
    }

    /// The decisions with thresholds that were tuned on the other folds; at 0.5 if there is one fold alone.
    pub fn honest_decisions(&self) -> Decisions {
        cross_fitted(&self.targets, &self.probabilities, &self.fold_of)
            .unwrap_or_else(|| decide_at_half(&self.probabilities))
    }
}

/// The file that a run was trained on. `train_csv` is where it is now; `None`: where it was.
pub fn training_file(run: &Run, config: &TrainConfig, train_csv: Option<&Path>) -> PathBuf {
    let found = || Places::saved(run).train_csv(run, &config.train_csv).ok();
    train_csv.map(Path::to_owned).or_else(found).unwrap_or_else(|| config.train_csv.clone())
}

/// The rows that a run was trained on, and the fold that held out each. `train_csv` is where they are now; `None`: where they
/// were.
///
/// # Errors
/// If there is no such file, or it holds other rows.
pub fn training_rows(
    run: &Run,
    config: &TrainConfig,
    labels: &LabelSet,
    train_csv: Option<&Path>,
    progress: &Progress,
) -> Result<(Dataset, Vec<usize>)> {
    let path = &training_file(run, config, train_csv);
    if !path.exists() {
        return Err(UserError::new(format!("`{}` is not there", path.display()))
            .hint("pass the file that the run was trained on as `--train-csv FILE`")
            .into());
    }
    let labels = LabelChoice::OfRun(labels.names());
    let loaded = Dataset::read(path, &config.file_options(), labels)?;
    loaded.warnings.iter().for_each(|warning| warning.tell(progress));
    let Some(fold_of) = fold_of(run, config, &loaded.dataset)? else {
        let (path, run) = (path.display(), run.folder().display());
        let message = format!(
            "the ids, texts or labels of `{path}` are not those that `{run}` was trained on"
        );
        return Err(UserError::new(message)
            .hint(
                "put the file back as it was; `report`, `audit` and `export` take it from elsewhere with `--train-csv FILE`",
            )
            .into());
    };
    Ok((loaded.dataset, fold_of))
}

/// The fold that held out each row of a data set; `None` if the run was trained on other ids, texts or labels.
///
/// # Errors
/// If a file of the run is missing or damaged.
pub fn fold_of(run: &Run, config: &TrainConfig, dataset: &Dataset) -> Result<Option<Vec<usize>>> {
    #[derive(Deserialize)]
    struct Inputs {
        train: String,
    }
    let table = FoldTable::read(&run.folds_csv())?;
    if table.fold_of.iter().any(|&fold| fold >= config.folds) {
        return Err(damaged(&run.folds_csv(), "it has more folds than the run"));
    }
    let path = run.inputs_json();
    // Runs of the first versions have no digests.
    let is_the_runs = table.ids == dataset.ids
        && (!path.exists() || read_json::<Inputs>(&path)?.train == dataset.digest());
    Ok(is_the_runs.then_some(table.fold_of))
}
