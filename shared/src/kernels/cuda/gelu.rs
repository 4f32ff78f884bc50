//! `kernels::gelu` on a GPU.

use candle_core::Tensor;

use super::columns::{self, Chunks};
use super::launch::{empty, pointer, suffix, vector};
use super::types::Arg;
use crate::Result;
use crate::kernels::{Target, WriteMode};

/// Returns GELU(product + bias) [rows, width] in the format of the product: product [rows, width], bias f32 `[width]`.
pub fn forward(product: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (rows, width) = product.dims2()?;
    let y = empty((rows, width), product.dtype(), product.device())?;
    let chunks = Chunks::to_map(rows);
    let arrays = [pointer(product)?, pointer(bias)?, pointer(&y)?];
    let [x, b, to] = arrays;
    let args = [
        x,
        b,
        to,
        Arg::size(rows),
        Arg::size(width),
        Arg::size(chunks.rows),
        vector(&arrays, width, columns::EACH),
    ];
    let function = format!("gelu_forward_{}", suffix(product.dtype()));
    chunks.launch("gelu", function, width).run(product.device(), &args)?;
    Ok(y)
}

/// Returns the gradient by the product, in its format, and writes that of the bias to `by_bias`; `gradient` is that
/// of the output.
pub fn backward(
    gradient: &Tensor,
    product: &Tensor,
    bias: &Tensor,
    by_bias: &Target,
) -> Result<Tensor> {
    let (rows, width) = product.dims2()?;
    let device = product.device();
    let by_product = empty((rows, width), product.dtype(), device)?;
    let chunks = Chunks::to_sum(rows);
    let (_partial, scratch) = chunks.scratch(width, device)?;
    let arrays = [pointer(gradient)?, pointer(product)?, pointer(bias)?, pointer(&by_product)?];
    let [g, x, b, to] = arrays;
    let args = [
        &[g, x, b, to, pointer(&by_bias.tensor)?][..],
        &[Arg::flag(by_bias.write == WriteMode::Add)],
        &scratch,
        &[Arg::size(rows), Arg::size(width), Arg::size(chunks.rows)],
        &[vector(&arrays, width, columns::EACH)],
    ]
    .concat();
    let function = format!("gelu_backward_{}", suffix(product.dtype()));
    chunks.launch("gelu", function, width).run(device, &args)?;
    Ok(by_product)
}
