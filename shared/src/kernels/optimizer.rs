//! The end of a training step over flat tensors: after [`GradScaler::unscale_and_clip`], [`AdamW`]
//! (Loshchilov and Hutter, arXiv 1711.05101) updates weights and moments in one pass over memory.

pub(super) mod types;

use rayon::prelude::*;

use super::grad_scaler::{GradScaler, ScalerState, State};
use super::{TASK_ELEMENTS, cuda, simd, store, update, values};
use crate::Result;

pub use types::{
    AdamW, BACKOFF_FACTOR, BETAS, EPS, GROWTH_FACTOR, GROWTH_INTERVAL, INIT_SCALE, ParamGroup,
};

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
                            simd!(self.update_slice(state, weights, gradients, m, v));
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

/// Multiplies each value by all `factors`, one after the other: what AdamW's steps do to weights that have no gradient.
pub fn decay(values: &mut [f32], factors: &[f32]) {
    /// As many as stay in vector registers while all factors are applied.
    const AT_ONCE: usize = 64;
    simd!({
        let (chunks, rest) = values.as_chunks_mut::<AT_ONCE>();
        for chunk in chunks {
            let mut kept = *chunk;
            for factor in factors {
                kept.iter_mut().for_each(|value| *value *= factor);
            }
            *chunk = kept;
        }
        for value in rest {
            *value = factors.iter().fold(*value, |value, factor| value * factor);
        }
    });
}

#[cfg(test)]
mod tests;
