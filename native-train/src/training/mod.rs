//! One fold from first to last step: order of rows, forward, backward, clip, AdamW, validation,
//! checkpoint. Start reading at [`trainer`].

pub mod arena;
pub mod checkpoint;
pub mod lr_scheduler;
pub mod metrics_log;
pub mod optimizer;
pub mod rng;
#[cfg(test)]
mod tests;
pub mod trainer;
pub mod vocabulary;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::grid::Targets;

/// The settings of a fine-tuning, with the meanings they have in Hugging Face's scripts.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    pub epochs: usize,
    pub batch_size: usize,
    /// Parts of a batch that go through the model one after another: less memory, the same update.
    pub grad_accumulation: usize,
    /// The peak, reached after the warm-up.
    pub learning_rate: f64,
    /// The share of all steps that warms up.
    pub warmup_ratio: f64,
    pub weight_decay: f64,
    /// Gradients of a larger global norm are scaled down to it.
    pub max_grad_norm: f64,
    pub order: Order,
    pub seed: u32,
}

/// What a training computes with.
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

/// In which order an epoch takes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Another one each epoch.
    Shuffled,
    AsGiven,
}

/// Encoded texts and their labels.
#[derive(Debug, Clone)]
pub struct Examples {
    /// One text each, special tokens included.
    pub input_ids: Vec<Vec<u32>>,
    pub targets: Targets,
}

impl Hyperparameters {
    /// Optimizer steps of an epoch over `rows` rows; the last batch may be smaller.
    pub fn steps_per_epoch(&self, rows: usize) -> usize {
        rows.div_ceil(self.batch_size)
    }

    /// Optimizer steps of the whole training of a fold with `rows` rows.
    pub fn total_steps(&self, rows: usize) -> usize {
        self.epochs * self.steps_per_epoch(rows)
    }
}
