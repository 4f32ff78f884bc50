//! The operands of a layer normalisation, for the CPU's kernels and the GPU's.

use candle_core::Tensor;

use crate::kernels::Target;
use crate::kernels::random::DropoutMask;

/// The sum s that is normalised: x [rows, width] alone, or the end of a transformer sublayer.
#[derive(Clone, Copy)]
pub enum Summed<'a> {
    /// x alone.
    Alone,
    /// dropout(x + bias) + residual.
    Sublayer {
        /// The bias of the product that gave x, f32 `[width]`.
        bias: &'a Tensor,
        /// The sublayer's input, f32 [rows, width].
        residual: &'a Tensor,
        /// Dropout of x + bias.
        mask: Option<DropoutMask>,
    },
}

/// The targets of the gradients of parameters, each `[width]`.
pub struct ParameterTargets<'a> {
    /// The target of the factor gamma.
    pub gamma: &'a Target,
    /// The target of the summand beta.
    pub beta: &'a Target,
    /// The target of the bias, within a sublayer.
    pub bias: Option<&'a Target>,
}
