//! What the end of a training step goes by, on the CPU and on a GPU.

use candle_core::Tensor;

/// What it is multiplied by after enough steps without an overflow, and after one.
pub(in crate::kernels) const GROWTH: f64 = 2.0;
pub(in crate::kernels) const BACKOFF: f64 = 0.5;

/// Running means of gradients: `torch.optim.AdamW`'s defaults.
pub(in crate::kernels) const BETA1: f64 = 0.9;
pub(in crate::kernels) const BETA2: f64 = 0.999;
pub(in crate::kernels) const EPS: f64 = 1e-8;

/// What a step is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Gradients of a larger norm are scaled down to it.
    pub max_grad_norm: f64,
    /// Whether the scale changes.
    pub scaling: bool,
    /// Steps without an overflow after which it grows.
    pub growth_interval: u32,
}

impl Rules {
    /// With the growth interval of `GradScaler`.
    pub fn new(max_grad_norm: f64, scaling: bool) -> Self {
        Self { max_grad_norm, scaling, growth_interval: 2000 }
    }
}

/// One update of a range of weights.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    pub learning_rate: f64,
    pub weight_decay: f64,
}

/// Flat f32 tensors of one length, and a copy of the weights in half precision.
#[derive(Clone)]
pub struct Range {
    pub weights: Tensor,
    pub half: Option<Tensor>,
    pub gradients: Tensor,
    /// The running mean of the gradients.
    pub first: Tensor,
    /// The running mean of their squares.
    pub second: Tensor,
}
