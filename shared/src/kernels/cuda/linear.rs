//! `kernels::linear` on a GPU.

use candle_core::{DType, Tensor};

use super::columns::{self, Chunks, sum_partials};
use super::gemm::multiply;
use super::launch::{empty, pointer, suffix, vector};
use super::types::{Arg, Operand};
use crate::Result;
use crate::kernels::{Target, WriteMode};

/// Returns `x w^T + bias` [rows, outputs] in the format `output`: x [rows, inputs] and w [outputs, inputs] of one
/// format, bias f32 `[outputs]`.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    output: DType,
) -> Result<Tensor> {
    let shape = (x.dim(0)?, weight.dim(0)?);
    let y = empty(shape, output, x.device())?;
    multiply(Operand::new(x), Operand::transposed(weight), &y, WriteMode::Replace)?;
    if let Some(bias) = bias {
        add_bias(&y, bias)?;
    }
    Ok(y)
}

fn add_bias(y: &Tensor, bias: &Tensor) -> Result<()> {
    let (rows, width) = y.dims2()?;
    let chunks = Chunks::to_map(rows);
    let (to, from) = (pointer(y)?, pointer(bias)?);
    let args = [
        to,
        from,
        Arg::size(rows),
        Arg::size(width),
        Arg::size(chunks.rows),
        vector(&[to, from], width, columns::EACH),
    ];
    let function = format!("add_bias_{}", suffix(y.dtype()));
    chunks.launch("linear", function, width).run(y.device(), &args)
}

/// Returns the gradient of [`forward`] by x, `g w` [rows, inputs], in the format `output`, which is that of
/// `so_far`: to that it is added in place. g [rows, outputs].
pub fn backward_input(
    gradient: &Tensor,
    weight: &Tensor,
    so_far: Option<Tensor>,
    output: DType,
) -> Result<Tensor> {
    let (by_x, write) = match so_far {
        Some(sum) => (sum, WriteMode::Add),
        None => {
            let shape = (gradient.dim(0)?, weight.dim(1)?);
            (empty(shape, output, gradient.device())?, WriteMode::Replace)
        }
    };
    multiply(Operand::new(gradient), Operand::new(weight), &by_x, write)?;
    Ok(by_x)
}

/// Writes the gradient of [`forward`] by w, `g^T x`, to `target`: f32 [outputs, inputs].
pub fn backward_weight(gradient: &Tensor, x: &Tensor, target: &Target) -> Result<()> {
    multiply(Operand::transposed(gradient), Operand::new(x), &target.tensor, target.write)
}

/// Writes the sums over the rows of `gradient` [rows, columns] to `target`: f32 `[columns]`.
pub fn column_sums(gradient: &Tensor, target: &Target) -> Result<()> {
    let (rows, width) = gradient.dims2()?;
    let chunks = Chunks::to_sum(rows);
    let from = pointer(gradient)?;
    let sum = |to: &Tensor, write| {
        let args = [
            from,
            pointer(to)?,
            Arg::size(rows),
            Arg::size(width),
            Arg::size(chunks.rows),
            Arg::flag(write == WriteMode::Add),
            vector(&[from], width, columns::EACH),
        ];
        let function = format!("column_sums_{}", suffix(gradient.dtype()));
        chunks.launch("linear", function, width).run(gradient.device(), &args)
    };
    if chunks.count == 1 {
        return sum(&target.tensor, target.write);
    }
    let partial = chunks.partial(1, width, gradient.device())?;
    sum(&partial, WriteMode::Replace)?;
    sum_partials(&partial, &[target])
}
