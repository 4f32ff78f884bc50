//! `kernels::cross_entropy` on a GPU.

use candle_core::Tensor;

use super::launch::{empty, pointer, suffix};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::{Target, WriteMode};

/// [`cross_entropy::bce_with_logits_backward`](crate::kernels::cross_entropy::bce_with_logits_backward)
/// with a mean over `count` elements and the scale in the first element of `scale`, f64 on the device.
pub fn bce_with_logits_backward(
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
    let function = format!("bce_with_logits_backward_{}", suffix(logits.dtype()));
    let launch = Launch { module: "loss", function, grid: [1, 1, 1], block: 256, shared_bytes: 0 };
    launch.run(logits.device(), &args)?;
    Ok(gradient)
}
