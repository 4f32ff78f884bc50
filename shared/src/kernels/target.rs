//! The target of a gradient.

use candle_core::Tensor;

use super::tensors::update;
use crate::Result;

/// The f32 tensor to which an operation writes the gradient of a parameter.
pub struct Target {
    /// The tensor that is changed, of the parameter's shape. It is contiguous unless the parameter is some rows of each
    /// layer of a stack.
    pub tensor: Tensor,
    /// Whether the gradient replaces its values.
    pub write: WriteMode,
}

impl Target {
    /// Writes a gradient that was computed elsewhere.
    pub(super) fn put(&self, gradient: &[f32]) -> Result<()> {
        update(&self.tensor, |target| match self.write {
            WriteMode::Replace => target.copy_from_slice(gradient),
            WriteMode::Add => target.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g),
        })
    }
}

/// Whether a result replaces the values of its output or is added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// The values are replaced.
    Replace,
    /// The result is added to the values.
    Add,
}
