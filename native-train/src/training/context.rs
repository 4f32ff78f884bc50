//! The input of a fold's training: texts, settings and a device.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use super::examples::Examples;
use super::teacher::Teacher;

/// The input of one fold's training.
#[derive(Clone, Copy)]
pub struct FoldContext<'a> {
    /// The model: that of a fold, or one of all rows.
    pub subject: Subject,
    pub examples: &'a Examples,
    /// `None` if it learns from labels alone.
    pub teacher: Option<&'a Teacher>,
    pub train_rows: &'a [usize],
    pub validation_rows: &'a [usize],
    pub hyperparameters: &'a Hyperparameters,
    pub compute: &'a Compute,
}

/// What every training needs, whatever it learns.
#[derive(Clone, Copy)]
pub struct TrainingContext<'a> {
    pub subject: Subject,
    pub train_rows: &'a [usize],
    pub hyperparameters: &'a Hyperparameters,
    pub compute: &'a Compute,
}

/// The model that a training makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The model of a fold, which is counted from 0.
    Fold(usize),
    /// The model that learns from all rows.
    Final,
    /// A smaller encoder that learns from a larger one.
    Student,
}

/// The settings of a fine-tuning, with the meanings they have in Hugging Face's scripts.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    pub epochs: usize,
    pub batch_size: usize,
    /// The number of micro-batches that a batch goes through the model in: less memory, the same
    /// update.
    pub grad_accumulation: usize,
    /// The peak, reached after the warm-up.
    pub learning_rate: f64,
    /// The share of all steps that warms up.
    pub warmup_ratio: f64,
    pub weight_decay: f64,
    /// The `max_norm` that gradients are clipped to.
    pub max_grad_norm: f64,
    pub order: Order,
    pub seed: u32,
}

/// The order in which an epoch takes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Another one each epoch.
    Shuffled,
    AsGiven,
}

/// The device of a training and the number format of its products.
#[derive(Debug, Clone)]
pub struct Compute {
    pub device: Device,
    pub precision: Precision,
}

/// The number format of the forward and backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    Bf16,
    F16,
}

/// The time spent in the two phases of trainings.
#[derive(Debug, Clone, Copy, Default)]
pub struct PhaseTimes {
    pub train: Duration,
    pub validation: Duration,
}

impl AddAssign for PhaseTimes {
    fn add_assign(&mut self, other: Self) {
        self.train += other.train;
        self.validation += other.validation;
    }
}

impl<'a> FoldContext<'a> {
    /// The part that does not depend on what is learned.
    pub fn training(&self) -> TrainingContext<'a> {
        TrainingContext {
            subject: self.subject,
            train_rows: self.train_rows,
            hyperparameters: self.hyperparameters,
            compute: self.compute,
        }
    }

    /// All rows of the fold, those to train on first.
    pub fn rows(&self) -> impl Iterator<Item = usize> + 'a {
        self.train_rows.iter().chain(self.validation_rows).copied()
    }
}

impl Subject {
    /// The number that the seeds of a training depend on.
    pub fn number(self) -> usize {
        match self {
            Self::Fold(fold) => fold,
            // The number of no fold.
            Self::Final => usize::MAX,
            Self::Student => 0,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fold(fold) => write!(f, "fold {fold}"),
            Self::Final => f.write_str("the final model"),
            Self::Student => f.write_str("the student"),
        }
    }
}

impl Hyperparameters {
    /// The optimizer steps of an epoch over `rows` rows; the last batch may be smaller.
    pub fn steps_per_epoch(&self, rows: usize) -> usize {
        rows.div_ceil(self.batch_size)
    }

    /// The optimizer steps of the whole training of a fold with `rows` rows.
    pub fn total_steps(&self, rows: usize) -> usize {
        self.epochs * self.steps_per_epoch(rows)
    }
}

impl Precision {
    /// The format of products, if it is not f32.
    pub fn half(self) -> Option<DType> {
        match self {
            Self::F32 => None,
            Self::Bf16 => Some(DType::BF16),
            Self::F16 => Some(DType::F16),
        }
    }
}
