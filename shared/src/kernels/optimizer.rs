//! The end of a training step over flat arenas: is the gradient finite, how long is it, what to
//! multiply it by; then AdamW (Loshchilov and Hutter, arXiv 1711.05101) in one pass over memory.
//!
//! What is decided stays where the gradients are, in a [`StepState`], so that a GPU need not be
//! waited for. Loss scaling is that of PyTorch's `GradScaler` (Micikevicius et al., arXiv
//! 1710.03740): gradients of f16 activations underflow, so the loss is multiplied by a scale that
//! is halved when a gradient overflows, and doubled after 2000 steps in which none has.

mod types;

use std::cell::{Cell, OnceCell};

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::elementwise::sum_of_squares;
use super::{TASK_ELEMENTS, Target, cuda, simd, store, update, values};
use crate::Result;
pub use types::{AdamW, Range, Rules};
pub(super) use types::{BACKOFF, BETA1, BETA2, EPS, GROWTH};

/// The scale that f16 begins with.
pub const INITIAL_SCALE: f64 = 65536.0;

/// Numbers that one step hands to the next.
#[derive(Debug)]
pub struct StepState(Place);

#[derive(Debug)]
enum Place {
    Host(Cell<Numbers>),
    /// f64, as `cuda::optimizer::state` has it, and memory for the sum of squares.
    Device {
        numbers: Tensor,
        scratch: OnceCell<Tensor>,
    },
}

/// What a [`StepState`] holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// What the loss is multiplied by.
    pub scale: f64,
    /// Steps without an overflow since the scale last changed.
    pub clean_steps: f64,
    /// Updates that were made; a step whose gradient was not finite is none.
    pub updates: f64,
    /// What this step's gradients are multiplied by: clipping and unscaling. 0: no update.
    #[serde(skip)]
    factor: f64,
}

impl StepState {
    /// For gradients on `device`.
    pub fn new(scale: f64, device: &Device) -> Result<Self> {
        let place = match cuda::runs_on(device) {
            false => Place::Host(Cell::default()),
            true => {
                let numbers = Tensor::zeros(cuda::optimizer::state::LEN, DType::F64, device)?;
                Place::Device { numbers, scratch: OnceCell::new() }
            }
        };
        let mut state = Self(place);
        state.restore(Numbers { scale, ..Numbers::default() })?;
        Ok(state)
    }

    /// For a checkpoint. Waits for the device.
    pub fn numbers(&self) -> Result<Numbers> {
        use cuda::optimizer::state;
        match &self.0 {
            Place::Host(numbers) => Ok(numbers.get()),
            Place::Device { numbers, .. } => {
                let numbers: Vec<f64> = numbers.to_vec1()?;
                Ok(Numbers {
                    scale: numbers[state::SCALE],
                    clean_steps: numbers[state::CLEAN_STEPS],
                    updates: numbers[state::STEPS],
                    factor: numbers[state::FACTOR],
                })
            }
        }
    }

    /// As they were when a checkpoint was made.
    pub fn restore(&mut self, saved: Numbers) -> Result<()> {
        use cuda::optimizer::state;
        match &mut self.0 {
            Place::Host(numbers) => numbers.set(saved),
            Place::Device { numbers, .. } => {
                let mut values = vec![0.0; state::LEN];
                values[state::SCALE] = saved.scale;
                values[state::CLEAN_STEPS] = saved.clean_steps;
                values[state::STEPS] = saved.updates;
                *numbers = Tensor::from_vec(values, state::LEN, numbers.device())?;
            }
        }
        Ok(())
    }

    /// Where the scale of the loss is.
    pub(super) fn loss_scale(&self) -> LossScale<'_> {
        match &self.0 {
            Place::Host(numbers) => LossScale::Host(numbers.get().scale),
            Place::Device { numbers, .. } => LossScale::Device(numbers),
        }
    }
}

/// What the loss is multiplied by.
pub(super) enum LossScale<'a> {
    Host(f64),
    /// The first element.
    Device(&'a Tensor),
}

/// Decides what the gradients [n] are multiplied by; their norm, unscaled, goes to `norm` [1].
///
/// A norm that is not finite says that there will be no update.
pub fn decide(gradients: &Tensor, rules: Rules, state: &StepState, norm: &Target) -> Result<()> {
    let host = match &state.0 {
        Place::Host(host) => host,
        Place::Device { numbers, scratch } => {
            if scratch.get().is_none() {
                let memory = cuda::optimizer::scratch(gradients.elem_count(), gradients.device())?;
                scratch.get_or_init(|| memory);
            }
            let scratch = scratch.get().expect("just made");
            let norm = &norm.tensor;
            return cuda::optimizer::norm_and_decide(gradients, scratch, numbers, rules, norm);
        }
    };
    let mut numbers = host.get();
    let found = sum_of_squares(gradients)?.sqrt() / numbers.scale;
    if found.is_finite() {
        numbers.updates += 1.0;
        // As `torch.nn.utils.clip_grad_norm_`.
        let clip = (rules.max_grad_norm / (found + 1e-6)).min(1.0);
        numbers.factor = clip / numbers.scale;
    } else {
        numbers.factor = 0.0;
    }
    if rules.scaling {
        numbers.clean_steps += 1.0;
        if !found.is_finite() {
            (numbers.scale, numbers.clean_steps) = (numbers.scale * BACKOFF, 0.0);
        } else if numbers.clean_steps >= f64::from(rules.growth_interval) {
            let grown = numbers.scale * GROWTH;
            // An f32 in PyTorch, which grows only while it stays finite.
            let scale = if (grown as f32).is_finite() { grown } else { numbers.scale };
            (numbers.scale, numbers.clean_steps) = (scale, 0.0);
        }
    }
    host.set(numbers);
    norm.put(&[found as f32])
}

impl AdamW {
    /// Changes the weights, their copy and the moments, unless the step was decided against.
    ///
    /// # Errors
    /// If a tensor is not contiguous f32.
    pub fn update(&self, range: &Range, state: &StepState) -> Result<()> {
        let numbers = match &state.0 {
            Place::Host(numbers) => numbers.get(),
            Place::Device { numbers, .. } => {
                return cuda::optimizer::adamw(range, numbers, self);
            }
        };
        if numbers.factor == 0.0 {
            return Ok(());
        }
        let gradients = values(&range.gradients)?;
        let task = TASK_ELEMENTS;
        let mut result = Ok(());
        update(&range.weights, |weights| {
            result = update(&range.first, |first| {
                result = update(&range.second, |second| {
                    weights
                        .par_chunks_mut(task)
                        .zip(gradients.par_chunks(task))
                        .zip(first.par_chunks_mut(task).zip(second.par_chunks_mut(task)))
                        .for_each(|((weights, gradients), (m, v))| {
                            simd(|| self.update_slice(numbers, weights, gradients, m, v));
                        });
                });
            });
        })?;
        result?;
        match &range.half {
            Some(half) => store(half, &values(&range.weights)?),
            None => Ok(()),
        }
    }

    /// What a weight whose gradients have all been zero is multiplied by.
    pub fn decay_factor(&self) -> f32 {
        (1.0 - self.learning_rate * self.weight_decay) as f32
    }

    #[inline(always)]
    fn update_slice(
        &self,
        numbers: Numbers,
        weights: &mut [f32],
        gradients: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        let bias1 = 1.0 - BETA1.powi(numbers.updates as i32);
        let bias2 = 1.0 - BETA2.powi(numbers.updates as i32);
        let decay = self.decay_factor();
        let factor = numbers.factor as f32;
        let (take1, keep2, take2) = ((1.0 - BETA1) as f32, BETA2 as f32, (1.0 - BETA2) as f32);
        let step_size = (self.learning_rate / bias1) as f32;
        let root_bias2 = bias2.sqrt() as f32;
        let eps = EPS as f32;
        let n = weights.len();
        let (gradients, m, v) = (&gradients[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradients[i] * factor;
            m[i] += take1 * (g - m[i]);
            v[i] = keep2 * v[i] + take2 * g * g;
            let denominator = v[i].sqrt() / root_bias2 + eps;
            weights[i] = weights[i] * decay - step_size * (m[i] / denominator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{random, target};
    use super::*;

    const RULES: Rules = Rules { max_grad_norm: 1.0, scaling: true, growth_interval: 2000 };
    const ADAMW: AdamW = AdamW { learning_rate: 1e-2, weight_decay: 0.1 };

    fn range(weights: &[f32], gradients: &[f32], half: Option<DType>) -> Range {
        let n = weights.len();
        let zeros = || Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
        let weights = tensor(weights.to_vec(), n).unwrap();
        let half = half.map(|format| weights.to_dtype(format).unwrap());
        let gradients = tensor(gradients.to_vec(), n).unwrap();
        Range { weights, half, gradients, first: zeros(), second: zeros() }
    }

    fn state(scale: f64) -> StepState {
        StepState::new(scale, &Device::Cpu).unwrap()
    }

    /// Decides about gradients and returns their norm.
    fn decided(gradients: &[f32], rules: Rules, state: &StepState) -> f32 {
        let norm = target(1);
        let gradients = tensor(gradients.to_vec(), gradients.len()).unwrap();
        decide(&gradients, rules, state, &norm).unwrap();
        let norm = values(&norm.tensor).unwrap();
        norm[0]
    }

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
        let range = range(&[1.0, 1.0, -2.0], &[0.5, -3.0, 0.0], Some(DType::BF16));
        let state = state(1.0);
        decided(&[0.5, -3.0, 0.0], RULES, &state);
        ADAMW.update(&range, &state).unwrap();
        let decayed = 1.0 - 1e-2 * 0.1;
        let expected = [decayed - 1e-2, decayed + 1e-2, -2.0 * decayed];
        let weights = values(&range.weights).unwrap();
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let rounded = range.weights.to_dtype(DType::BF16).unwrap();
        let half = range.half.unwrap();
        assert_eq!(*values(&half).unwrap(), *values(&rounded).unwrap());
    }

    #[test]
    fn zero_gradients_only_decay_bit_for_bit() {
        let start = random(1000, 1);
        let range = range(&start, &[0.0; 1000], None);
        let state = state(1.0);
        let mut expected = start;
        for step in 1..=5 {
            let adamw = AdamW { learning_rate: 1e-3 * f64::from(step), ..ADAMW };
            decided(&[0.0; 1000], RULES, &state);
            adamw.update(&range, &state).unwrap();
            expected.iter_mut().for_each(|x| *x *= adamw.decay_factor());
        }
        assert_eq!(*values(&range.weights).unwrap(), *expected);
    }

    #[test]
    fn a_scaled_gradient_gives_the_update_of_the_unscaled() {
        let (weights, gradients) = (random(100, 1), random(100, 2));
        let scaled: Vec<f32> = gradients.iter().map(|g| g * 65536.0).collect();
        let mut updated = Vec::new();
        for (gradients, scale) in [(&gradients, 1.0), (&scaled, 65536.0)] {
            let range = range(&weights, gradients, None);
            let state = state(scale);
            let norm = decided(gradients, RULES, &state);
            ADAMW.update(&range, &state).unwrap();
            updated.push((norm, values(&range.weights).unwrap().to_vec()));
        }
        assert_eq!(updated[0], updated[1], "powers of two scale without rounding");
    }

    #[test]
    fn an_overflow_halves_the_scale_and_updates_nothing() {
        for gradient in [f32::INFINITY, f32::NAN] {
            let range = range(&[1.0, 2.0], &[gradient, 1.0], None);
            let state = state(INITIAL_SCALE);
            assert!(!decided(&[gradient, 1.0], RULES, &state).is_finite());
            ADAMW.update(&range, &state).unwrap();
            assert_eq!(*values(&range.weights).unwrap(), [1.0, 2.0]);
            assert_eq!(*values(&range.first).unwrap(), [0.0, 0.0]);
            let numbers = state.numbers().unwrap();
            assert_eq!((numbers.scale, numbers.updates), (INITIAL_SCALE / 2.0, 0.0));
        }
    }

    #[test]
    fn the_scale_grows_after_2000_clean_steps_in_a_row() {
        let state = state(1024.0);
        let scales = |steps: usize, gradient: f32| {
            for _ in 0..steps {
                decided(&[gradient], RULES, &state);
            }
            state.numbers().unwrap().scale
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
        let state = state(INITIAL_SCALE);
        let mut changes = Vec::new();
        for step in 0..6200 {
            let before = state.numbers().unwrap().scale;
            let mut gradient = [0.1, -0.2, 0.3].map(|g| g * before as f32);
            if NOT_FINITE.contains(&step) {
                gradient[1] = if step % 2 == 0 { f32::INFINITY } else { f32::NAN };
            }
            decided(&gradient, RULES, &state);
            let Numbers { scale, updates, .. } = state.numbers().unwrap();
            if scale != before {
                changes.push((step, scale, updates));
            }
        }
        assert_eq!(changes, CHANGES);
        let Numbers { clean_steps, updates, .. } = state.numbers().unwrap();
        assert_eq!((clean_steps, updates), (599.0, 6192.0));
    }

    #[test]
    fn without_scaling_the_scale_stays() {
        let state = state(1.0);
        let rules = Rules { scaling: false, ..RULES };
        decided(&[f32::INFINITY], rules, &state);
        assert_eq!(state.numbers().unwrap().scale, 1.0);
    }
}
