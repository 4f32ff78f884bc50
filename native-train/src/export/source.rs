//! The parts of a run that go into a bundle: trained folds, tokenizer, thresholds, scores, and the texts that they were measured
//! on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor};
use shared::bundle::{About, Contents, Encoding, Provenance, Scores, resident_classifier};
use shared::model::{DebertaConfig, FrozenClassifier};
use shared::quant::Format;
use shared::tokenizer::Tokenizer;
use shared::{LabelSet, Thresholds};

use super::scores::scores;
use crate::config::TrainConfig;
use crate::data::Dataset;
use crate::error::UserError;
use crate::evaluation::report::Summary;
use crate::inference::{self, common_tokenizer};
use crate::pretrained::{self, Pretrained, public_name};
use crate::progress::Progress;
use crate::run::files::{self, damaged, read_json};
use crate::run::tables::ThresholdTable;
use crate::run::{FoldFolder, Run};
use crate::scored_rows::{ScoredRows, training_rows};

/// A run without the models' weights, which [`Source::read`] reads.
pub struct Source {
    pub config: TrainConfig,
    pub labels: LabelSet,
    pub thresholds: Thresholds,
    pub tokenizer: Tokenizer,
    /// The folds to export, by their numbers in the run, ascending.
    pub folds: Vec<usize>,
    pub dataset: Dataset,
    /// The fold that held out each row of the data set.
    pub fold_of: Vec<usize>,
    run: Run,
    model: DebertaConfig,
    weights: Vec<Pretrained>,
    /// The model that learned from all rows, once it was asked for.
    final_model: Option<Pretrained>,
    ancestor: Option<Pretrained>,
    summary: Summary,
    scores: Scores,
}

/// The folds of a run to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoldChoice {
    All,
    These(Vec<usize>),
}

/// The models of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Models {
    /// The model of each fold.
    Folds,
    /// One model, with the mean of the folds' weights.
    Soup,
    /// The one model that learned from all rows.
    Final,
    /// The model of each fold, and beside them the one that learned from all rows.
    Both,
}

impl Models {
    /// Whether the folds are among them.
    pub fn have_folds(self) -> bool {
        matches!(self, Self::Folds | Self::Both)
    }
}

impl Source {
    /// Opens a run. `train_csv` is where the run's texts are now; `None`: where they were.
    ///
    /// # Errors
    /// If a fold was not trained, a file is missing or damaged, or the texts are not the run's.
    pub fn open(
        folder: &Path,
        choice: &FoldChoice,
        train_csv: Option<&Path>,
        progress: &Progress,
    ) -> Result<Self> {
        let run = Run::open(folder)?;
        let config = TrainConfig::load(&run.config_toml())?;
        let folds = chosen(&run, choice, config.folds)?;
        let summary: Summary = read_json(&run.summary_json())?;
        let table = ThresholdTable::read(&run.thresholds_json())?;
        let (labels, thresholds) = (table.labels, table.thresholds);
        if config.labels.as_ref() != Some(&labels) || summary.labels != labels {
            return Err(damaged(&run.thresholds_json(), "its labels are not the run's"));
        }
        let weights = folds.iter().map(|&fold| open_fold(&run.fold(fold), &labels));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let model = weights[0].config.clone();
        if let Some(place) = weights.iter().position(|fold| fold.config != model) {
            let what = format!("it is not the config of fold {}", folds[0]);
            return Err(damaged(&run.fold(folds[place]).config_json(), what));
        }
        let tokenizer = common_tokenizer(&run, &folds)?;
        let (dataset, fold_of) = training_rows(&run, &config, &labels, train_csv, progress)?;
        let scored = ScoredRows::of_run(&run, &config, &summary, &dataset, fold_of.clone())?;
        let summary = scored.with_intervals(summary);
        let scores = scores(&summary, &scored);
        Ok(Self {
            config,
            labels,
            thresholds,
            tokenizer,
            folds,
            dataset,
            fold_of,
            run,
            model,
            weights,
            final_model: None,
            ancestor: None,
            summary,
            scores,
        })
    }

    /// Whether the run has a model that learned from all rows.
    pub fn has_final(&self) -> bool {
        self.run.final_model().has_model()
    }

    /// Opens the model that learned from all rows.
    ///
    /// # Errors
    /// If the run has none, or it is none of this run.
    pub fn open_final(&mut self) -> Result<()> {
        let folder = self.run.final_model();
        if !folder.has_model() {
            let run = self.run.folder().display();
            return Err(UserError::new(format!("`{run}` has no final model"))
                .hint("`distil` trains one; `--soup` averages the folds of any run")
                .into());
        }
        let model = open_fold(&folder, &self.labels)?;
        if model.config != self.model {
            let what = format!("it is not the config of fold {}", self.folds[0]);
            return Err(damaged(&folder.config_json(), what));
        }
        if files::read(&folder.tokenizer_json())?
            != files::read(&self.fold_folder(0).tokenizer_json())?
        {
            let what = format!("it is not the tokenizer of fold {}", self.folds[0]);
            return Err(damaged(&folder.tokenizer_json(), what));
        }
        self.final_model = Some(model);
        Ok(())
    }

    /// Finds the model that the run began with: `named`, else the one in the run's settings. `false` if the run began with random
    /// weights, or if the model cannot be found any more, which is noted.
    ///
    /// # Errors
    /// If `named` cannot be used.
    pub fn find_ancestor(&mut self, named: Option<&str>, progress: &Progress) -> Result<bool> {
        let model = named.map_or_else(|| self.config.model.to_string(), str::to_owned);
        self.ancestor = match pretrained::resolve(&model, progress.downloads()) {
            Ok(found) => found.has_weights().then_some(found),
            Err(error) if named.is_some() => return Err(error),
            Err(error) => {
                progress.note(format_args!("the model that the run began with: {error:#}"));
                None
            }
        };
        Ok(self.ancestor.is_some())
    }

    /// Some rows of a tensor of the fold at `place` of [`folds`](Self::folds).
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, place: usize, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        self.weights[place]
            .read_rows(name, rows)
            .map_err(|error| inference::of_fold(error, &self.fold_folder(place)))
    }

    /// Some rows of a tensor of the model that the run began with, if it has the tensor.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_ancestor(&self, name: &str, rows: Range<usize>) -> Result<Option<Vec<f32>>> {
        let Some(ancestor) = &self.ancestor else { return Ok(None) };
        let shapes = self.model.tensor_shapes(self.labels.len());
        ancestor.read_backbone_rows(name, &shapes[name], rows)
    }

    /// Some rows of the mean of the folds' tensors.
    ///
    /// # Errors
    /// If a fold's cannot be read.
    pub fn read_soup(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let mut sums: Vec<f64> = Vec::new();
        for place in 0..self.folds.len() {
            let values = self.read(place, name, rows.clone())?;
            sums.resize(values.len(), 0.0);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        }
        let folds = self.folds.len() as f64;
        Ok(sums.into_iter().map(|sum| (sum / folds) as f32).collect())
    }

    /// Some rows of a tensor of the model that learned from all rows.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_final(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        self.final_model
            .as_ref()
            .expect("opened before")
            .read_rows(name, rows)
            .map_err(|error| inference::of_fold(error, &self.run.final_model()))
    }

    /// The model that learned from all rows, in f32.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn final_model(&self) -> Result<FrozenClassifier> {
        inference::load_fold(&self.run.final_model(), &self.labels, &Device::Cpu)
    }

    /// The model of the folds' averaged weights, in f32.
    ///
    /// # Errors
    /// If a fold's cannot be read.
    pub fn soup(&self) -> Result<FrozenClassifier> {
        let mut tensors = BTreeMap::new();
        for (name, shape) in self.model.tensor_shapes(self.labels.len()) {
            let values = self.read_soup(&name, 0..shape[0])?;
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        }
        Ok(resident_classifier(&self.model, self.labels.len(), tensors, Format::F32.into())?)
    }

    /// The shape of the word embeddings, [rows, width].
    pub fn words(&self) -> [usize; 2] {
        [self.model.vocab_size, self.model.embedding_size]
    }

    /// The folder of the fold at `place` of [`folds`](Self::folds).
    pub fn fold_folder(&self, place: usize) -> FoldFolder {
        self.run.fold(self.folds[place])
    }

    /// The rows that the fold at `place` held out, ascending.
    pub fn held_out(&self, place: usize) -> Vec<usize> {
        let fold = self.folds[place];
        (0..self.dataset.len()).filter(|&row| self.fold_of[row] == fold).collect()
    }

    /// The contents of a bundle of these models.
    pub fn contents(
        &self,
        encoding: Encoding,
        hot_rows: Option<usize>,
        models: Models,
        title: Option<String>,
        license: Option<String>,
    ) -> Contents {
        Contents {
            about: About {
                title: title.unwrap_or_else(|| self.run.name()),
                license,
                provenance: self.provenance(models),
                scores: self.scores_of(models),
            },
            config: self.model.clone(),
            labels: self.labels.clone(),
            thresholds: self.thresholds.clone(),
            max_len: self.config.max_len,
            encoding,
            hot_rows,
            folds: match models {
                Models::Folds | Models::Both => self.folds.clone(),
                Models::Soup | Models::Final => vec![0],
            },
            final_model: models == Models::Both,
        }
    }

    /// The scores. Averaged weights are none of the models that were scored, and may be sure where those are not, so what is
    /// known of the probabilities of these is left out.
    fn scores_of(&self, models: Models) -> Scores {
        let mut scores = self.scores.clone();
        if models == Models::Soup {
            scores.per_label.iter_mut().for_each(|label| label.reliability.clear());
        }
        scores
    }

    fn provenance(&self, models: Models) -> Provenance {
        let mut versions: BTreeMap<String, String> = self.summary.versions.clone();
        let exported_by = concat!(env!("CARGO_PKG_NAME"), " export").to_owned();
        versions.insert(exported_by, env!("CARGO_PKG_VERSION").to_owned());
        Provenance {
            model: public_name(&self.summary.model),
            seed: self.summary.seed,
            run_folds: self.summary.folds,
            averaged_folds: match models {
                Models::Folds | Models::Final | Models::Both => None,
                Models::Soup => Some(self.folds.clone()),
            },
            final_model: models == Models::Final,
            rows: self.summary.rows,
            versions,
        }
    }
}

fn chosen(run: &Run, choice: &FoldChoice, count: usize) -> Result<Vec<usize>, UserError> {
    let folder = run.folder().display();
    let mut folds = match choice {
        FoldChoice::All => (0..count).collect(),
        FoldChoice::These(folds) => folds.clone(),
    };
    folds.sort_unstable();
    folds.dedup();
    if let Some(fold) = folds.iter().find(|&&fold| fold >= count) {
        return Err(UserError::new(format!("`{folder}` has no fold {fold}"))
            .hint(format!("its folds are 0 to {}", count - 1)));
    }
    let (trained, missing): (Vec<usize>, Vec<usize>) =
        folds.iter().partition(|&&fold| run.fold(fold).has_model());
    if missing.is_empty() {
        return Ok(folds);
    }
    let resume = format!("`{}` trains them", run.resume_command());
    let hint = match trained.is_empty() {
        true => resume,
        false => format!("{resume}; `--folds {}` does without", listed(&trained, ",")),
    };
    let missing = listed(&missing, ", ");
    Err(UserError::new(format!("of `{folder}` these folds are not trained: {missing}")).hint(hint))
}

fn listed(folds: &[usize], between: &str) -> String {
    folds.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn open_fold(fold: &FoldFolder, labels: &LabelSet) -> Result<Pretrained> {
    let pretrained = inference::open_fold(fold, labels)?;
    let report =
        pretrained.report(labels.len()).map_err(|error| inference::of_fold(error, fold))?;
    if !report.is_complete() {
        return Err(damaged(&fold.model_safetensors(), report));
    }
    Ok(pretrained)
}
