//! The settings of a shrinking, complete and in range, and saved beside the student.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use shared::csv::Delimiter;

use super::checks::check_hyperparameters;
use super::choices::{DeviceChoice, PrecisionChoice};
use crate::{
    data::FileOptions,
    device::{Cards, Device},
    error::check,
    shrink::Wishes,
    threads::cores,
    training::{Hyperparameters, Order, Precision},
};

/// Settings as given.
#[derive(Debug, Clone, Args)]
pub struct ShrinkSettings {
    /// Model to learn from: a folder or hub id
    #[arg(long, value_name = "DIR|HUB_ID", display_order = 0)]
    pub teacher: String,

    /// Files with texts: tables with a text column, or .txt with a text on each line
    ///
    /// No labels are needed. Some ten thousand texts of the kind that the model is for. Texts that are equal count once.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, display_order = 1)]
    pub texts: Vec<PathBuf>,

    /// Layers of the student [default: the teacher's]
    #[arg(long, value_name = "N", help_heading = "Size")]
    pub layers: Option<usize>,

    /// Width of the student's hidden states, a multiple of a head's [default: the teacher's]
    ///
    /// Heads and feed-forward layers shrink in proportion.
    #[arg(long, value_name = "H", help_heading = "Size")]
    pub hidden: Option<usize>,

    /// Width of the word embeddings, which a projection then widens [default: the teacher's]
    #[arg(long, value_name = "E", help_heading = "Size")]
    pub embedding_size: Option<usize>,

    /// Pieces of the vocabulary to keep, those that the texts use most [default: all]
    ///
    /// Single characters stay as well, so that no text has an unknown piece that had none.
    #[arg(long, value_name = "V", help_heading = "Size")]
    pub vocab_size: Option<usize>,

    /// Longest text in tokens; longer ones are truncated
    #[arg(long, value_name = "TOKENS", default_value_t = 128, help_heading = "Schedule")]
    pub max_len: usize,

    /// Passes over the texts
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Schedule")]
    pub epochs: usize,

    /// Texts in an optimizer step
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Schedule")]
    pub batch_size: usize,

    /// Highest learning rate, reached after warm-up
    #[arg(long, value_name = "RATE", default_value_t = 5e-4, help_heading = "Schedule")]
    pub lr: f64,

    /// Share of all steps, 0 to 1, in which the learning rate rises from 0
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, help_heading = "Schedule")]
    pub warmup_ratio: f64,

    /// Weight decay of AdamW, 0 or more
    #[arg(long, value_name = "RATE", default_value_t = 0.01, help_heading = "Schedule")]
    pub weight_decay: f64,

    /// Dropout probability while the student learns, below 1; its config keeps the teacher's
    #[arg(long, value_name = "P", default_value_t = 0.0, help_heading = "Schedule")]
    pub dropout: f64,

    /// Seed of the texts' order and of dropout
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "Schedule")]
    pub seed: u32,

    /// Column with the text [default: found as by `train`]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub text_column: Option<String>,

    /// Character between the columns: comma, semicolon, tab or bar [default: found in each file]
    #[arg(long, value_name = "CHARACTER", help_heading = "Data")]
    pub delimiter: Option<Delimiter>,

    /// Device: auto, cpu, cuda or cuda:N (the N-th GPU)
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Machine")]
    pub device: DeviceChoice,

    /// Least seconds between checkpoints, which are made after an epoch
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Machine")]
    pub checkpoint_seconds: u64,

    /// CPU threads [default: the number of cores]
    ///
    /// Cores are those that affinity, cgroup and Slurm (SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE)
    /// leave to this process.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub threads: Option<usize>,
}

/// All settings of a shrinking, defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShrinkConfig {
    pub teacher: String,
    pub texts: Vec<PathBuf>,
    pub text_column: Option<String>,
    pub delimiter: Option<Delimiter>,
    pub layers: Option<usize>,
    pub hidden: Option<usize>,
    pub embedding_size: Option<usize>,
    pub vocab_size: Option<usize>,
    pub max_len: usize,
    pub epochs: usize,
    pub batch_size: usize,
    pub lr: f64,
    pub warmup_ratio: f64,
    pub weight_decay: f64,
    pub dropout: f64,
    pub seed: u32,
    pub device: Device,
    pub precision: Precision,
    pub checkpoint_seconds: u64,
    pub threads: usize,
}

/// The norm that gradients are clipped to, as in fine-tuning.
const MAX_GRAD_NORM: f64 = 1.0;

impl ShrinkConfig {
    /// Fills in the defaults and checks every range. `cards` are the machine's GPUs.
    ///
    /// # Errors
    /// If a setting is out of range, or the device is not there.
    pub fn resolve(given: &ShrinkSettings, cards: impl Fn() -> Cards) -> Result<Self> {
        let device = given.device.resolve_one(&cards)?;
        let config = Self {
            teacher: given.teacher.clone(),
            texts: given.texts.clone(),
            text_column: given.text_column.clone(),
            delimiter: given.delimiter,
            layers: given.layers,
            hidden: given.hidden,
            embedding_size: given.embedding_size,
            vocab_size: given.vocab_size,
            max_len: given.max_len,
            epochs: given.epochs,
            batch_size: given.batch_size,
            lr: given.lr,
            warmup_ratio: given.warmup_ratio,
            weight_decay: given.weight_decay,
            dropout: given.dropout,
            seed: given.seed,
            device,
            precision: PrecisionChoice::Auto.resolve(&device.into(), cards),
            checkpoint_seconds: given.checkpoint_seconds,
            threads: given.threads.unwrap_or_else(cores),
        };
        config.check_ranges()?;
        Ok(config)
    }

    fn check_ranges(&self) -> Result<()> {
        check("max-len", self.max_len, self.max_len >= 3, "3 or more ([CLS], a token, [SEP])")?;
        check_hyperparameters(&self.hyperparameters())?;
        let dropout = self.dropout;
        check("dropout", dropout, (0.0..1.0).contains(&dropout), "0 or more and below 1")?;
        check("threads", self.threads, self.threads >= 1, "1 or more")?;
        Ok(())
    }

    /// The sizes of the student.
    pub fn wishes(&self) -> Wishes {
        let Self { layers, hidden, embedding_size, vocab_size, .. } = *self;
        Wishes { layers, hidden, embedding_size, vocab_size }
    }

    /// The options by which the files of texts are read.
    pub fn file_options(&self) -> FileOptions {
        FileOptions {
            delimiter: self.delimiter,
            text_column: self.text_column.clone(),
            ..FileOptions::default()
        }
    }

    /// The settings of the student's training.
    pub fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters {
            epochs: self.epochs,
            batch_size: self.batch_size,
            grad_accumulation: 1,
            learning_rate: self.lr,
            warmup_ratio: self.warmup_ratio,
            weight_decay: self.weight_decay,
            max_grad_norm: MAX_GRAD_NORM,
            order: Order::Shuffled,
            seed: self.seed,
        }
    }
}
