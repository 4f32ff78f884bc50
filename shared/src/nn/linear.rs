//! The affine map y = x w^T + b.

use candle_core::Tensor;

use super::Weights;
use crate::Result;
use crate::autograd::{Gradients, Parameter, Tape, Value};
use crate::kernels::{gelu, matmul};

/// w [outputs, inputs], b [outputs].
#[derive(Clone)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    pub fn new(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = Some(weights.get("bias", &[outputs])?);
        Ok(Self { weight: weights.get("weight", &[outputs, inputs])?, bias })
    }

    pub fn without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: weights.get("weight", &[outputs, inputs])?, bias: None })
    }

    /// x [rows, inputs] -> [rows, outputs].
    pub fn forward(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        let bias = self.bias.as_ref().map(Parameter::tensor);
        let output = matmul::linear(x.tensor(), self.weight.tensor(), bias)?;
        let (x, layer) = (x.clone(), self.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            if let Some(bias) = &layer.bias {
                gradients.add_parameter(bias, matmul::column_sums(&gradient)?)?;
            }
            layer.product_backward(&x, &gradient, gradients)
        }))
    }

    /// As [`forward`](Self::forward), followed by GELU.
    pub fn forward_gelu(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        let product = self.product(x)?;
        let output = gelu::forward(&product, self.bias().tensor())?;
        let (x, layer) = (x.clone(), self.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            let (by_product, by_bias) = gelu::backward(&gradient, &product, layer.bias().tensor())?;
            gradients.add_parameter(layer.bias(), by_bias)?;
            layer.product_backward(&x, &by_product, gradients)
        }))
    }

    /// x w^T alone, for an operation that adds [`bias`](Self::bias) in its own pass and calls
    /// [`product_backward`](Self::product_backward) in its backward.
    pub(super) fn product(&self, x: &Value) -> Result<Tensor> {
        matmul::linear(x.tensor(), self.weight.tensor(), None)
    }

    pub(super) fn product_backward(
        &self,
        x: &Value,
        gradient: &Tensor,
        gradients: &mut Gradients,
    ) -> Result<()> {
        gradients.update_parameter(&self.weight, |so_far| {
            matmul::linear_backward_weight(gradient, x.tensor(), so_far)
        })?;
        gradients.update(x, |so_far| {
            matmul::linear_backward_input(gradient, self.weight.tensor(), so_far)
        })
    }

    pub(super) fn bias(&self) -> &Parameter {
        self.bias.as_ref().expect("a layer fused with its bias has one")
    }
}
