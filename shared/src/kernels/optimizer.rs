//! One AdamW step of one tensor in one pass over memory (Loshchilov and Hutter, arXiv 1711.05101).

use candle_core::Tensor;
use rayon::prelude::*;

use super::{TASK_ELEMENTS, simd, update, values};
use crate::Result;

/// The constants of a step, as `torch.optim.AdamW` has them.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
    /// Counted from 1.
    pub step: u32,
    /// What gradients are multiplied by first: clipping.
    pub gradient_scale: f64,
}

impl AdamW {
    /// Changes `weight` and its moments, the running means of the gradient and of its square.
    ///
    /// # Errors
    /// If a tensor is not contiguous f32 on the CPU.
    pub fn update(
        &self,
        weight: &Tensor,
        gradient: &Tensor,
        first_moment: &mut [f32],
        second_moment: &mut [f32],
    ) -> Result<()> {
        let gradient = values(gradient)?;
        assert!(gradient.len() == first_moment.len() && gradient.len() == second_moment.len());
        let task = TASK_ELEMENTS;
        update(weight, |weight| {
            weight
                .par_chunks_mut(task)
                .zip(gradient.par_chunks(task))
                .zip(first_moment.par_chunks_mut(task).zip(second_moment.par_chunks_mut(task)))
                .for_each(|((weight, gradient), (m, v))| {
                    simd(|| self.update_slice(weight, gradient, m, v));
                });
        })
    }

    /// What a weight whose gradients have all been zero is multiplied by.
    pub fn decay_factor(&self) -> f32 {
        (1.0 - self.learning_rate * self.weight_decay) as f32
    }

    #[inline(always)]
    fn update_slice(&self, weight: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
        let bias1 = 1.0 - self.beta1.powi(self.step as i32);
        let bias2 = 1.0 - self.beta2.powi(self.step as i32);
        let decay = self.decay_factor();
        let scale = self.gradient_scale as f32;
        let (take1, keep2, take2) =
            ((1.0 - self.beta1) as f32, self.beta2 as f32, (1.0 - self.beta2) as f32);
        let step_size = (self.learning_rate / bias1) as f32;
        let root_bias2 = bias2.sqrt() as f32;
        let eps = self.eps as f32;
        let n = weight.len();
        let (gradient, m, v) = (&gradient[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            m[i] += take1 * (g - m[i]);
            v[i] = keep2 * v[i] + take2 * g * g;
            let denominator = v[i].sqrt() / root_bias2 + eps;
            weight[i] = weight[i] * decay - step_size * (m[i] / denominator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::random;
    use super::*;
    use candle_core::Device;

    const ADAMW: AdamW = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
        step: 1,
        gradient_scale: 1.0,
    };

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
        let weight = Tensor::new(&[1f32, 1.0, -2.0], &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[0.5f32, -3.0, 0.0], &Device::Cpu).unwrap();
        let (mut m, mut v) = (vec![0.0; 3], vec![0.0; 3]);
        ADAMW.update(&weight, &gradient, &mut m, &mut v).unwrap();
        let decayed = 1.0 - 1e-2 * 0.1;
        let expected = [decayed - 1e-2, decayed + 1e-2, -2.0 * decayed];
        for (found, expected) in values(&weight).unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn zero_gradients_only_decay_bit_for_bit() {
        let start = random(1000, 1);
        let weight = Tensor::new(&start[..], &Device::Cpu).unwrap();
        let gradient = Tensor::zeros(1000, candle_core::DType::F32, &Device::Cpu).unwrap();
        let (mut m, mut v) = (vec![0.0; 1000], vec![0.0; 1000]);
        let mut expected = start;
        for step in 1..=5 {
            let adamw = AdamW { step, learning_rate: 1e-3 * f64::from(step), ..ADAMW };
            adamw.update(&weight, &gradient, &mut m, &mut v).unwrap();
            expected.iter_mut().for_each(|x| *x *= adamw.decay_factor());
        }
        assert_eq!(*values(&weight).unwrap(), *expected);
    }
}
