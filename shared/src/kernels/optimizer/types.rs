//! The common ground of the CPU's and the GPU's side of the optimizer: tensors, settings, constants.

use candle_core::Tensor;

/// The `init_scale` of PyTorch's `GradScaler`.
pub const INIT_SCALE: f64 = 65536.0;
/// The factor of the scale after `growth_interval` steps without an overflow.
pub const GROWTH_FACTOR: f64 = 2.0;
/// The factor of the scale after an overflow.
pub const BACKOFF_FACTOR: f64 = 0.5;
/// Steps without an overflow after which PyTorch's `GradScaler` lets the scale grow.
pub const GROWTH_INTERVAL: u32 = 2000;

/// The decay rates of `exp_avg` and `exp_avg_sq`: the default of `torch.optim.AdamW`.
pub const BETAS: [f64; 2] = [0.9, 0.999];
/// The default `eps` of `torch.optim.AdamW`.
pub const EPS: f64 = 1e-8;

/// One step of `torch.optim.AdamW` on a [`ParamGroup`].
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// The learning rate.
    pub lr: f64,
    /// The decoupled weight decay.
    pub weight_decay: f64,
}

/// Parameters that are updated together: flat f32 tensors `[n]`, and a copy of the weights in half
/// precision.
#[derive(Clone)]
pub struct ParamGroup {
    /// The weights.
    pub weights: Tensor,
    /// The copy of the weights in half precision.
    pub half: Option<Tensor>,
    /// The gradients, times the loss scale.
    pub gradients: Tensor,
    /// The running mean of the gradients.
    pub exp_avg: Tensor,
    /// The running mean of the squared gradients.
    pub exp_avg_sq: Tensor,
}

impl AdamW {
    /// The factor of a weight whose gradients have all been zero.
    pub fn decay_factor(&self) -> f32 {
        (1.0 - self.lr * self.weight_decay) as f32
    }
}
