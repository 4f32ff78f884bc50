//! `kernels::linear` on a GPU.

use candle_core::{DType, Tensor};

use super::columns::{self, Chunks};
use super::gemm::{multiply, multiply_with};
use super::launch::{empty, first_element, pointer, suffix, vector};
use super::types::{Arg, Epilogue, Operand};
use crate::Result;
use crate::kernels::linear::types::Bias;
use crate::kernels::{Target, WriteMode};

/// Returns `x w^T + bias` [rows, outputs] in the format `output`: x [rows, inputs] and w [outputs, inputs] of one
/// format. A bias in the output's format is added in the product's pass, before it is rounded.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<Bias<'_>>,
    output: DType,
) -> Result<Tensor> {
    let y = empty((x.dim(0)?, weight.dim(0)?), output, x.device())?;
    let operands = || (Operand::new(x), Operand::transposed(weight));
    if let Some(bias) = bias.and_then(|bias| bias.in_format(output)) {
        let (a, b) = operands();
        if multiply_with(a, b, &y, &Epilogue::Bias(bias))? {
            return Ok(y);
        }
    }
    let (a, b) = operands();
    multiply(a, b, &y, WriteMode::Replace)?;
    if let Some(bias) = bias {
        add_bias(&y, bias.exact)?;
    }
    Ok(y)
}

/// Adds a bias f32 `[width]`, or [blocks, width / blocks], to the rows of y [rows, width].
pub(super) fn add_bias(y: &Tensor, bias: &Tensor) -> Result<()> {
    let (rows, width) = y.dims2()?;
    let chunks = Chunks::to_map(rows);
    let to = pointer(y)?;
    let [from, block, distance] = blocks(bias)?;
    let args = [
        to,
        from,
        block,
        distance,
        Arg::size(rows),
        Arg::size(width),
        Arg::size(chunks.rows),
        vector(&[to], width, columns::EACH),
    ];
    let function = format!("add_bias_{}", suffix(y.dtype()));
    chunks.launch("linear", function, width).run(y.device(), &args)
}

/// Returns the address of a vector, or of several of one length, with that length and the distance between two.
fn blocks(vectors: &Tensor) -> Result<[Arg; 3]> {
    let (length, distance) = match *vectors.dims() {
        [length] => (length, length),
        _ => (vectors.dims2()?.1, vectors.stride()[0]),
    };
    Ok([Arg::Pointer(first_element(vectors)), Arg::size(length), Arg::size(distance)])
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

/// Writes the gradient of [`forward`] by w, `g^T x`, to `by_weight`: f32 [outputs, inputs], and that by the bias, the sums
/// of g over its rows.
pub fn backward_parameters(
    gradient: &Tensor,
    x: &Tensor,
    by_weight: &Target,
    by_bias: Option<&Target>,
) -> Result<()> {
    let operands = || (Operand::transposed(gradient), Operand::new(x));
    if let Some(by_bias) = by_bias {
        if [by_weight, by_bias].iter().all(|target| target.write == WriteMode::Replace) {
            let (a, b) = operands();
            if multiply_with(a, b, &by_weight.tensor, &Epilogue::RowSums(&by_bias.tensor))? {
                return Ok(());
            }
        }
        column_sums(gradient, by_bias)?;
    }
    let (a, b) = operands();
    multiply(a, b, &by_weight.tensor, by_weight.write)
}

/// Writes the sums over the rows of `gradient` [rows, columns] to `target`: f32 `[columns]`, or [blocks, columns /
/// blocks].
pub fn column_sums(gradient: &Tensor, target: &Target) -> Result<()> {
    let ((rows, width), device) = (gradient.dims2()?, gradient.device());
    let chunks = Chunks::to_sum(rows);
    let from = pointer(gradient)?;
    let (_partial, scratch) = chunks.scratch(width, device)?;
    let args = [
        &[from][..],
        &blocks(&target.tensor)?,
        &[Arg::flag(target.write == WriteMode::Add)],
        &scratch,
        &[Arg::size(rows), Arg::size(width), Arg::size(chunks.rows)],
        &[vector(&[from], width, columns::EACH)],
    ]
    .concat();
    let function = format!("column_sums_{}", suffix(gradient.dtype()));
    chunks.launch("linear", function, width).run(device, &args)
}
