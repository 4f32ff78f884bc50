//! The ranges of hyperparameters.

use crate::error::{UserError, check};
use crate::training::Hyperparameters;

/// # Errors
/// If a setting of a training is out of range.
pub fn check_hyperparameters(given: &Hyperparameters) -> Result<(), UserError> {
    check("epochs", given.epochs, given.epochs >= 1, "1 or more")?;
    check("batch-size", given.batch_size, given.batch_size >= 1, "1 or more")?;
    let rule = format!("1 or more and at most the batch size, {}", given.batch_size);
    let fits = (1..=given.batch_size).contains(&given.grad_accumulation);
    check("grad-accumulation", given.grad_accumulation, fits, &rule)?;
    let rate = given.learning_rate;
    check("lr", rate, rate > 0.0 && rate.is_finite(), "above 0")?;
    let ratio = given.warmup_ratio;
    check("warmup-ratio", ratio, (0.0..=1.0).contains(&ratio), "between 0 and 1")?;
    let decay = given.weight_decay;
    check("weight-decay", decay, decay >= 0.0 && decay.is_finite(), "0 or more")?;
    let norm = given.max_grad_norm;
    check("max-grad-norm", norm, norm > 0.0 && norm.is_finite(), "above 0")
}
