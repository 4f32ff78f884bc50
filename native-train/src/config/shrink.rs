//! The settings of a shrinking, complete and in range, and saved beside the student.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use shared::csv::Delimiter;

use super::{check, choices::PrecisionChoice, cores};
use crate::{
    cli::ShrinkArgs,
    data::FileOptions,
    device::{Cards, Device},
    shrink::Wishes,
    training::{Hyperparameters, Order, Precision},
};

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
    pub fn resolve(args: &ShrinkArgs, cards: impl Fn() -> Cards) -> Result<Self> {
        let device = args.device.resolve(&cards)?;
        let config = Self {
            teacher: args.teacher.clone(),
            texts: args.texts.clone(),
            text_column: args.text_column.clone(),
            delimiter: args.delimiter,
            layers: args.layers,
            hidden: args.hidden,
            embedding_size: args.embedding_size,
            vocab_size: args.vocab_size,
            max_len: args.max_len,
            epochs: args.epochs,
            batch_size: args.batch_size,
            lr: args.lr,
            warmup_ratio: args.warmup_ratio,
            weight_decay: args.weight_decay,
            dropout: args.dropout,
            seed: args.seed,
            device,
            precision: PrecisionChoice::Auto.resolve(device, cards),
            checkpoint_seconds: args.checkpoint_seconds,
            threads: args.threads.unwrap_or_else(cores),
        };
        config.check_ranges()?;
        Ok(config)
    }

    fn check_ranges(&self) -> Result<()> {
        check("max-len", self.max_len, self.max_len >= 3, "3 or more ([CLS], a token, [SEP])")?;
        check("epochs", self.epochs, self.epochs >= 1, "1 or more")?;
        check("batch-size", self.batch_size, self.batch_size >= 1, "1 or more")?;
        check("lr", self.lr, self.lr > 0.0 && self.lr.is_finite(), "above 0")?;
        let ratio = self.warmup_ratio;
        check("warmup-ratio", ratio, (0.0..=1.0).contains(&ratio), "between 0 and 1")?;
        let decay = self.weight_decay;
        check("weight-decay", decay, decay >= 0.0 && decay.is_finite(), "0 or more")?;
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
