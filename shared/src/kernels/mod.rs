//! The numerical inner loops: plain functions over contiguous tensors, forward and backward.
//!
//! Each file holds one operation: the formula, its gradient, and (in tests) a comparison with a
//! straightforward f64 reference. Loops are written as if for one element and compiled for the
//! widest vector instructions the machine has (`tasks`); rows are shared among rayon's threads
//! such that their results do not depend on the number of threads (products are divided by `gemm`).
//!
//! **Formats.** Arithmetic is in f32. Activations and the weights of products may be held in half
//! precision (f16 or bf16) and are then rounded when they are stored; the residual stream,
//! statistics, losses and all gradients of parameters are f32. The gradient of an activation has
//! the activation's format.
//!
//! **Devices.** A function looks at where its tensors are and hands those of a GPU to [`cuda`].
//! Types that both need stand below both, in `OPERATION/types.rs`.
//!
//! Layers, tapes and parameter names are left to [`nn`](crate::nn) and [`autograd`](crate::autograd).

pub mod add_norm;
pub mod attention;
pub mod cross_entropy;
pub mod cuda;
pub mod distillation;
pub mod elementwise;
pub mod gelu;
pub mod grad_scaler;
pub mod imitation;
mod indices;
pub mod isa;
pub mod linear;
pub mod low_bits;
pub mod matmul;
pub mod optimizer;
pub mod packed;
pub mod random;
pub mod rows;
pub mod scalar;
pub mod self_check;
pub mod stack;
mod target;
mod tasks;
mod tensors;
pub mod twelve_bits;

pub use indices::{CumulativeSeqLengths, Indices, Segments};
pub use target::{Target, WriteMode};

use tasks::{TASK_ELEMENTS, lanes_sum, rows_per_task, simd, sum_in_order};
use tensors::{store, tensor, tensor_in, update, values};

#[cfg(test)]
mod tests {
    //! Helpers of the kernels' tests.

    use candle_core::{DType, Device, Shape, Tensor};

    use super::random::RandomKey;
    use super::{Target, WriteMode};

    /// A target of zeros.
    pub fn target(shape: impl Into<Shape>) -> Target {
        let tensor = Tensor::zeros(shape, DType::F32, &Device::Cpu).expect("a small tensor");
        Target { tensor, write: WriteMode::Replace }
    }

    /// `n` numbers spread evenly over -1..1.
    pub fn random(n: usize, seed: u64) -> Vec<f32> {
        let key = RandomKey::new(seed, 0);
        (0..n).map(|i| key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0).collect()
    }

    /// Each pair within `tolerance` of the largest expected magnitude.
    #[track_caller]
    pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(1e-6, |max: f32, x| max.max(x.abs()));
        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
            assert!((f - e).abs() <= tolerance * scale, "element {i}: {f}, expected {e}");
        }
    }

    /// Compares `gradient` with central differences of `loss` at `at`, element by element.
    ///
    /// The loss is computed in f32, hence the coarse step and tolerance: this tells a wrong formula from
    /// a right one. The fixtures test exactness.
    #[track_caller]
    pub fn assert_gradient(at: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
        assert_eq!(at.len(), gradient.len());
        let step = 2f32.powi(-7);
        let scale = gradient.iter().fold(1e-3, |max: f32, x| max.max(x.abs()));
        for i in 0..at.len() {
            let (mut above, mut below) = (at.to_vec(), at.to_vec());
            above[i] += step;
            below[i] -= step;
            let slope = (loss(&above) - loss(&below)) / f64::from(above[i] - below[i]);
            let error = (slope - f64::from(gradient[i])).abs();
            assert!(error < 3e-3 * f64::from(scale), "{i}: {} for slope {slope}", gradient[i]);
        }
    }

    /// A loss whose gradient by the output is `weights`.
    pub fn weighted_sum(output: &[f32], weights: &[f32]) -> f64 {
        output.iter().zip(weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
    }
}
