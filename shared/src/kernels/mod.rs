//! The numerical inner loops: plain functions over contiguous f32 tensors, forward and backward.
//!
//! Each file holds one operation: the formula, its gradient, and (in tests) a comparison with a
//! straightforward f64 reference. Loops are written as if for one element and compiled for the
//! widest vector instructions the machine has ([`simd`]); rows are shared among rayon's threads
//! such that their results do not depend on how many there are (products are `gemm`'s affair).
//!
//! Nothing here knows about layers, tapes or names; that is `nn`.

pub mod add_norm;
pub mod attention;
pub mod cross_entropy;
pub mod elementwise;
pub mod gelu;
pub mod low_bits;
pub mod matmul;
pub mod optimizer;
pub mod random;
pub mod rows;
pub mod scalar;

use std::cell::RefCell;
use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Shape, Storage, Tensor, bail};

use crate::Result;

/// Elements of a row-wise kernel that one task handles: some 64 KiB of f32, about what a
/// second-level cache holds beside the other operands.
const TASK_ELEMENTS: usize = 16 * 1024;

/// How many rows of `width` elements one task takes.
fn rows_per_task(width: usize) -> usize {
    (TASK_ELEMENTS / width.max(1)).max(1)
}

/// Runs `kernel` compiled for the widest vector instructions of this machine.
#[inline(always)]
fn simd<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// The sum of `f` over a row in sixteen running sums, which vector code can keep apart.
#[inline(always)]
fn lanes_sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let mut lanes = row.chunks_exact(16);
    for lane in &mut lanes {
        for (sum, &x) in sums.iter_mut().zip(lane) {
            *sum += f(x);
        }
    }
    let rest: f32 = lanes.remainder().iter().map(|&x| f(x)).sum();
    sums.iter().sum::<f32>() + rest
}

/// A new CPU tensor that takes over `values`.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), &Device::Cpu)?)
}

/// Borrows the values of a contiguous f32 CPU tensor.
fn values(tensor: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    let range = f32_range(&storage, layout)?;
    Ok(Values { storage, range })
}

struct Values<G> {
    storage: G,
    range: Range<usize>,
}

impl<G: Deref<Target = Storage>> Deref for Values<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => unreachable!("f32_range has checked the storage"),
        }
    }
}

fn f32_range(storage: &Storage, layout: &Layout) -> candle_core::Result<Range<usize>> {
    match (storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => Ok(start..end),
        _ => bail!("this kernel takes contiguous f32 tensors on the CPU"),
    }
}

/// Changes the values of a contiguous f32 CPU tensor, and so of every tensor that shares them.
pub(crate) fn update(tensor: &Tensor, change: impl FnOnce(&mut [f32])) -> Result<()> {
    struct Update<F>(RefCell<Option<F>>);

    impl<F: FnOnce(&mut [f32])> InplaceOp1 for Update<F> {
        fn name(&self) -> &'static str {
            "update"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
            let (CpuStorage::F32(values), Some((start, end))) =
                (storage, layout.contiguous_offsets())
            else {
                bail!("only contiguous f32 tensors are updated in place");
            };
            let change = self.0.take().expect("applied once");
            change(&mut values[start..end]);
            Ok(())
        }
    }

    Ok(tensor.inplace_op1(&Update(RefCell::new(Some(change))))?)
}

#[cfg(test)]
mod tests {
    //! What the kernels' own tests share.

    use super::random::RandomKey;

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
    /// The loss is computed in f32, hence the coarse step and tolerance: this tells a wrong
    /// formula from a right one; exactness is the business of the fixtures.
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
