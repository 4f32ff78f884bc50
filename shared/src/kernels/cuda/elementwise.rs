//! `kernels::elementwise` on a GPU. The formats of operands may differ, unless a function says otherwise.

use candle_core::{DType, Device, Tensor};

use super::launch::{empty, optional_pointer, pointer, suffix, vector};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::random::DropoutMask;

const BLOCK: usize = 256;
/// Elements of one thread.
const EACH: usize = 8;

fn launch(function: String, elements: usize) -> Launch {
    let grid = [elements.div_ceil(BLOCK * EACH).max(1) as u32, 1, 1];
    Launch { module: "elementwise", function, grid, block: BLOCK as u32, shared_bytes: 0 }
}

/// Runs a kernel on arrays of as many elements as `tensor`.
fn run(function: String, tensor: &Tensor, arrays: &[Arg], constants: &[Arg]) -> Result<()> {
    let elements = tensor.elem_count();
    let end = [Arg::size(elements), vector(arrays, 0, EACH)];
    let args = [arrays, constants, &end].concat();
    launch(function, elements).run(tensor.device(), &args)
}

/// Adds `addend` to `sum` in place and returns `sum`; both have the same shape.
pub fn add_assign(sum: Tensor, addend: &Tensor) -> Result<Tensor> {
    let function = format!("add_assign_{}_{}", suffix(sum.dtype()), suffix(addend.dtype()));
    run(function, &sum, &[pointer(&sum)?, pointer(addend)?], &[])?;
    Ok(sum)
}

/// Returns `x` with the mask applied, and a copy of that in the format `half`, if that is asked for.
pub fn dropout(
    x: &Tensor,
    mask: DropoutMask,
    half: Option<DType>,
) -> Result<(Tensor, Option<Tensor>)> {
    let y = empty(x.shape(), x.dtype(), x.device())?;
    let copy = half.map(|half| empty(x.shape(), half, x.device())).transpose()?;
    let function = format!("dropout_{}_{}", suffix(x.dtype()), suffix(half.unwrap_or(DType::F32)));
    let arrays = [pointer(x)?, pointer(&y)?, optional_pointer(copy.as_ref())?];
    run(function, x, &arrays, &Arg::mask(Some(mask)))?;
    Ok((y, copy))
}

/// Returns `x` in another format.
pub fn cast(x: &Tensor, format: DType) -> Result<Tensor> {
    let y = empty(x.shape(), format, x.device())?;
    copy_into(&y, x)?;
    Ok(y)
}

/// Replaces the values of `target` by those of `source`; both have the same shape.
pub fn copy_into(target: &Tensor, source: &Tensor) -> Result<()> {
    let function = format!("cast_{}_{}", suffix(source.dtype()), suffix(target.dtype()));
    run(function, target, &[pointer(source)?, pointer(target)?], &[])
}

/// Returns the logistic function of each element, in f32.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    let y = empty(x.shape(), DType::F32, x.device())?;
    run(format!("sigmoid_{}", suffix(x.dtype())), x, &[pointer(x)?, pointer(&y)?], &[])?;
    Ok(y)
}

/// Sets an f32 tensor to zero.
pub fn zero(tensor: &Tensor) -> Result<()> {
    assert_eq!(tensor.dtype(), DType::F32, "zeroed are gradients");
    run("zero".into(), tensor, &[pointer(tensor)?], &[])
}

/// Masks of one probability, one for each of several copies of a matrix; or none, and the copies are equal.
pub struct Masks {
    /// The keys of the masks, u32 [masks, 2].
    keys: Tensor,
    threshold: Arg,
    scale: Arg,
}

impl Masks {
    /// Brings masks to `device`.
    pub fn new(masks: &[Option<DropoutMask>], device: &Device) -> Result<Self> {
        let [.., threshold, scale] = Arg::mask(masks.iter().copied().next().flatten());
        let keys = masks.iter().flat_map(|mask| mask.map_or([0, 0], |mask| mask.parts().0));
        let keys = Tensor::from_vec(keys.collect(), (masks.len(), 2), device)?;
        Ok(Self { keys, threshold, scale })
    }

    fn count(&self) -> usize {
        self.keys.dims()[0]
    }
}

/// Returns `x` under each of the masks, beside each other: f32 [rows, width] -> [rows, masks * width] in `format`.
pub fn dropout_each(x: &Tensor, masks: &Masks, format: DType) -> Result<Tensor> {
    let ((rows, width), count) = (x.dims2()?, masks.count());
    let y = empty((rows, count * width), format, x.device())?;
    let arrays = [pointer(x)?, pointer(&y)?];
    let args = [
        &arrays[..],
        &[pointer(&masks.keys)?, masks.threshold, masks.scale],
        &[Arg::size(rows * width), Arg::size(width), vector(&arrays, width, EACH)],
    ]
    .concat();
    let mut launch = launch(format!("dropout_each_{}", suffix(format)), rows * width);
    launch.grid[1] = count as u32;
    launch.run(x.device(), &args)?;
    Ok(y)
}

/// Returns the gradient of [`dropout_each`] by x, [rows, width], that of the last mask being added first: gradient
/// [rows, masks * width], both f32.
pub fn dropout_each_backward(gradient: &Tensor, masks: &Masks) -> Result<Tensor> {
    let ((rows, all), count) = (gradient.dims2()?, masks.count());
    let width = all / count;
    let by_x = empty((rows, width), DType::F32, gradient.device())?;
    let arrays = [pointer(gradient)?, pointer(&by_x)?];
    let args = [
        &arrays[..],
        &[pointer(&masks.keys)?, Arg::size(count), masks.threshold, masks.scale],
        &[Arg::size(rows * width), Arg::size(width), vector(&arrays, width, EACH)],
    ]
    .concat();
    launch("dropout_each_backward".into(), rows * width).run(gradient.device(), &args)?;
    Ok(by_x)
}
