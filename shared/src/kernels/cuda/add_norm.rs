//! `kernels::add_norm` on a GPU.

use candle_core::{DType, Tensor};

use super::launch::{counters, empty, optional_pointer, pointer, suffix, vector};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::WriteMode;
use crate::kernels::add_norm::types::{ParameterTargets, Summed};
use crate::kernels::random::DropoutMask;

/// Neighbouring elements of one thread.
const EACH: usize = 4;

/// The most blocks of the backward pass, and the blocks whose sums over rows the last of them adds up, as `add_norm.cu`
/// has it.
const BLOCKS: usize = 256;
const GROUP: usize = 16;

/// The normalised rows, which [`backward`] needs: (s - mean) / deviation [rows, width], 1 / deviation `[rows]`.
pub struct Normalised {
    values: Tensor,
    inverse_deviation: Tensor,
}

fn launch(function: String, blocks: usize, width: usize, floats: usize) -> Launch {
    let threads = width.div_ceil(EACH).next_multiple_of(32).min(256);
    Launch {
        module: "add_norm",
        function,
        grid: [blocks as u32, 1, 1],
        block: threads as u32,
        shared_bytes: (floats * 4) as u32,
    }
}

/// Returns y, f32 [rows, width], a copy of it in the format `half` if that is asked for, and what [`backward`]
/// needs. x [rows, width] may have any format, the residual is f32.
pub fn forward(
    x: &Tensor,
    summed: Summed<'_>,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    half: Option<DType>,
) -> Result<(Tensor, Option<Tensor>, Normalised)> {
    let ((rows, width), device) = (x.dims2()?, x.device());
    let y = empty((rows, width), DType::F32, device)?;
    let copy = half.map(|half| empty((rows, width), half, device)).transpose()?;
    let values = empty((rows, width), DType::F32, device)?;
    let inverse_deviation = empty(rows, DType::F32, device)?;
    let (bias, residual, mask) = match summed {
        Summed::Alone => (None, None, None),
        Summed::Sublayer { bias, residual, mask } => (Some(bias), Some(residual), mask),
    };
    let arrays = [
        pointer(x)?,
        optional_pointer(bias)?,
        optional_pointer(residual)?,
        pointer(gamma)?,
        pointer(beta)?,
        pointer(&y)?,
        optional_pointer(copy.as_ref())?,
        pointer(&values)?,
    ];
    let [from, bias, residual, gamma, beta, to, to_half, hat] = arrays;
    let args = [
        &[from, bias, residual][..],
        &Arg::mask(mask),
        &[gamma, beta, Arg::F32(eps as f32), to, to_half, hat, pointer(&inverse_deviation)?],
        &[Arg::size(width), vector(&arrays, width, EACH)],
    ]
    .concat();
    let formats = (suffix(x.dtype()), suffix(half.unwrap_or(DType::F32)));
    let function = format!("add_norm_forward_{}_{}", formats.0, formats.1);
    launch(function, rows, width, width).run(device, &args)?;
    Ok((y, copy, Normalised { values, inverse_deviation }))
}

/// Returns the gradients by s, f32, and within a sublayer by x, in its format.
///
/// `gradient` is that of y, f32; `sublayer` holds the mask given to `forward` and the format of x.
pub fn backward(
    gradient: &Tensor,
    normalised: &Normalised,
    gamma: &Tensor,
    sublayer: Option<(Option<DropoutMask>, DType)>,
    targets: &ParameterTargets<'_>,
) -> Result<(Tensor, Option<Tensor>)> {
    let ((rows, width), device) = (gradient.dims2()?, gradient.device());
    let by_sum = empty((rows, width), DType::F32, device)?;
    let (mask, x_format) = sublayer.unwrap_or((None, DType::F32));
    let by_x = sublayer.map(|_| empty((rows, width), x_format, device)).transpose()?;
    let targets = [Some(targets.gamma), Some(targets.beta), targets.bias];
    assert_eq!(targets[2].is_some(), sublayer.is_some(), "a sublayer has a bias");
    let vectors = targets.iter().flatten().count();
    let rows_a_block = rows.div_ceil(BLOCKS).max(4);
    let blocks = rows.div_ceil(rows_a_block);
    let groups = blocks.div_ceil(GROUP);
    let partial = empty((blocks + groups, vectors * width), DType::F32, device)?;
    let arrays = [
        pointer(gradient)?,
        pointer(&normalised.values)?,
        pointer(gamma)?,
        pointer(&by_sum)?,
        optional_pointer(by_x.as_ref())?,
    ];
    let [g, hat, gamma, to_sum, to_x] = arrays;
    let places = targets.map(|target| optional_pointer(target.map(|target| &target.tensor)));
    let places = places.into_iter().collect::<Result<Vec<_>>>()?;
    let adds = targets.map(|target| Arg::flag(target.is_some_and(|t| t.write == WriteMode::Add)));
    let args = [
        &[g, hat, pointer(&normalised.inverse_deviation)?, gamma][..],
        &Arg::mask(mask),
        &[to_sum, to_x],
        &places,
        &adds,
        &[pointer(&partial)?, counters(1 + groups, device)?, Arg::size(rows), Arg::size(width)],
        &[Arg::size(rows_a_block), vector(&arrays, width, EACH)],
    ]
    .concat();
    let function = format!("add_norm_backward_{}", suffix(x_format));
    launch(function, blocks, width, 4 * width).run(device, &args)?;
    Ok((by_sum, by_x))
}
