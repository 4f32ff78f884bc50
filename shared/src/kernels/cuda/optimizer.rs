//! The end of a step over flat arenas: norm, loss scale and clipping decided in one launch, AdamW in
//! another. Nothing comes back to the host unless it asks.

use candle_core::{DType, Device, Tensor};

use super::launch::{optional_pointer, pointer, suffix, vector};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::optimizer::{AdamW, BACKOFF, BETA1, BETA2, EPS, GROWTH, Range, Rules};

const BLOCK: usize = 256;
/// Neighbouring elements that a thread has.
const EACH: usize = 4;
/// The most blocks of a launch; a thread then takes several rounds.
const BLOCKS: usize = 1024;

/// Where the numbers of the state lie.
pub mod state {
    /// What the loss is multiplied by before the backward pass.
    pub const SCALE: usize = 0;
    /// Steps without overflow since the scale last changed.
    pub const CLEAN_STEPS: usize = 1;
    /// Steps that AdamW has taken.
    pub const STEPS: usize = 2;
    /// What the gradients of the step are multiplied by: clipping over scale, or 0 if it is skipped.
    pub const FACTOR: usize = 3;
    /// The norm of the step's gradients without the scale; not finite if it is skipped.
    pub const NORM: usize = 4;
    /// 1 if the step is skipped, else 0.
    pub const SKIPPED: usize = 5;
    /// 1 - beta1^steps, 1 - beta2^steps.
    pub const CORRECTIONS: [usize; 2] = [6, 7];
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

/// The scratch memory of [`norm_and_decide`] for an arena of so many elements. It may be used again
/// and again, by one stream.
pub fn scratch(elements: usize, device: &Device) -> Result<Tensor> {
    Ok(Tensor::zeros(blocks(elements) + 1, DType::F64, device)?)
}

/// Looks at all gradients, f32 [n], and decides about the step: see [`state`].
///
/// The norm is without the loss scale. A step whose norm is not finite is skipped, whether the scale
/// is dynamic or not. The scale that counts is the one at the time of the call; after it, `state`
/// (f64 [16]) holds the scale of the next step. The norm goes to `norm`, f32 [1],
/// as well.
pub fn norm_and_decide(
    gradients: &Tensor,
    scratch: &Tensor,
    state: &Tensor,
    rules: Rules,
    norm: &Tensor,
) -> Result<()> {
    let elements = gradients.elem_count();
    assert_eq!(scratch.elem_count(), blocks(elements) + 1, "scratch of another arena");
    assert_eq!((state.dtype(), state.elem_count()), (DType::F64, state::LEN));
    let from = pointer(gradients)?;
    let args = [
        from,
        pointer(scratch)?,
        pointer(state)?,
        Arg::size(elements),
        Arg::F64(rules.max_grad_norm),
        Arg::F64(BETA1),
        Arg::F64(BETA2),
        Arg::F64(GROWTH),
        Arg::F64(BACKOFF),
        Arg::U32(rules.growth_interval),
        Arg::flag(rules.scaling),
        pointer(norm)?,
        vector(&[from], 0, EACH),
    ];
    launch("norm_and_decide".into(), elements).run(gradients.device(), &args)
}

/// One AdamW step, unless [`norm_and_decide`] has skipped it: bit for bit that of
/// `kernels::optimizer` with the same factor on the gradients.
pub fn adamw(range: &Range, state: &Tensor, adamw: &AdamW) -> Result<()> {
    let elements = range.weights.elem_count();
    for arena in [&range.gradients, &range.first, &range.second] {
        assert_eq!((arena.dtype(), arena.elem_count()), (DType::F32, elements), "arenas of a kind");
    }
    let arrays = [
        pointer(&range.weights)?,
        pointer(&range.gradients)?,
        pointer(&range.first)?,
        pointer(&range.second)?,
        optional_pointer(range.half.as_ref())?,
    ];
    let numbers = [
        pointer(state)?,
        Arg::size(elements),
        Arg::F64(adamw.learning_rate),
        Arg::F64(BETA1),
        Arg::F64(BETA2),
        Arg::F64(EPS),
        Arg::F64(adamw.weight_decay),
        vector(&arrays, 0, EACH),
    ];
    let format = range.half.as_ref().map_or(DType::F32, Tensor::dtype);
    let args = [&arrays[..], &numbers].concat();
    launch(format!("adamw_{}", suffix(format)), elements).run(range.weights.device(), &args)
}
