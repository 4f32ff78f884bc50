//! The settings of a training: from a TOML file and flags to a [`TrainConfig`] that is complete and in
//! range, and saved with every run. Settings that must fit the model or the data (the longest text, the
//! labels) are checked against them elsewhere.

mod checks;
mod choices;
mod difference;
mod file;
mod places;
mod schedule;
mod settings;
mod shrink;

use std::{fs, path::Path, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shared::LabelSet;
use shared::csv::Delimiter;

use checks::check_hyperparameters;
pub use choices::{DeviceChoice, EventFiles, ModelChoice, ParallelFolds, PrecisionChoice};
pub use difference::Difference;
pub use places::{Places, located, of_config_file, place_of};
use schedule::Schedule;
pub use settings::Settings;
pub use shrink::{ShrinkConfig, ShrinkSettings};

use crate::{
    data::{FileOptions, LabelValues, Split, Unlabelled},
    device::{Cards, Device, Devices},
    error::{UserError, check},
    format::Format,
    run::files::damaged,
    threads::cores,
    training::{Hyperparameters, Order, Precision, event_file::EventFolder},
};

/// All settings of a training, defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainConfig {
    pub train_csv: PathBuf,
    pub output: PathBuf,
    pub test_csv: Option<PathBuf>,
    pub model: ModelChoice,
    pub max_len: usize,
    /// `None` for the model's own probabilities.
    pub dropout: Option<f64>,
    /// `None` until they are found in the data.
    pub labels: Option<LabelSet>,
    /// The column of lists of labels; `None` if each label has a column.
    pub label_list_column: Option<String>,
    pub text_column: Option<String>,
    pub id_column: Option<String>,
    /// `None` if it is told by each file's name.
    pub format: Option<Format>,
    /// `None` if it is found in each file.
    pub delimiter: Option<Delimiter>,
    #[serde(default)]
    pub skip_unlabelled: bool,
    #[serde(default)]
    pub soft_labels: bool,
    pub folds: usize,
    pub only_fold: Option<usize>,
    pub split: Split,
    pub epochs: usize,
    pub batch_size: usize,
    #[serde(default = "one")]
    pub grad_accumulation: usize,
    pub lr: f64,
    pub warmup_ratio: f64,
    pub weight_decay: f64,
    pub max_grad_norm: f64,
    pub no_shuffle: bool,
    pub seed: u32,
    pub device: Devices,
    pub precision: Precision,
    #[serde(default)]
    pub parallel_folds: ParallelFolds,
    #[serde(default)]
    pub checkpoint_seconds: u64,
    #[serde(default)]
    pub tensorboard: EventFiles,
    pub threads: usize,
}

/// The number of folds where none is given.
pub const DEFAULT_FOLDS: usize = 5;

impl TrainConfig {
    /// Fills in the defaults and checks every range. `cards` are the machine's GPUs, asked for only if a
    /// setting depends on them.
    ///
    /// # Errors
    /// If a setting is missing or out of range; the first is named by its key.
    pub fn resolve(given: Settings, cards: impl Fn() -> Cards) -> Result<Self> {
        let model = given.model.unwrap_or_else(|| ModelChoice::from(DEFAULT_MODEL.to_owned()));
        let schedule = Schedule::of(&model);
        let device = given.device.unwrap_or(DeviceChoice::Auto).resolve(&cards)?;
        let config = Self {
            train_csv: given.train_csv.ok_or_else(|| required("train-csv", "FILE"))?,
            output: given.output.ok_or_else(|| required("output", "RUN"))?,
            test_csv: given.test_csv,
            model,
            max_len: given.max_len.unwrap_or(128),
            dropout: given.dropout,
            labels: given.labels.map(label_set).transpose()?,
            label_list_column: given.label_list_column,
            text_column: given.text_column,
            id_column: given.id_column,
            format: given.format,
            delimiter: given.delimiter,
            skip_unlabelled: given.skip_unlabelled.unwrap_or(false),
            soft_labels: given.soft_labels.unwrap_or(false),
            folds: given.folds.unwrap_or(DEFAULT_FOLDS),
            only_fold: given.only_fold,
            split: given.split.unwrap_or_default(),
            epochs: given.epochs.unwrap_or(schedule.epochs),
            batch_size: given.batch_size.unwrap_or(16),
            grad_accumulation: given.grad_accumulation.unwrap_or(1),
            lr: given.lr.unwrap_or(schedule.lr),
            warmup_ratio: given.warmup_ratio.unwrap_or(0.1),
            weight_decay: given.weight_decay.unwrap_or(schedule.weight_decay),
            max_grad_norm: given.max_grad_norm.unwrap_or(1.0),
            no_shuffle: given.no_shuffle.unwrap_or(false),
            seed: given.seed.unwrap_or(42),
            precision: given.precision.unwrap_or(PrecisionChoice::Auto).resolve(&device, cards),
            parallel_folds: given.parallel_folds.unwrap_or_default(),
            checkpoint_seconds: given.checkpoint_seconds.unwrap_or(match device.first() {
                Device::Cpu => 0,
                Device::Cuda(_) => 60,
            }),
            device,
            tensorboard: given.tensorboard.unwrap_or_default(),
            threads: given.threads.unwrap_or_else(cores),
        };
        config.check_ranges()?;
        config.check_paths()?;
        Ok(config)
    }

    /// Checks that the paths can be saved with the other settings, as text.
    fn check_paths(&self) -> Result<(), UserError> {
        let paths = [
            ("train-csv", Some(&self.train_csv)),
            ("test-csv", self.test_csv.as_ref()),
            ("output", Some(&self.output)),
        ];
        for (key, path) in paths {
            if let Some(path) = path.filter(|path| path.to_str().is_none()) {
                let message = format!("`{key}` is `{}`, which is not UTF-8", path.display());
                return Err(UserError::new(message).hint("rename the file or folder"));
            }
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), UserError> {
        check("max-len", self.max_len, self.max_len >= 3, "3 or more ([CLS], a token, [SEP])")?;
        if let Some(dropout) = self.dropout {
            check("dropout", dropout, (0.0..1.0).contains(&dropout), "0 or more and below 1")?;
        }
        check("folds", self.folds, self.folds >= 2, "2 or more")?;
        if let Some(fold) = self.only_fold {
            let rule = format!("below the number of folds, {}", self.folds);
            check("only-fold", fold, fold < self.folds, &rule)?;
        }
        check_hyperparameters(&self.hyperparameters())?;
        check("threads", self.threads, self.threads >= 1, "1 or more")
    }

    /// The options by which the run's files are read.
    pub fn file_options(&self) -> FileOptions {
        FileOptions {
            format: self.format,
            delimiter: self.delimiter,
            text_column: self.text_column.clone(),
            id_column: self.id_column.clone(),
            label_list_column: self.label_list_column.clone(),
            unlabelled: Unlabelled::from(self.skip_unlabelled),
            label_values: LabelValues::soft(self.soft_labels),
        }
    }

    /// The settings of one fold's training.
    pub fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters {
            epochs: self.epochs,
            batch_size: self.batch_size,
            grad_accumulation: self.grad_accumulation,
            learning_rate: self.lr,
            warmup_ratio: self.warmup_ratio,
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
            order: if self.no_shuffle { Order::AsGiven } else { Order::Shuffled },
            seed: self.seed,
        }
    }

    /// Where TensorBoard is to find the training; `None` if nowhere.
    pub fn events(&self) -> Option<EventFolder> {
        const NAMES: [&str; 14] = [
            "model",
            "max-len",
            "dropout",
            "folds",
            "split",
            "epochs",
            "batch-size",
            "grad-accumulation",
            "lr",
            "warmup-ratio",
            "weight-decay",
            "max-grad-norm",
            "seed",
            "precision",
        ];
        let folder = self.tensorboard.folder(&self.output)?;
        let mut hyperparameters = self.table();
        hyperparameters.retain(|name, _| NAMES.contains(&name));
        Some(EventFolder { folder, hyperparameters })
    }

    /// The settings as a config file that `--config` reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain TOML values")
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote.
    ///
    /// This does not go through [`Settings`], as a run of another machine must be readable here, whether
    /// or not its device exists here.
    ///
    /// # Errors
    /// If the file cannot be read, or is not one that a run has saved.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        toml::from_str(&text).map_err(|error| damaged(path, error.message()))
    }

    /// The settings that keep `saved`'s training from being continued with these.
    ///
    /// Some settings do not change the result of a fold and so may differ: the folder's path, which fold
    /// is trained, how many are side by side, on which GPUs, the time between checkpoints, and TensorBoard's files. The number
    /// of threads may not, nor may the CPU take the place of a GPU: sums that are split otherwise may be rounded differently. The
    /// inputs' paths may differ as well, as their contents are compared.
    pub fn differences(&self, saved: &Self) -> Vec<Difference> {
        const FREE: [&str; 5] =
            ["output", "only-fold", "parallel-folds", "checkpoint-seconds", "tensorboard"];
        let is_free = |key: &str| {
            FREE.contains(&key)
                || key == "train-csv"
                || key == "device" && self.is_on_gpus() == saved.is_on_gpus()
                || key == "test-csv" && self.test_csv.is_some() == saved.test_csv.is_some()
                || key == "model" && !self.is_built_in() && !saved.is_built_in()
        };
        difference::between(&self.table(), &saved.table(), is_free)
    }

    fn is_built_in(&self) -> bool {
        matches!(self.model, ModelChoice::Mini | ModelChoice::Small)
    }

    fn is_on_gpus(&self) -> bool {
        self.device.first() != Device::Cpu
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("settings are plain TOML values")
    }
}

/// The `grad-accumulation` of runs that were saved before it was a setting.
fn one() -> usize {
    1
}

const DEFAULT_MODEL: &str = "microsoft/deberta-v3-base";

fn required(key: &str, value: &str) -> UserError {
    UserError::new(format!("`{key}` is not set"))
        .hint(format!("pass `--{key} {value}`, or set `{key}` in a config file"))
}

fn label_set(names: Vec<String>) -> Result<LabelSet, UserError> {
    LabelSet::new(names).map_err(|error| UserError::new(format!("`labels`: {error}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn given() -> Settings {
        Settings {
            train_csv: Some("train.csv".into()),
            output: Some("run".into()),
            threads: Some(2),
            ..Settings::default()
        }
    }

    fn resolve(settings: Settings) -> Result<TrainConfig> {
        TrainConfig::resolve(settings, || Err("there is none"))
    }

    fn refusal(settings: Settings) -> String {
        resolve(settings).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_the_reference_jobs() {
        let config = resolve(given()).unwrap();
        assert_eq!(config.model, ModelChoice::Pretrained("microsoft/deberta-v3-base".to_owned()));
        assert_eq!((config.epochs, config.batch_size, config.max_len), (4, 16, 128));
        assert_eq!((config.folds, config.split, config.seed), (5, Split::Grouped, 42));
        assert_eq!((config.lr, config.weight_decay), (1.5e-5, 0.01));
        assert_eq!((config.warmup_ratio, config.max_grad_norm), (0.1, 1.0));
        assert!(!config.no_shuffle && config.dropout.is_none());
    }

    #[test]
    fn a_run_that_was_saved_before_a_setting_was_there_is_read() {
        let config = resolve(given()).unwrap();
        let newer = [
            "soft-labels",
            "grad-accumulation",
            "parallel-folds",
            "checkpoint-seconds",
            "tensorboard",
        ];
        let saved = config.to_toml();
        let older: Vec<&str> =
            saved.lines().filter(|line| !newer.iter().any(|key| line.starts_with(key))).collect();
        assert_eq!(older.len() + newer.len(), saved.lines().count());
        let older: TrainConfig = toml::from_str(&older.join("\n")).unwrap();
        assert_eq!(older, TrainConfig { checkpoint_seconds: 0, ..config });
    }

    #[test]
    fn mini_has_a_schedule_of_its_own_and_flags_win_over_it() {
        let mini = Settings { model: Some(ModelChoice::Mini), epochs: Some(2), ..given() };
        let config = resolve(mini).unwrap();
        assert_eq!((config.epochs, config.lr, config.weight_decay), (2, 5e-4, 2.0));
    }

    #[test]
    fn help_tells_all_schedules() {
        let defaults = |model: &str| {
            let model = Some(ModelChoice::from(model.to_owned()));
            let TrainConfig { epochs, lr, weight_decay, .. } =
                resolve(Settings { model, ..given() }).unwrap();
            BTreeMap::from([("epochs", epochs as f64), ("lr", lr), ("weight-decay", weight_decay)])
        };
        let (reference, small, mini) =
            (defaults(DEFAULT_MODEL), defaults("small"), defaults("mini"));
        let command = <Settings as clap::Args>::augment_args(clap::Command::new("train"));
        for (key, reference) in reference {
            let flag = command.get_arguments().find(|flag| flag.get_long() == Some(key)).unwrap();
            let help = flag.get_help().unwrap().to_string();
            let told = help.split_once("[default: ").unwrap().1.trim_end_matches(']');
            let (told, of_mini) = told.split_once("; mini: ").unwrap();
            let (of_reference, of_small) = told.split_once("; small: ").unwrap_or((told, told));
            assert_eq!(of_reference.parse(), Ok(reference), "{key}");
            assert_eq!(of_small.parse(), Ok(small[key]), "{key}");
            assert_eq!(of_mini.parse(), Ok(mini[key]), "{key}");
        }
    }

    #[test]
    fn what_is_saved_reads_back_as_flags_and_as_a_config() {
        let config = resolve(Settings {
            labels: Some(vec!["joy".to_owned(), "fear".to_owned()]),
            dropout: Some(0.0),
            no_shuffle: Some(true),
            only_fold: Some(1),
            test_csv: Some("test.csv".into()),
            ..given()
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(TrainConfig::load(&path).unwrap(), config);
        assert_eq!(resolve(Settings::read(&path).unwrap()).unwrap(), config);
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert_eq!(
            refusal(Settings { folds: Some(1), ..given() }),
            "`folds` is 1, but must be 2 or more"
        );
        assert_eq!(
            refusal(Settings { only_fold: Some(5), ..given() }),
            "`only-fold` is 5, but must be below the number of folds, 5"
        );
        for (settings, key) in [
            (Settings { max_len: Some(2), ..given() }, "max-len"),
            (Settings { dropout: Some(1.0), ..given() }, "dropout"),
            (Settings { dropout: Some(f64::NAN), ..given() }, "dropout"),
            (Settings { epochs: Some(0), ..given() }, "epochs"),
            (Settings { batch_size: Some(0), ..given() }, "batch-size"),
            (Settings { lr: Some(0.0), ..given() }, "lr"),
            (Settings { lr: Some(f64::INFINITY), ..given() }, "lr"),
            (Settings { warmup_ratio: Some(1.1), ..given() }, "warmup-ratio"),
            (Settings { weight_decay: Some(-0.1), ..given() }, "weight-decay"),
            (Settings { max_grad_norm: Some(0.0), ..given() }, "max-grad-norm"),
            (Settings { threads: Some(0), ..given() }, "threads"),
            (Settings { train_csv: None, ..given() }, "train-csv"),
            (Settings { output: None, ..given() }, "output"),
            (Settings { labels: Some(vec!["a".into(), "a".into()]), ..given() }, "labels"),
        ] {
            let message = refusal(settings);
            assert!(message.starts_with(&format!("`{key}`")), "{message}");
        }
    }

    #[test]
    fn differences_name_what_changed_and_pass_over_what_is_free() {
        let saved = resolve(given()).unwrap();
        let mut now = saved.clone();
        now.output = "elsewhere".into();
        now.only_fold = Some(3);
        // Their contents are compared by others.
        now.train_csv = "moved/train.csv".into();
        now.model = ModelChoice::from("moved/model".to_owned());
        assert_eq!(now.differences(&saved), []);

        now.lr = 3e-5;
        now.dropout = Some(0.2);
        let lines: Vec<String> = now.differences(&saved).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["dropout: was not set, now 0.2", "lr: was 0.000015, now 0.00003"]);

        now = TrainConfig { test_csv: Some("test.csv".into()), ..saved.clone() };
        now.model = ModelChoice::Mini;
        let keys: Vec<String> =
            now.differences(&saved).into_iter().map(|other| other.key).collect();
        assert_eq!(keys, ["model", "test-csv"]);

        let on = |device: Device| TrainConfig { device: device.into(), ..saved.clone() };
        assert_eq!(on(Device::Cuda(1)).differences(&on(Device::Cuda(0))), []);
        let other: Vec<String> = on(Device::Cpu)
            .differences(&on(Device::Cuda(0)))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(other, ["device: was \"cuda:0\", now \"cpu\""]);
    }
}
