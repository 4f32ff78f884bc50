//! `kernels::cross_entropy` on a GPU.

use candle_core::Tensor;

use super::launch::{empty, pointer, suffix};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::{Target, WriteMode};

/// Returns the gradient of the mean binary cross-entropy by the logits, in their format and shape, and writes the
/// mean to `loss`, f32 `[1]`.
///
/// `targets` are f32, 0 or 1, in the logits' order. The mean is over `count` elements, of which the
/// logits may be a part. The gradient, not the loss, is multiplied by the first element of `scale`
/// (f64, on the device).
pub fn binary_cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    count: usize,
    scale: &Tensor,
    loss: &Target,
) -> Result<Tensor> {
    let elements = logits.elem_count();
    assert_eq!(elements, targets.elem_count(), "one target a logit");
    let gradient = empty(logits.shape(), logits.dtype(), logits.device())?;
    let args = [
        pointer(logits)?,
        pointer(targets)?,
        pointer(scale)?,
        pointer(&gradient)?,
        pointer(&loss.tensor)?,
        Arg::size(elements),
        Arg::F32(count as f32),
        Arg::flag(loss.write == WriteMode::Add),
    ];
    let function = format!("binary_cross_entropy_{}", suffix(logits.dtype()));
    let launch = Launch { module: "loss", function, grid: [1, 1, 1], block: 256, shared_bytes: 0 };
    launch.run(logits.device(), &args)?;
    Ok(gradient)
}
