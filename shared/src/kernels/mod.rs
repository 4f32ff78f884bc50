//! The numerical inner loops: plain functions over contiguous tensors, forward and backward.
//!
//! Each file holds one operation: the formula, its gradient, and (in tests) a comparison with a
//! straightforward f64 reference. Loops are written as if for one element and compiled for the
//! widest vector instructions the machine has ([`simd`]); rows are shared among rayon's threads
//! such that their results do not depend on how many there are (products are `gemm`'s affair).
//!
//! **Formats.** Arithmetic is in f32. Activations and the weights of products may be held in half
//! precision (f16 or bf16) and are then rounded when they are stored; the residual stream,
//! statistics, losses and all gradients of parameters are f32. The gradient of an activation has
//! the activation's format.
//!
//! **Devices.** A function looks at where its tensors are and hands those of a GPU to [`cuda`].
//!
//! Nothing here knows about layers, tapes or names; that is `nn`.

pub mod add_norm;
pub mod attention;
pub mod cross_entropy;
pub mod cuda;
pub mod elementwise;
pub mod gelu;
mod indices;
pub mod low_bits;
pub mod matmul;
pub mod optimizer;
pub mod packed;
pub mod random;
pub mod rows;
pub mod scalar;
pub mod twelve_bits;

use std::cell::RefCell;
use std::ops::{Deref, Range};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Shape, Storage, Tensor, bail};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

pub use indices::{Indices, Offsets, Segments};
pub use matmul::Write;

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

/// Where a parameter's gradient goes: an f32 tensor that is replaced or added to.
pub struct Target {
    pub tensor: Tensor,
    pub write: Write,
}

impl Target {
    /// Writes a gradient that was computed elsewhere.
    fn put(&self, gradient: &[f32]) -> Result<()> {
        update(&self.tensor, |target| match self.write {
            Write::Replace => target.copy_from_slice(gradient),
            Write::Add => target.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g),
        })
    }
}

/// A new CPU tensor that takes over `values`.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), &Device::Cpu)?)
}

/// As [`tensor`], rounded to `format`.
fn tensor_in(format: DType, values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(tensor(values, shape)?.to_dtype(format)?)
}

/// The values of a contiguous CPU tensor: borrowed if they are f32, widened if they are half.
fn values(tensor: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(refused());
    };
    let range = start..end;
    let widened = match &*storage {
        Storage::Cpu(CpuStorage::F32(_)) => None,
        Storage::Cpu(CpuStorage::F16(half)) => Some(widened(&half[range.clone()])),
        Storage::Cpu(CpuStorage::BF16(half)) => Some(widened(&half[range.clone()])),
        _ => return Err(refused()),
    };
    Ok(Values { storage, range, widened })
}

struct Values<G> {
    storage: G,
    range: Range<usize>,
    widened: Option<Vec<f32>>,
}

impl<G: Deref<Target = Storage>> Deref for Values<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match (&self.widened, &*self.storage) {
            (Some(widened), _) => widened,
            (None, Storage::Cpu(CpuStorage::F32(values))) => &values[self.range.clone()],
            _ => unreachable!("`values` has checked the storage"),
        }
    }
}

fn widened<H>(half: &[H]) -> Vec<f32>
where
    [H]: HalfFloatSliceExt,
{
    let mut wide = vec![0.0; half.len()];
    half.convert_to_f32_slice(&mut wide);
    wide
}

fn refused() -> crate::Error {
    candle_core::Error::Msg("this kernel takes contiguous f32, f16 or bf16 tensors".into()).into()
}

/// Changes the values of a contiguous f32 CPU tensor, and so of every tensor that shares them.
pub(crate) fn update(tensor: &Tensor, change: impl FnOnce(&mut [f32])) -> Result<()> {
    in_place(tensor, |storage, range| {
        let CpuStorage::F32(values) = storage else {
            return Err(candle_core::Error::Msg("an update takes an f32 tensor".into()));
        };
        change(&mut values[range]);
        Ok(())
    })
}

/// Gives a contiguous CPU tensor new values, rounded to its format.
pub(crate) fn store(tensor: &Tensor, values: &[f32]) -> Result<()> {
    fn round<H: Send>(target: &mut [H], values: &[f32])
    where
        [H]: HalfFloatSliceExt,
    {
        target
            .par_chunks_mut(TASK_ELEMENTS)
            .zip(values.par_chunks(TASK_ELEMENTS))
            .for_each(|(target, values)| target.convert_from_f32_slice(values));
    }
    in_place(tensor, |storage, range| {
        match storage {
            CpuStorage::F32(target) => target[range].copy_from_slice(values),
            CpuStorage::F16(target) => round(&mut target[range], values),
            CpuStorage::BF16(target) => round(&mut target[range], values),
            _ => return Err(candle_core::Error::Msg("only floats are stored".into())),
        }
        Ok(())
    })
}

fn in_place(
    tensor: &Tensor,
    change: impl FnOnce(&mut CpuStorage, Range<usize>) -> candle_core::Result<()>,
) -> Result<()> {
    struct Change<F>(RefCell<Option<F>>);

    impl<F> InplaceOp1 for Change<F>
    where
        F: FnOnce(&mut CpuStorage, Range<usize>) -> candle_core::Result<()>,
    {
        fn name(&self) -> &'static str {
            "change"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
            let Some((start, end)) = layout.contiguous_offsets() else {
                bail!("only contiguous tensors are changed in place");
            };
            let change = self.0.take().expect("applied once");
            change(storage, start..end)
        }
    }

    Ok(tensor.inplace_op1(&Change(RefCell::new(Some(change))))?)
}

#[cfg(test)]
mod tests {
    //! What the kernels' own tests share.

    use super::random::RandomKey;
    use super::*;

    /// Where a gradient is put that is asked for alone.
    pub fn target(shape: impl Into<Shape>) -> Target {
        let tensor = Tensor::zeros(shape, DType::F32, &Device::Cpu).expect("a small tensor");
        Target { tensor, write: Write::Replace }
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
