//! The affine map y = x w^T + b.

use std::sync::Arc;

use candle_core::Tensor;

use super::Weights;
use crate::Result;
use crate::autograd::{Gradients, Parameter, Tape, Value};
use crate::kernels::packed::{Activation, PackedLinear};
use crate::kernels::{gelu, matmul};

/// w [outputs, inputs], b [outputs].
#[derive(Clone)]
pub struct Linear {
    weight: LinearWeight,
    bias: Option<Parameter>,
}

/// Where a layer's w comes from.
#[derive(Clone)]
pub enum LinearWeight {
    Parameter(Parameter),
    /// For inference: it takes no gradient.
    Packed(Arc<PackedLinear>),
}

impl Linear {
    pub fn new(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = Some(weights.get("bias", &[outputs])?);
        Ok(Self { weight: weights.linear("weight", [outputs, inputs])?, bias })
    }

    pub fn without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: weights.linear("weight", [outputs, inputs])?, bias: None })
    }

    /// Whether its products are of whole numbers.
    pub fn is_integer(&self) -> bool {
        matches!(&self.weight, LinearWeight::Packed(weight) if weight.is_integer())
    }

    /// x [rows, inputs] -> [rows, outputs].
    pub fn forward(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        let bias = self.bias.as_ref().map(Parameter::tensor);
        let weight = match &self.weight {
            LinearWeight::Parameter(weight) => weight,
            LinearWeight::Packed(weight) => {
                assert!(tape.is_none(), "packed weights are for inference");
                let output = weight.forward(x.tensor(), bias, Activation::Identity)?;
                return Ok(Value::constant(output));
            }
        };
        let output = matmul::linear(x.tensor(), weight.tensor(), bias)?;
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
        if let LinearWeight::Packed(weight) = &self.weight {
            assert!(tape.is_none(), "packed weights are for inference");
            let bias = Some(self.bias().tensor());
            return weight.forward(x.tensor(), bias, Activation::Gelu).map(Value::constant);
        }
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
        match &self.weight {
            LinearWeight::Parameter(weight) => matmul::linear(x.tensor(), weight.tensor(), None),
            LinearWeight::Packed(weight) => weight.forward(x.tensor(), None, Activation::Identity),
        }
    }

    pub(super) fn product_backward(
        &self,
        x: &Value,
        gradient: &Tensor,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let LinearWeight::Parameter(weight) = &self.weight else {
            unreachable!("packed weights have no tape");
        };
        gradients.update_parameter(weight, |so_far| {
            matmul::linear_backward_weight(gradient, x.tensor(), so_far)
        })?;
        gradients
            .update(x, |so_far| matmul::linear_backward_input(gradient, weight.tensor(), so_far))
    }

    pub(super) fn bias(&self) -> &Parameter {
        self.bias.as_ref().expect("a layer fused with its bias has one")
    }
}
