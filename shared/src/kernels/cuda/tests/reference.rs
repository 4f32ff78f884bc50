//! The CPU's functions, as these tests call them: f32 in, f32 out.

use candle_core::{DType, Device, Tensor};

use super::{natively, read};
use crate::Result;
use crate::kernels::add_norm::{self, ParameterTargets, Summed};
use crate::kernels::attention::{Attention, Operands};
use crate::kernels::cross_entropy::bce_with_logits_backward;
use crate::kernels::distillation::{Goals, distillation_backward};
use crate::kernels::grad_scaler::GradScaler;
use crate::kernels::random::DropoutMask;
use crate::kernels::tests::target;
use crate::kernels::{Indices, Target, elementwise, gelu, linear, rows};

/// Returns the gradient that an operation of the CPU writes to a target.
fn put(shape: impl Into<candle_core::Shape>, f: impl FnOnce(&Target) -> Result<()>) -> Tensor {
    let target = target(shape);
    natively(|| f(&target)).unwrap();
    target.tensor
}

pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Vec<f32> {
    read(&natively(|| linear::forward(x, weight, bias.map(Into::into), DType::F32)).unwrap())
}

pub fn linear_backward_input(gradient: &Tensor, weight: &Tensor) -> Vec<f32> {
    let by_x = natively(|| linear::backward_input(gradient, weight, None, DType::F32));
    read(&by_x.unwrap())
}

pub fn linear_backward_weight(gradient: &Tensor, x: &Tensor) -> Vec<f32> {
    let shape = (gradient.dim(1).unwrap(), x.dim(1).unwrap());
    read(&put(shape, |target| linear::backward_parameters(gradient, x, target, None)))
}

pub fn column_sums(x: &Tensor) -> Vec<f32> {
    read(&put(x.dim(1).unwrap(), |target| linear::column_sums(x, target)))
}

pub fn gelu(product: &Tensor, bias: &Tensor) -> Vec<f32> {
    read(&natively(|| gelu::forward(product, bias)).unwrap())
}

/// Returns the gradients by the product and by the bias.
pub fn gelu_backward(gradient: &Tensor, product: &Tensor, bias: &Tensor) -> [Vec<f32>; 2] {
    let by_bias = target(bias.shape());
    let by_product = natively(|| gelu::backward(gradient, product, bias, &by_bias)).unwrap();
    [read(&by_product), read(&by_bias.tensor)]
}

pub fn dropout(x: &Tensor, mask: DropoutMask) -> Vec<f32> {
    read(&natively(|| elementwise::dropout(x, mask, None)).unwrap().0)
}

/// [n, width]
pub fn scatter_add(gradient: &Tensor, indices: &[u32], skip: Option<u32>, n: usize) -> Tensor {
    let indices = Indices::new(indices);
    put((n, gradient.dim(1).unwrap()), |target| rows::scatter_add(gradient, &indices, skip, target))
}

/// The loss and its gradient.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> (f32, Vec<f32>) {
    let (loss, scaler) = (target(1), natively(|| GradScaler::disabled(&Device::Cpu)).unwrap());
    let count = logits.elem_count();
    let gradient =
        natively(|| bce_with_logits_backward(logits, targets, count, &scaler, &loss)).unwrap();
    (read(&loss.tensor)[0], read(&gradient))
}

/// The loss of a student and its gradient.
pub fn distillation(logits: &Tensor, goals: &Goals<'_>) -> (f32, Vec<f32>) {
    let (loss, scaler) = (target(1), natively(|| GradScaler::disabled(&Device::Cpu)).unwrap());
    let count = logits.elem_count();
    let gradient =
        natively(|| distillation_backward(logits, goals, count, &scaler, &loss)).unwrap();
    (read(&loss.tensor)[0], read(&gradient))
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
    let output = natively(|| add_norm::forward(x, summed, gamma, beta, eps, None)).unwrap();
    let sublayer = match summed {
        Summed::Alone => None,
        Summed::Sublayer { mask, .. } => Some((mask, DType::F32)),
    };
    let [by_gamma, by_beta, by_bias] = [(); 3].map(|()| target(gamma.shape()));
    let bias = sublayer.map(|_| &by_bias);
    let targets = ParameterTargets { gamma: &by_gamma, beta: &by_beta, bias };
    let found =
        natively(|| add_norm::backward(gradient, &output.normalised, gamma, sublayer, &targets));
    let found = found.unwrap();
    AddNorm {
        y: read(&output.y),
        by_sum: read(&found.sum),
        by_x: found.x.as_ref().map(read),
        by_gamma: read(&by_gamma.tensor),
        by_beta: read(&by_beta.tensor),
        by_bias: sublayer.map(|_| read(&by_bias.tensor)),
    }
}

/// The context, and the gradients of the operands for one of it.
pub fn attention(
    attention: &Attention,
    operands: &Operands<Tensor>,
    gradient: &Tensor,
) -> (Vec<f32>, Operands<Vec<f32>>) {
    natively(|| {
        let (context, saved) = attention.forward(operands).unwrap();
        let found = attention.backward(gradient, operands, &saved).unwrap();
        (read(&context), found.map(|tensor| Ok(read(tensor))).unwrap())
    })
}
