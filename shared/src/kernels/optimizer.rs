//! The end of a training step over flat tensors: unscale and clip the gradients, then AdamW.
//!
//! [`GradScaler`] is PyTorch's (Micikevicius et al., arXiv 1710.03740) with `clip_grad_norm_` built
//! in: gradients of f16 activations underflow, so the loss is multiplied by a scale that is halved
//! when a gradient overflows, and doubled after 2000 steps in which none has. [`AdamW`] (Loshchilov
//! and Hutter, arXiv 1711.05101) updates weights and moments in one pass over memory.
//!
//! What the scaler decides stays on the device of the gradients, where the next kernel reads it, so
//! that no step waits for a GPU.

mod types;

use std::cell::{Cell, OnceCell};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::elementwise::sum_of_squares;
use super::{TASK_ELEMENTS, Target, cuda, simd, store, update, values};
use crate::Result;

pub use types::{
    AdamW, BACKOFF_FACTOR, BETAS, EPS, GROWTH_FACTOR, GROWTH_INTERVAL, INIT_SCALE, ParamGroup,
};

/// `torch.amp.GradScaler` and `torch.nn.utils.clip_grad_norm_` in one.
#[derive(Debug)]
pub struct GradScaler {
    /// Steps without an overflow after which the scale grows. `None`: the scale is fixed.
    growth_interval: Option<u32>,
    state: State,
}

#[derive(Debug)]
enum State {
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
    found_inf: bool,
    /// The factor of this step's gradients: the clipping coefficient over the scale.
    #[serde(skip)]
    grad_factor: f32,
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

    /// Decides by which factor [`AdamW::step`] multiplies the gradients [n]: one over the scale, and
    /// less where their unscaled norm is above `max_norm`. Then updates the scale for the next step.
    ///
    /// PyTorch's `unscale_`, `clip_grad_norm_` and `update`, without a pass that writes the gradients.
    /// The unscaled norm before clipping goes to `norm` [1]; where it is not finite, AdamW skips the
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

impl AdamW {
    /// Updates the weights of a group, their half-precision copy and the moments, unless the scaler
    /// has found a gradient that is not finite.
    ///
    /// # Errors
    /// If a tensor is not contiguous, or not f32 where f32 is asked for.
    pub fn step(&self, group: &ParamGroup, scaler: &GradScaler) -> Result<()> {
        let state = match &scaler.state {
            State::Host(host) => host.get(),
            State::Device { numbers, .. } => return cuda::optimizer::adamw(group, numbers, self),
        };
        if state.found_inf {
            return Ok(());
        }
        let gradients = values(&group.gradients)?;
        let task = TASK_ELEMENTS;
        let mut updated = Ok(());
        update(&group.weights, |weights| {
            let mut inner = Ok(());
            updated = update(&group.exp_avg, |exp_avg| {
                inner = update(&group.exp_avg_sq, |exp_avg_sq| {
                    weights
                        .par_chunks_mut(task)
                        .zip(gradients.par_chunks(task))
                        .zip(exp_avg.par_chunks_mut(task).zip(exp_avg_sq.par_chunks_mut(task)))
                        .for_each(|((weights, gradients), (m, v))| {
                            simd(|| self.update_slice(state, weights, gradients, m, v));
                        });
                });
            })
            .and(inner);
        })?;
        updated?;
        match &group.half {
            Some(half) => store(half, &values(&group.weights)?),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn update_slice(
        &self,
        state: ScalerState,
        weights: &mut [f32],
        gradients: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        let bias_correction1 = 1.0 - BETAS[0].powi(state.step as i32);
        let bias_correction2 = 1.0 - BETAS[1].powi(state.step as i32);
        let decay = self.decay_factor();
        let (take1, keep2) = ((1.0 - BETAS[0]) as f32, BETAS[1] as f32);
        let take2 = (1.0 - BETAS[1]) as f32;
        let step_size = (self.lr / bias_correction1) as f32;
        let root = bias_correction2.sqrt() as f32;
        let eps = EPS as f32;
        let n = weights.len();
        let (gradients, m, v) = (&gradients[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradients[i] * state.grad_factor;
            m[i] += take1 * (g - m[i]);
            v[i] = keep2 * v[i] + take2 * g * g;
            let denominator = v[i].sqrt() / root + eps;
            weights[i] = weights[i] * decay - step_size * (m[i] / denominator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{random, target};
    use super::*;

    const MAX_NORM: f64 = 1.0;
    const ADAMW: AdamW = AdamW { lr: 1e-2, weight_decay: 0.1 };

    fn group(weights: &[f32], gradients: &[f32], half: Option<DType>) -> ParamGroup {
        let n = weights.len();
        let zeros = || Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
        let weights = tensor(weights.to_vec(), n).unwrap();
        let half = half.map(|format| weights.to_dtype(format).unwrap());
        let gradients = tensor(gradients.to_vec(), n).unwrap();
        ParamGroup { weights, half, gradients, exp_avg: zeros(), exp_avg_sq: zeros() }
    }

    fn scaler(scale: f64) -> GradScaler {
        GradScaler::new(scale, Some(GROWTH_INTERVAL), &Device::Cpu).unwrap()
    }

    /// Unscales and clips gradients and returns their norm.
    fn unscaled(gradients: &[f32], scaler: &GradScaler) -> f32 {
        let norm = target(1);
        let gradients = tensor(gradients.to_vec(), gradients.len()).unwrap();
        scaler.unscale_and_clip(&gradients, MAX_NORM, &norm).unwrap();
        let norm = values(&norm.tensor).unwrap();
        norm[0]
    }

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
        let group = group(&[1.0, 1.0, -2.0], &[0.5, -3.0, 0.0], Some(DType::BF16));
        let scaler = scaler(1.0);
        unscaled(&[0.5, -3.0, 0.0], &scaler);
        ADAMW.step(&group, &scaler).unwrap();
        let decayed = 1.0 - 1e-2 * 0.1;
        let expected = [decayed - 1e-2, decayed + 1e-2, -2.0 * decayed];
        let weights = values(&group.weights).unwrap();
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let rounded = group.weights.to_dtype(DType::BF16).unwrap();
        let half = group.half.unwrap();
        assert_eq!(*values(&half).unwrap(), *values(&rounded).unwrap());
    }

    #[test]
    fn zero_gradients_only_decay_bit_for_bit() {
        let start = random(1000, 1);
        let group = group(&start, &[0.0; 1000], None);
        let scaler = scaler(1.0);
        let mut expected = start;
        for step in 1..=5 {
            let adamw = AdamW { lr: 1e-3 * f64::from(step), ..ADAMW };
            unscaled(&[0.0; 1000], &scaler);
            adamw.step(&group, &scaler).unwrap();
            expected.iter_mut().for_each(|x| *x *= adamw.decay_factor());
        }
        assert_eq!(*values(&group.weights).unwrap(), *expected);
    }

    #[test]
    fn a_scaled_gradient_gives_the_update_of_the_unscaled() {
        let (weights, gradients) = (random(100, 1), random(100, 2));
        let scaled: Vec<f32> = gradients.iter().map(|g| g * 65536.0).collect();
        let mut updated = Vec::new();
        for (gradients, scale) in [(&gradients, 1.0), (&scaled, 65536.0)] {
            let group = group(&weights, gradients, None);
            let scaler = scaler(scale);
            let norm = unscaled(gradients, &scaler);
            ADAMW.step(&group, &scaler).unwrap();
            updated.push((norm, values(&group.weights).unwrap().to_vec()));
        }
        assert_eq!(updated[0], updated[1], "powers of two scale without rounding");
    }

    #[test]
    fn an_overflow_halves_the_scale_and_updates_nothing() {
        for gradient in [f32::INFINITY, f32::NAN] {
            let group = group(&[1.0, 2.0], &[gradient, 1.0], None);
            let scaler = scaler(INIT_SCALE);
            assert!(!unscaled(&[gradient, 1.0], &scaler).is_finite());
            ADAMW.step(&group, &scaler).unwrap();
            assert_eq!(*values(&group.weights).unwrap(), [1.0, 2.0]);
            assert_eq!(*values(&group.exp_avg).unwrap(), [0.0, 0.0]);
            let state = scaler.state().unwrap();
            assert_eq!((state.scale, state.step), (INIT_SCALE / 2.0, 0.0));
        }
    }

    #[test]
    fn the_scale_grows_after_2000_clean_steps_in_a_row() {
        let scaler = scaler(1024.0);
        let scales = |steps: usize, gradient: f32| {
            for _ in 0..steps {
                unscaled(&[gradient], &scaler);
            }
            scaler.state().unwrap().scale
        };
        assert_eq!(scales(1999, 1.0), 1024.0);
        assert_eq!(scales(1, f32::INFINITY), 512.0);
        assert_eq!(scales(1999, 1.0), 512.0);
        assert_eq!(scales(1, 1.0), 1024.0);
        assert_eq!(scales(2000, 1.0), 2048.0);
    }

    /// PyTorch 2.15's `GradScaler("cpu")` over 6,200 steps with AdamW and `clip_grad_norm_`, where
    /// the gradients of eight steps were not finite.
    #[test]
    fn the_scale_takes_the_course_of_pytorchs() {
        const NOT_FINITE: [usize; 8] = [0, 1, 2, 5, 1500, 1501, 3502, 5600];
        /// After which step the scale changed, to what, and how many updates there were by then.
        const CHANGES: [(usize, f64, f64); 10] = [
            (0, 32768.0, 0.0),
            (1, 16384.0, 0.0),
            (2, 8192.0, 0.0),
            (5, 4096.0, 2.0),
            (1500, 2048.0, 1496.0),
            (1501, 1024.0, 1496.0),
            (3501, 2048.0, 3496.0),
            (3502, 1024.0, 3496.0),
            (5502, 2048.0, 5496.0),
            (5600, 1024.0, 5593.0),
        ];
        let scaler = scaler(INIT_SCALE);
        let mut changes = Vec::new();
        for step in 0..6200 {
            let before = scaler.state().unwrap().scale;
            let mut gradient = [0.1, -0.2, 0.3].map(|g| g * before as f32);
            if NOT_FINITE.contains(&step) {
                gradient[1] = if step % 2 == 0 { f32::INFINITY } else { f32::NAN };
            }
            unscaled(&gradient, &scaler);
            let ScalerState { scale, step: updates, .. } = scaler.state().unwrap();
            if scale != before {
                changes.push((step, scale, updates));
            }
        }
        assert_eq!(changes, CHANGES);
        let ScalerState { growth_tracker, step, .. } = scaler.state().unwrap();
        assert_eq!((growth_tracker, step), (599.0, 6192.0));
    }

    #[test]
    fn a_disabled_scaler_keeps_its_scale() {
        let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
        unscaled(&[f32::INFINITY], &scaler);
        assert_eq!(scaler.state().unwrap().scale, 1.0);
    }

    /// Of the three tensors that are updated in place, any may turn out not to be contiguous.
    #[test]
    fn a_tensor_that_cannot_be_updated_is_an_error_and_changes_nothing() {
        let scaler = scaler(1.0);
        unscaled(&[0.5, 0.5], &scaler);
        let columns = || Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let strided = || columns().narrow(1, 0, 1).unwrap();
        let group = || group(&[1.0, 2.0], &[0.5, 0.5], None);
        for group in [
            ParamGroup { weights: strided(), ..group() },
            ParamGroup { exp_avg: strided(), ..group() },
            ParamGroup { exp_avg_sq: strided(), ..group() },
        ] {
            let before = values_of(&group);
            assert!(ADAMW.step(&group, &scaler).is_err());
            assert_eq!(values_of(&group), before);
        }
    }

    /// Weights and moments.
    fn values_of(group: &ParamGroup) -> [Vec<f32>; 3] {
        [&group.weights, &group.exp_avg, &group.exp_avg_sq]
            .map(|tensor| tensor.flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn checkpoints_keep_the_names_they_had() {
        let state =
            ScalerState { scale: 2.0, growth_tracker: 1.0, step: 3.0, ..Default::default() };
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(json, r#"{"scale":2.0,"clean_steps":1.0,"updates":3.0}"#);
    }
}
