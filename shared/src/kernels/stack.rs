//! The linear maps of several layers, all of one input that each reads under a dropout mask of its own:
//! `y_l = dropout_l(x) w_l^T + b_l`. On a GPU they are one operation, which takes less time than many small ones.

use candle_core::{DType, Device, Tensor};

use super::random::DropoutMask;
use super::{Target, cuda, elementwise, linear};
use crate::Result;

/// The intermediate results that [`backward`] needs.
pub enum Saved {
    /// Each layer's input on the CPU [rows, inputs], and its mask.
    Inputs(Vec<(Tensor, Option<DropoutMask>)>),
    /// The inputs on a GPU.
    OnDevice(cuda::stack::Saved),
}

/// Whether training on `device` is faster with layers as one operation: fewer and larger products suit a GPU, while
/// the CPU's kernels would copy blocks of columns.
pub fn is_faster_on(device: &Device) -> bool {
    cuda::runs_on(device)
}

/// Returns the outputs of all layers beside each other [rows, layers * outputs], in the format of the weights, and what
/// [`backward`] needs: x f32 [rows, inputs], weight [layers, outputs, inputs], bias f32 [layers, outputs]. The masks, one
/// a layer, are of one probability, or all are `None`.
pub fn forward(
    x: &Tensor,
    masks: &[Option<DropoutMask>],
    weight: &Tensor,
    bias: &Tensor,
) -> Result<(Tensor, Saved)> {
    if cuda::takes(x) {
        let (y, saved) = cuda::stack::forward(x, masks, weight, bias)?;
        return Ok((y, Saved::OnDevice(saved)));
    }
    let format = weight.dtype();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (layer, &mask) in masks.iter().enumerate() {
        let dropped = mask.map_or_else(|| Ok(x.clone()), |mask| dropped(x, mask))?;
        let input = elementwise::cast(&dropped, format)?;
        let (weight, bias) = (weight.get(layer)?, bias.get(layer)?);
        outputs.push(linear::forward(&input, &weight, Some((&bias).into()), format)?);
        inputs.push((input, mask));
    }
    Ok((Tensor::cat(&outputs, 1)?.contiguous()?, Saved::Inputs(inputs)))
}

/// Returns the gradient of [`forward`] by x, f32, and writes those of the parameters to targets of their shapes, whose
/// layers may be any distance apart; `gradient` is that of the outputs.
pub fn backward(
    gradient: &Tensor,
    saved: &Saved,
    weight: &Tensor,
    by_weight: &Target,
    by_bias: &Target,
) -> Result<Tensor> {
    let inputs = match saved {
        Saved::Inputs(inputs) => inputs,
        Saved::OnDevice(saved) => {
            return cuda::stack::backward(gradient, saved, weight, by_weight, by_bias);
        }
    };
    let (_, outputs, _) = weight.dims3()?;
    let mut sum = None;
    for (layer, (input, mask)) in inputs.iter().enumerate().rev() {
        let of_layer = |target: &Target| -> Result<Target> {
            Ok(Target { tensor: target.tensor.get(layer)?, write: target.write })
        };
        let gradient = gradient.narrow(1, layer * outputs, outputs)?.contiguous()?;
        let (by_weight, by_bias) = (of_layer(by_weight)?, of_layer(by_bias)?);
        linear::backward_parameters(&gradient, input, &by_weight, Some(&by_bias))?;
        let by_input = linear::backward_input(&gradient, &weight.get(layer)?, None, DType::F32)?;
        let by_x = mask.map_or_else(|| Ok(by_input.clone()), |mask| dropped(&by_input, mask))?;
        sum = Some(match sum {
            None => by_x,
            Some(sum) => elementwise::add_assign(sum, &by_x)?,
        });
    }
    Ok(sum.expect("at least one layer"))
}

fn dropped(x: &Tensor, mask: DropoutMask) -> Result<Tensor> {
    Ok(elementwise::dropout(x, mask, None)?.0)
}
