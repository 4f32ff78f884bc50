//! Access to the values of CPU tensors: read, replaced and changed in place.

use std::cell::RefCell;
use std::ops::{Deref, Range};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Shape, Storage, Tensor, bail};
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::tasks::TASK_ELEMENTS;
use crate::Result;

/// Returns a CPU tensor that takes over `values`.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), &Device::Cpu)?)
}

/// Returns a CPU tensor of `values` rounded to `format`.
pub(super) fn tensor_in(
    format: DType,
    values: Vec<f32>,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    Ok(tensor(values, shape)?.to_dtype(format)?)
}

/// Returns the values of a contiguous CPU tensor: borrowed if they are f32, widened if they are in half precision.
pub(super) fn values(tensor: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
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
pub(super) fn update(tensor: &Tensor, change: impl FnOnce(&mut [f32])) -> Result<()> {
    in_place(tensor, |storage, range| {
        let CpuStorage::F32(values) = storage else {
            return Err(candle_core::Error::Msg("an update takes an f32 tensor".into()));
        };
        change(&mut values[range]);
        Ok(())
    })
}

/// Gives a contiguous CPU tensor new values, rounded to its format.
pub(super) fn store(tensor: &Tensor, values: &[f32]) -> Result<()> {
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
