//! `kernels::matmul`'s linear maps on a GPU.

use candle_core::{DType, Tensor};

use super::columns::{self, Chunks, sum_partials};
use super::gemm::{Operand, multiply};
use super::launch::{Arg, empty, pointer, suffix, vector};
use crate::Result;
use crate::kernels::{Target, Write};

/// `x w^T + bias` in the format `output`: x [rows, inputs] and w [outputs, inputs] of one format,
/// bias f32 [outputs] -> [rows, outputs].
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, output: DType) -> Result<Tensor> {
    let shape = (x.dim(0)?, weight.dim(0)?);
    let y = empty(shape, output, x.device())?;
    multiply(Operand::new(x), Operand::transposed(weight), &y, Write::Replace)?;
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

/// The gradient of [`linear`] by x, `g w`, in the format `output`, which is that of `so_far`: added
/// to that in place. g [rows, outputs] -> [rows, inputs].
pub fn linear_backward_input(
    gradient: &Tensor,
    weight: &Tensor,
    so_far: Option<Tensor>,
    output: DType,
) -> Result<Tensor> {
    let (by_x, write) = match so_far {
        Some(sum) => (sum, Write::Add),
        None => {
            let shape = (gradient.dim(0)?, weight.dim(1)?);
            (empty(shape, output, gradient.device())?, Write::Replace)
        }
    };
    multiply(Operand::new(gradient), Operand::new(weight), &by_x, write)?;
    Ok(by_x)
}

/// The gradient of [`linear`] by w, `g^T x`: f32 [outputs, inputs].
pub fn linear_backward_weight(gradient: &Tensor, x: &Tensor, target: &Target) -> Result<()> {
    multiply(Operand::transposed(gradient), Operand::new(x), &target.tensor, target.write)
}

/// The sum over rows, the gradient of a bias: g [rows, columns] -> f32 [columns].
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
            Arg::flag(write == Write::Add),
            vector(&[from], width, columns::EACH),
        ];
        let function = format!("column_sums_{}", suffix(gradient.dtype()));
        chunks.launch("linear", function, width).run(gradient.device(), &args)
    };
    if chunks.count == 1 {
        return sum(&target.tensor, target.write);
    }
    let partial = chunks.partial(1, width, gradient.device())?;
    sum(&partial, Write::Replace)?;
    sum_partials(&partial, &[target])
}
