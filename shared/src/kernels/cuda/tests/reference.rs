//! The CPU's functions, as these tests call them: f32 in, f32 out.

use candle_core::Tensor;

use super::read;
use crate::kernels::add_norm::{self, Summed};
use crate::kernels::attention::{Attention, Operands};
use crate::kernels::random::DropoutMask;
use crate::kernels::{elementwise, gelu, matmul};

/// Runs on the CPU's own functions, whatever the thread emulates.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Vec<f32> {
    read(&matmul::linear(x, weight, bias).unwrap())
}

pub fn linear_backward_input(gradient: &Tensor, weight: &Tensor) -> Vec<f32> {
    read(&matmul::linear_backward_input(gradient, weight, None).unwrap())
}

pub fn linear_backward_weight(gradient: &Tensor, x: &Tensor) -> Vec<f32> {
    read(&matmul::linear_backward_weight(gradient, x, None).unwrap())
}

pub fn column_sums(x: &Tensor) -> Vec<f32> {
    read(&matmul::column_sums(x).unwrap())
}

pub fn gelu(product: &Tensor, bias: &Tensor) -> Vec<f32> {
    read(&gelu::forward(product, bias).unwrap())
}

/// By the product and by the bias.
pub fn gelu_backward(gradient: &Tensor, product: &Tensor, bias: &Tensor) -> [Vec<f32>; 2] {
    let (by_product, by_bias) = gelu::backward(gradient, product, bias).unwrap();
    [read(&by_product), read(&by_bias)]
}

pub fn dropout(x: &Tensor, mask: DropoutMask) -> Vec<f32> {
    read(&elementwise::dropout(x, mask).unwrap())
}

/// The output, and the gradients for one of it.
pub struct AddNorm {
    pub y: Vec<f32>,
    pub by_sum: Vec<f32>,
    pub by_x: Option<Vec<f32>>,
    pub by_gamma: Vec<f32>,
    pub by_beta: Vec<f32>,
    pub by_bias: Option<Vec<f32>>,
}

pub fn add_norm(
    x: &Tensor,
    summed: Summed<'_>,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    gradient: &Tensor,
) -> AddNorm {
    let (y, normalised) = add_norm::forward(x, summed, gamma, beta, eps).unwrap();
    let sublayer = match summed {
        Summed::Alone => None,
        Summed::Sublayer { mask, .. } => Some(mask),
    };
    let found = add_norm::backward(gradient, &normalised, gamma, sublayer).unwrap();
    let (by_x, by_bias) = found.sublayer.map(|(x, bias)| (read(&x), read(&bias))).unzip();
    AddNorm {
        y: read(&y),
        by_sum: read(&found.sum),
        by_x,
        by_gamma: read(&found.gamma),
        by_beta: read(&found.beta),
        by_bias,
    }
}

/// The context, and the gradients of the operands for one of it.
pub fn attention(
    attention: &Attention,
    operands: &Operands<Tensor>,
    gradient: &Tensor,
) -> (Vec<f32>, Operands<Vec<f32>>) {
    let (context, probabilities) = attention.forward(operands).unwrap();
    let found = attention.backward(gradient, operands, &probabilities).unwrap();
    (read(&context), found.map(|tensor| Ok(read(tensor))).unwrap())
}
