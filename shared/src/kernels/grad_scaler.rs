//! The gradient scaler: the scale of the loss, clipping, and whether a step is skipped.
//!
//! [`GradScaler`] is PyTorch's (Micikevicius et al., arXiv 1710.03740) with `clip_grad_norm_` built
//! in: gradients of f16 activations underflow, so the loss is multiplied by a scale that is halved
//! when a gradient overflows, and doubled after 2000 steps in which none has.
//!
//! What the scaler decides stays on the device of the gradients, where the next kernel reads it, so
//! that no step waits for a GPU.

use std::cell::{Cell, OnceCell};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::elementwise::sum_of_squares;
use super::optimizer::types::{BACKOFF_FACTOR, GROWTH_FACTOR, GROWTH_INTERVAL, INIT_SCALE};
use super::{Target, cuda};
use crate::Result;

/// `torch.amp.GradScaler` and `torch.nn.utils.clip_grad_norm_` in one.
#[derive(Debug)]
pub struct GradScaler {
    /// Steps without an overflow after which the scale grows. `None`: the scale is fixed.
    growth_interval: Option<u32>,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Host(Cell<ScalerState>),
    /// f64 [`cuda::optimizer::state::LEN`], and memory for the sum of squares.
    Device {
        numbers: Tensor,
        scratch: OnceCell<Tensor>,
    },
}

/// The state of a [`GradScaler`] after a step, with the names that checkpoints give it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ScalerState {
    /// The factor of the loss.
    pub scale: f64,
    /// Steps without an overflow since the scale last changed.
    #[serde(rename = "clean_steps")]
    pub growth_tracker: f64,
    /// AdamW's `step`: the updates so far. A step whose gradient is not finite makes none.
    #[serde(rename = "updates")]
    pub step: f64,
    /// Whether a gradient of this step is infinite or NaN.
    #[serde(skip)]
    pub(super) found_inf: bool,
    /// The factor of this step's gradients: the clipping coefficient over the scale.
    #[serde(skip)]
    pub(super) grad_factor: f32,
}

impl GradScaler {
    /// A scaler with the given first scale for gradients on `device`; `growth_interval` is `None` for
    /// a scale that stays.
    pub fn new(init_scale: f64, growth_interval: Option<u32>, device: &Device) -> Result<Self> {
        let state = match cuda::runs_on(device) {
            false => State::Host(Cell::default()),
            true => {
                let numbers = Tensor::zeros(cuda::optimizer::state::LEN, DType::F64, device)?;
                State::Device { numbers, scratch: OnceCell::new() }
            }
        };
        let mut scaler = Self { growth_interval, state };
        scaler.load_state(ScalerState { scale: init_scale, ..ScalerState::default() })?;
        Ok(scaler)
    }

    /// A scaler with PyTorch's defaults, for f16.
    pub fn dynamic(device: &Device) -> Result<Self> {
        Self::new(INIT_SCALE, Some(GROWTH_INTERVAL), device)
    }

    /// A scaler that leaves the loss as it is, as PyTorch's with `enabled=False`; it still clips, and
    /// still skips a step whose gradient is not finite.
    pub fn disabled(device: &Device) -> Result<Self> {
        Self::new(1.0, None, device)
    }

    /// Whether the scale changes.
    pub fn is_enabled(&self) -> bool {
        self.growth_interval.is_some()
    }

    /// The state, for a checkpoint. Waits for the device.
    pub fn state(&self) -> Result<ScalerState> {
        use cuda::optimizer::state;
        match &self.state {
            State::Host(host) => Ok(host.get()),
            State::Device { numbers, .. } => {
                let numbers: Vec<f64> = numbers.to_vec1()?;
                Ok(ScalerState {
                    scale: numbers[state::SCALE],
                    growth_tracker: numbers[state::GROWTH_TRACKER],
                    step: numbers[state::STEP],
                    found_inf: numbers[state::FOUND_INF] != 0.0,
                    grad_factor: numbers[state::GRAD_FACTOR] as f32,
                })
            }
        }
    }

    /// Takes over the state of a checkpoint.
    pub fn load_state(&mut self, saved: ScalerState) -> Result<()> {
        use cuda::optimizer::state;
        match &mut self.state {
            State::Host(host) => host.set(saved),
            State::Device { numbers, .. } => {
                let mut values = vec![0.0; state::LEN];
                values[state::SCALE] = saved.scale;
                values[state::GROWTH_TRACKER] = saved.growth_tracker;
                values[state::STEP] = saved.step;
                *numbers = Tensor::from_vec(values, state::LEN, numbers.device())?;
            }
        }
        Ok(())
    }

    /// The scale that a loss is multiplied by before its backward pass.
    pub(super) fn loss_scale(&self) -> LossScale<'_> {
        match &self.state {
            State::Host(host) => LossScale::Host(host.get().scale),
            State::Device { numbers, .. } => LossScale::Device(numbers),
        }
    }

    /// Decides by which factor [`AdamW::step`](super::optimizer::AdamW::step) multiplies the gradients `[n]`: one over the scale, and
    /// less where their unscaled norm is above `max_norm`. Then updates the scale for the next step.
    ///
    /// PyTorch's `unscale_`, `clip_grad_norm_` and `update`, without a pass that writes the gradients.
    /// The unscaled norm before clipping goes to `norm` `[1]`; where it is not finite, AdamW skips the
    /// step.
    pub fn unscale_and_clip(&self, gradients: &Tensor, max_norm: f64, norm: &Target) -> Result<()> {
        let host = match &self.state {
            State::Host(host) => host,
            State::Device { numbers, scratch } => {
                if scratch.get().is_none() {
                    let (len, device) = (gradients.elem_count(), gradients.device());
                    let memory = cuda::optimizer::scratch(len, device)?;
                    scratch.get_or_init(|| memory);
                }
                return cuda::optimizer::unscale_and_clip(
                    gradients,
                    scratch.get().expect("just made"),
                    numbers,
                    self.growth_interval,
                    max_norm,
                    &norm.tensor,
                );
            }
        };
        let mut state = host.get();
        let grad_norm = sum_of_squares(gradients)?.sqrt() / state.scale;
        state.found_inf = !grad_norm.is_finite();
        if !state.found_inf {
            state.step += 1.0;
            let clip_coef = (max_norm / (grad_norm + 1e-6)).min(1.0);
            state.grad_factor = (clip_coef / state.scale) as f32;
        }
        if let Some(growth_interval) = self.growth_interval {
            state.update_scale(growth_interval);
        }
        host.set(state);
        norm.put(&[grad_norm as f32])
    }
}

impl ScalerState {
    /// PyTorch's `GradScaler.update`.
    fn update_scale(&mut self, growth_interval: u32) {
        self.growth_tracker += 1.0;
        if self.found_inf {
            (self.scale, self.growth_tracker) = (self.scale * BACKOFF_FACTOR, 0.0);
        } else if self.growth_tracker >= f64::from(growth_interval) {
            let grown = self.scale * GROWTH_FACTOR;
            // The scale is an f32 in PyTorch, and grows only while it stays finite.
            let scale = if (grown as f32).is_finite() { grown } else { self.scale };
            (self.scale, self.growth_tracker) = (scale, 0.0);
        }
    }
}

/// The factor of the loss.
pub(super) enum LossScale<'a> {
    Host(f64),
    /// The first element.
    Device(&'a Tensor),
}
