//! The objective of a training: a loss, and how good the model is on texts that are held out.

use anyhow::Result;
use shared::autograd::{ParameterGradients, Tape};
use shared::kernels::Target;
use shared::kernels::grad_scaler::GradScaler;

use super::metrics_log::Validation;

/// A loss over rows, by a model that shares the optimizer's weights.
pub trait Objective {
    /// Adds the gradients of a micro-batch to `gradients`, and its share of the step's loss to the micro-batch's
    /// `loss`.
    ///
    /// # Errors
    /// If the device's memory does not suffice.
    fn backward(
        &self,
        micro_batch: MicroBatch<'_>,
        gradients: &mut ParameterGradients,
    ) -> Result<()>;

    /// Measures the model on held-out rows, or returns `None` if there are none.
    ///
    /// # Errors
    /// If the device's memory does not suffice.
    fn validate(&self) -> Result<Option<Validation>>;

    /// The length of a row's text in tokens.
    fn tokens(&self, row: usize) -> usize;
}

/// The rows of a step that go through the model at once.
pub struct MicroBatch<'a> {
    pub rows: &'a [usize],
    /// The rows of the whole step, over which the loss is a mean.
    pub batch_rows: &'a [usize],
    /// The record of the forward pass.
    pub tape: Tape,
    pub scaler: &'a GradScaler,
    /// The place of the step's loss.
    pub loss: Target,
}
