//! The settings of a training as a user gives them, each optional: the flags of `train` and the keys of a
//! config file. Defaults and ranges are [`TrainConfig`](super::TrainConfig)'s.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use shared::csv::Delimiter;

use super::choices::{DeviceChoice, EventFiles, ModelChoice, ParallelFolds, PrecisionChoice};
use crate::data::Split;
use crate::format::Format;

/// Settings as given, before defaults.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// File with the labelled texts: CSV, TSV, JSON Lines or Parquet (required)
    ///
    /// It has a text column, a column of 0 and 1 for each label (or a column of lists, see
    /// --label-list-column) and, optionally, an id column. The end of its name tells the format: .csv,
    /// .tsv, .jsonl or .parquet, all but the last also with .gz. Any other name is read as CSV.
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub train_csv: Option<PathBuf>,

    /// Folder to write the run into (required)
    ///
    /// It must not hold a run yet, unless `--resume` continues it. Training writes config.toml,
    /// folds.csv, fold-K/ (model folders that Hugging Face transformers loads), oof.csv,
    /// thresholds.json and summary.json.
    #[arg(long, value_name = "RUN", help_heading = "Files")]
    pub output: Option<PathBuf>,

    /// File with texts to label after training, into RUN/submission.csv
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub test_csv: Option<PathBuf>,

    /// Model to fine-tune: a folder, a hub id, `small` or `mini` [default: microsoft/deberta-v3-base]
    ///
    /// A folder holds config.json, weights (model.safetensors or pytorch_model.bin) and a tokenizer
    /// (tokenizer.json or spm.model). A hub id is downloaded once into the Hugging Face cache
    /// (HF_HOME, HF_ENDPOINT, HF_TOKEN and huggingface_hub's other variables apply). Two models need no
    /// download: `small`, an English encoder within this program, and `mini`, whose weights come from
    /// the seed and whose tokenizer is learned from the training texts, for other languages.
    #[arg(long, value_name = "DIR|HUB_ID|small|mini", help_heading = "Model")]
    pub model: Option<ModelChoice>,

    /// Longest text in tokens, `[CLS]` and `[SEP]` included [default: 128]
    ///
    /// Longer texts are truncated, and their number is reported. Raise the limit if `--dry-run` counts
    /// many. Time depends on the length of the texts, not on this limit.
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub max_len: Option<usize>,

    /// Dropout probability of hidden states, attention and classifier, below 1
    /// [default: the model's own]
    ///
    /// With 0 training depends on the batches alone, for comparisons with another program.
    #[arg(long, value_name = "P", help_heading = "Model")]
    pub dropout: Option<f64>,

    /// Label columns in order, separated by commas
    /// [default: anger,fear,joy,sadness,surprise if all are columns, else every 0/1 column]
    ///
    /// Their values are 0 and 1, or FALSE and TRUE, as text, numbers or booleans, or with --soft-labels probabilities. Names are found in upper and lower case.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Data")]
    pub labels: Option<Vec<String>>,

    /// Column with a list of each text's labels, instead of a column for each label
    ///
    /// A list is `["joy", "fear"]`, or in one value `joy,fear`; `[]` is a text without a label. The labels
    /// are all that the lists hold, sorted, unless --labels names them.
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub label_list_column: Option<String>,

    /// Column with the text
    /// [default: text, else the first of comment_text, sentence, content, review]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub text_column: Option<String>,

    /// Column with the row's id [default: id, else rows are numbered from 0]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub id_column: Option<String>,

    /// Format of the files: csv, tsv, jsonl or parquet [default: told by each file's name, else csv]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Data")]
    pub format: Option<Format>,

    /// Character between the columns of CSV: comma, semicolon, tab or bar
    /// [default: found in each file]
    #[arg(long, value_name = "CHARACTER", help_heading = "Data")]
    pub delimiter: Option<Delimiter>,

    /// Leave out rows that no one has labelled: every label is blank or -1
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, hide_possible_values = true, help_heading = "Data"
    )]
    pub skip_unlabelled: Option<bool>,

    /// Label columns hold probabilities from 0 to 1, which the loss takes as they are
    ///
    /// Such files come of several annotators, or of `predict --probabilities --with-text`. Folds, thresholds and
    /// scores take 0.5 and more as 1.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, hide_possible_values = true, help_heading = "Data"
    )]
    pub soft_labels: Option<bool>,

    /// Number of folds, 2 or more; one model is trained for each [default: 5]
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub folds: Option<usize>,

    /// Train only this fold (0 to folds - 1); scores cover the folds trained so far
    ///
    /// This gives a first score, or trains the folds one at a time. Several processes with the same settings
    /// may train a fold each at the same time, on one machine or on many that share RUN; `gather` then scores
    /// them all.
    #[arg(long, value_name = "K", help_heading = "Data")]
    pub only_fold: Option<usize>,

    /// How rows are dealt to folds [default: grouped]
    ///
    /// With repeated texts `stratified` gives scores that are too good, as models are then validated on
    /// texts that they were trained on.
    #[arg(long, value_enum, help_heading = "Data")]
    pub split: Option<Split>,

    /// Passes over a fold's training rows [default: 4; mini: 5]
    ///
    /// The weights of the epoch with the best validation macro-F1 are kept.
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    pub epochs: Option<usize>,

    /// Texts in an optimizer step [default: 16]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    pub batch_size: Option<usize>,

    /// Micro-batches that a batch is divided into: less memory, the same update [default: 1]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    pub grad_accumulation: Option<usize>,

    /// Highest learning rate, reached after warm-up [default: 1.5e-5; small: 2e-4; mini: 5e-4]
    ///
    /// It then falls linearly to 0 at the last step. The default suits fine-tuning; a model trained from
    /// scratch, such as `mini`, needs a far higher one.
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    pub lr: Option<f64>,

    /// Share of all steps, 0 to 1, in which the learning rate rises from 0 [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Schedule")]
    pub warmup_ratio: Option<f64>,

    /// Weight decay of AdamW, 0 or more; biases and LayerNorms have none [default: 0.01; mini: 2]
    #[arg(long, value_name = "RATE", help_heading = "Schedule")]
    pub weight_decay: Option<f64>,

    /// Global norm that gradients are clipped to [default: 1.0]
    #[arg(long, value_name = "NORM", help_heading = "Schedule")]
    pub max_grad_norm: Option<f64>,

    /// Take the rows of each epoch in file order, for comparisons with another program
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, hide_possible_values = true, help_heading = "Schedule"
    )]
    pub no_shuffle: Option<bool>,

    /// Seed of folds, initial weights, shuffling and dropout, 0 to 4294967295 [default: 42]
    #[arg(long, value_name = "N", help_heading = "Schedule")]
    pub seed: Option<u32>,

    /// Device: auto, cpu, cuda, cuda:N (the N-th GPU), GPUs as cuda:0,cuda:1, or all [default: auto]
    ///
    /// Folds go to several GPUs as these become free, and become the same on each of one kind. N counts
    /// from 0 the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order.
    #[arg(long, value_name = "DEVICE", help_heading = "Machine")]
    pub device: Option<DeviceChoice>,

    /// Number format of the matrix products; weights and their updates stay f32 [default: auto]
    ///
    /// `auto` is bf16 on a GPU that supports it, f16 on an older one, and f32 on the CPU. The CPU
    /// computes half precision in f32 and rounds, which is slower and only useful for comparisons.
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Machine")]
    pub precision: Option<PrecisionChoice>,

    /// Folds that train side by side on a device: a number or auto [default: auto]
    ///
    /// `auto` is as many as the GPU's free memory holds, and one on the CPU. The result of a fold does
    /// not depend on it.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub parallel_folds: Option<ParallelFolds>,

    /// Least seconds between checkpoints, which are made after an epoch [default: 0; on a GPU 60]
    ///
    /// Where an epoch takes seconds, writing a gigabyte after each would take longer than the training.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub checkpoint_seconds: Option<u64>,

    /// Write event files for TensorBoard, into RUN/tensorboard or the given folder
    ///
    /// Each fold is a run there, with its loss, learning rate, gradient norm and validation scores while it
    /// trains, and the settings as hyperparameters. `tensorboard --logdir RUN/tensorboard` shows them.
    #[arg(
        long, value_name = "DIR", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, help_heading = "Machine"
    )]
    pub tensorboard: Option<EventFiles>,

    /// CPU threads, 1 or more [default: the number of cores]
    ///
    /// Cores are those that affinity, cgroup and Slurm (SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE)
    /// leave to this process. A resumed run must keep the number, as sums over more or fewer threads may be rounded
    /// differently.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub threads: Option<usize>,
}

impl Settings {
    /// These settings, completed by those of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut merged = other.table();
        merged.extend(self.table());
        merged.try_into().expect("both tables came from settings")
    }

    fn table(self) -> toml::Table {
        toml::Table::try_from(self).expect("settings are plain TOML values")
    }

    /// The keys of a config file, which are the flags without the leading dashes.
    pub fn keys() -> Vec<String> {
        Self::augment_args(clap::Command::new("settings"))
            .get_arguments()
            .filter_map(|argument| argument.get_long().map(str::to_owned))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layer_wins_and_the_second_fills_in() {
        let flags = Settings { folds: Some(3), lr: Some(0.1), ..Settings::default() };
        let file = Settings { folds: Some(7), seed: Some(1), ..Settings::default() };
        let merged = flags.or(file);
        assert_eq!((merged.folds, merged.lr, merged.seed), (Some(3), Some(0.1), Some(1)));
        assert_eq!(merged.epochs, None);
    }

    #[test]
    fn every_key_is_a_field_of_the_file() {
        let keys = Settings::keys();
        assert!(keys.contains(&"max-grad-norm".to_owned()), "{keys:?}");
        for key in keys {
            let error = toml::from_str::<Settings>(&format!("{key} = {{}}")).unwrap_err();
            assert!(!error.message().contains("unknown field"), "{key}: {error}");
        }
    }
}
