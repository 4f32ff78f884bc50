//! Linear layers of one shape whose parameters lie one after the other, so that several are applied at once.

use std::ops::Range;

use super::{Linear, Weights};
use crate::Result;
use crate::autograd::{Parameter, Part, Tape, Value};
use crate::kernels::random::DropoutMask;
use crate::kernels::stack;

/// w [layers, outputs, inputs], b [layers, outputs].
#[derive(Clone)]
pub struct LinearStack {
    weight: Parameter,
    bias: Parameter,
}

impl LinearStack {
    /// The stack of `weight` and `bias`, or `None` where the weights have no such tensors.
    ///
    /// # Errors
    /// If they have another shape.
    pub fn find(
        weights: &Weights<'_>,
        layers: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Option<Self>> {
        if !["weight", "bias"].into_iter().all(|kind| weights.has(kind)) {
            return Ok(None);
        }
        let weight = weights.get("weight", &[layers, outputs, inputs])?;
        Ok(Some(Self { weight, bias: weights.get("bias", &[layers, outputs])? }))
    }

    /// Some outputs of one layer.
    pub(crate) fn layer(&self, layer: usize, outputs: Range<usize>) -> Result<Linear> {
        let part = Part { layer: Some(layer), rows: outputs };
        Ok(Linear::of_parameters(self.weight.part(part.clone())?, self.bias.part(part)?))
    }

    /// Some outputs of each layer.
    pub(crate) fn of_each(&self, outputs: Range<usize>) -> Result<Self> {
        let part = Part { layer: None, rows: outputs };
        Ok(Self { weight: self.weight.part(part.clone())?, bias: self.bias.part(part)? })
    }

    /// x [rows, inputs] under the mask of each layer -> the outputs of all layers beside each other
    /// [rows, layers * outputs], in the format of the weights.
    pub fn forward(
        &self,
        x: &Value,
        masks: &[Option<DropoutMask>],
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let (weight, bias) = (self.weight.operand(), self.bias.tensor());
        let (output, saved) = stack::forward(x.tensor(), masks, weight, bias)?;
        let (x, layers) = (x.clone(), self.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            let weight = layers.weight.operand();
            let by_weight = gradients.target(&layers.weight)?;
            let by_bias = gradients.target(&layers.bias)?;
            let by_x = stack::backward(&gradient, &saved, weight, &by_weight, &by_bias)?;
            gradients.add(&x, by_x)
        }))
    }
}
