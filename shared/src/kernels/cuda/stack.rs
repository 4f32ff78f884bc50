//! `kernels::stack` on a GPU: one product for all layers, whose matrices are blocks of columns.

use candle_core::{DType, Tensor};

use super::elementwise::{Masks, dropout_each, dropout_each_backward};
use super::gemm::multiply;
use super::launch::empty;
use super::linear::{add_bias, column_sums};
use super::types::Operand;
use crate::Result;
use crate::kernels::random::DropoutMask;
use crate::kernels::{Target, WriteMode};

/// The intermediate results that [`backward`] needs: the layers' inputs [rows, layers * inputs], and their masks.
pub struct Saved {
    inputs: Tensor,
    masks: Masks,
}

/// [`stack::forward`](crate::kernels::stack::forward).
pub fn forward(
    x: &Tensor,
    masks: &[Option<DropoutMask>],
    weight: &Tensor,
    bias: &Tensor,
) -> Result<(Tensor, Saved)> {
    let ((layers, outputs, _), device) = (weight.dims3()?, x.device());
    let masks = Masks::new(masks, device)?;
    let inputs = dropout_each(x, &masks, weight.dtype())?;
    let y = empty((x.dim(0)?, layers * outputs), weight.dtype(), device)?;
    let (a, b) = (blocks(&inputs, layers)?, Operand::transposed(weight));
    multiply(Operand::new(&a), b, &blocks(&y, layers)?, WriteMode::Replace)?;
    add_bias(&y, bias)?;
    Ok((y, Saved { inputs, masks }))
}

/// [`stack::backward`](crate::kernels::stack::backward).
pub fn backward(
    gradient: &Tensor,
    saved: &Saved,
    weight: &Tensor,
    by_weight: &Target,
    by_bias: &Target,
) -> Result<Tensor> {
    let layers = weight.dim(0)?;
    column_sums(gradient, by_bias)?;
    let (gradient, inputs) = (blocks(gradient, layers)?, blocks(&saved.inputs, layers)?);
    let a = Operand::transposed(&gradient);
    multiply(a, Operand::new(&inputs), &by_weight.tensor, by_weight.write)?;
    let by_inputs = empty(saved.inputs.shape(), DType::F32, gradient.device())?;
    let output = blocks(&by_inputs, layers)?;
    multiply(Operand::new(&gradient), Operand::new(weight), &output, WriteMode::Replace)?;
    dropout_each_backward(&by_inputs, &saved.masks)
}

/// Views blocks of columns as matrices: [rows, layers * width] -> [layers, rows, width].
fn blocks(matrix: &Tensor, layers: usize) -> Result<Tensor> {
    let (rows, all) = matrix.dims2()?;
    Ok(matrix.reshape((rows, layers, all / layers))?.transpose(0, 1)?)
}
