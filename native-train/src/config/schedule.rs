//! The schedule of a training where none is given.

use super::choices::ModelChoice;

/// The defaults that depend on whether the model is pretrained.
pub struct Schedule {
    pub epochs: usize,
    pub lr: f64,
    pub weight_decay: f64,
}

impl Schedule {
    pub fn of(model: &ModelChoice) -> Self {
        match model {
            // A model that learns its word embeddings from a few thousand texts soon overfits; strong
            // weight decay prevents that.
            ModelChoice::Mini => Self { epochs: 5, lr: 5e-4, weight_decay: 2.0 },
            ModelChoice::Small => Self { epochs: 4, lr: 2e-4, weight_decay: 0.01 },
            ModelChoice::Pretrained(_) => Self { epochs: 4, lr: 1.5e-5, weight_decay: 0.01 },
        }
    }
}
