//! The end of a step on a GPU: one launch unscales and clips, the next is AdamW. Nothing comes back to
//! the host unless it asks.

use candle_core::{DType, Device, Tensor};

use super::launch::{optional_pointer, pointer, suffix, vector};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::optimizer::types::{
    AdamW, BACKOFF_FACTOR, BETAS, EPS, GROWTH_FACTOR, GROWTH_INTERVAL, ParamGroup,
};

const BLOCK: usize = 256;
/// Neighbouring elements that a thread has.
const EACH: usize = 4;
/// The most blocks of a launch; a thread then takes several rounds.
const BLOCKS: usize = 1024;

/// The elements of the scaler's state, a tensor f64 `[16]`.
pub mod state {
    /// The factor of the loss.
    pub const SCALE: usize = 0;
    /// Steps without an overflow since the scale last changed.
    pub const GROWTH_TRACKER: usize = 1;
    /// AdamW's `step`: the updates so far.
    pub const STEP: usize = 2;
    /// The factor of the step's gradients: the clipping coefficient over the scale, 0 if one is not
    /// finite.
    pub const GRAD_FACTOR: usize = 3;
    // 4 is the unscaled norm of the step's gradients.
    /// 1 if a gradient of the step is infinite or NaN, else 0.
    pub const FOUND_INF: usize = 5;
    // 6 and 7 are AdamW's bias corrections, `1 - beta^step` for each beta.
    /// Elements of the tensor.
    pub const LEN: usize = 16;
}

fn blocks(elements: usize) -> usize {
    elements.div_ceil(BLOCK * EACH).clamp(1, BLOCKS)
}

fn launch(function: String, elements: usize) -> Launch {
    let grid = [blocks(elements) as u32, 1, 1];
    Launch { module: "optimizer", function, grid, block: BLOCK as u32, shared_bytes: 0 }
}

/// The scratch memory of [`unscale_and_clip`] for gradients of so many elements, to be used by one
/// stream, any number of times.
pub fn scratch(elements: usize, device: &Device) -> Result<Tensor> {
    Ok(Tensor::zeros(blocks(elements) + 1, DType::F64, device)?)
}

/// [`GradScaler::unscale_and_clip`](crate::kernels::grad_scaler::GradScaler::unscale_and_clip): reads the
/// gradients, f32 `[n]`, and updates `state`, f64 `[16]`; the unscaled norm also goes to `norm`, f32 `[1]`.
///
/// The scale that counts is the one at the time of the call; after it, `state` holds the next step's.
/// `growth_interval` is `None` for a scale that stays.
pub fn unscale_and_clip(
    gradients: &Tensor,
    scratch: &Tensor,
    state: &Tensor,
    growth_interval: Option<u32>,
    max_norm: f64,
    norm: &Tensor,
) -> Result<()> {
    let elements = gradients.elem_count();
    assert_eq!(scratch.elem_count(), blocks(elements) + 1, "scratch of other gradients");
    assert_eq!((state.dtype(), state.elem_count()), (DType::F64, state::LEN));
    let from = pointer(gradients)?;
    let args = [
        from,
        pointer(scratch)?,
        pointer(state)?,
        Arg::size(elements),
        Arg::F64(max_norm),
        Arg::F64(BETAS[0]),
        Arg::F64(BETAS[1]),
        Arg::F64(GROWTH_FACTOR),
        Arg::F64(BACKOFF_FACTOR),
        Arg::U32(growth_interval.unwrap_or(GROWTH_INTERVAL)),
        Arg::flag(growth_interval.is_some()),
        pointer(norm)?,
        vector(&[from], 0, EACH),
    ];
    launch("unscale_and_clip".into(), elements).run(gradients.device(), &args)
}

/// [`AdamW::step`], to the bit, unless [`unscale_and_clip`] has found a gradient that is not finite.
pub fn adamw(group: &ParamGroup, state: &Tensor, adamw: &AdamW) -> Result<()> {
    let elements = group.weights.elem_count();
    for flat in [&group.gradients, &group.exp_avg, &group.exp_avg_sq] {
        assert_eq!((flat.dtype(), flat.elem_count()), (DType::F32, elements), "f32 of one length");
    }
    let arrays = [
        pointer(&group.weights)?,
        pointer(&group.gradients)?,
        pointer(&group.exp_avg)?,
        pointer(&group.exp_avg_sq)?,
        optional_pointer(group.half.as_ref())?,
    ];
    let numbers = [
        pointer(state)?,
        Arg::size(elements),
        Arg::F64(adamw.lr),
        Arg::F64(BETAS[0]),
        Arg::F64(BETAS[1]),
        Arg::F64(EPS),
        Arg::F64(adamw.weight_decay),
        vector(&arrays, 0, EACH),
    ];
    let format = group.half.as_ref().map_or(DType::F32, Tensor::dtype);
    let args = [&arrays[..], &numbers].concat();
    launch(format!("adamw_{}", suffix(format)), elements).run(group.weights.device(), &args)
}
