//! The affine map y = x w^T + b.

use candle_core::{DType, Device, Tensor};

use super::weights::{LinearWeight, Weights};
use crate::Result;
use crate::autograd::{Gradients, Parameter, Tape, Value};
use crate::kernels::linear::{self, Bias};
use crate::kernels::packed::Activation;
use crate::kernels::{Target, elementwise, gelu};

/// w [outputs, inputs], b `[outputs]`.
#[derive(Clone)]
pub struct Linear {
    weight: LinearWeight,
    bias: Option<Parameter>,
}

impl Linear {
    /// The layer of `weight` [outputs, inputs] and `bias` `[outputs]`.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn new(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let bias = Some(weights.get("bias", &[outputs])?);
        Ok(Self { weight: weights.linear("weight", [outputs, inputs])?, bias })
    }

    /// Makes a layer like [`new`](Self::new), without a bias.
    ///
    /// # Errors
    /// If `weight` is missing or has another shape.
    pub fn without_bias(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: weights.linear("weight", [outputs, inputs])?, bias: None })
    }

    /// Whether its products are of integers.
    pub fn is_integer(&self) -> bool {
        matches!(&self.weight, LinearWeight::Packed(weight) if weight.is_integer())
    }

    /// Where its products are computed.
    pub fn device(&self) -> &Device {
        match &self.weight {
            LinearWeight::Parameter(weight) => weight.tensor().device(),
            LinearWeight::Packed(_) => &Device::Cpu,
        }
    }

    /// The layer of these parameters.
    pub(super) fn of_parameters(weight: Parameter, bias: Parameter) -> Self {
        Self { weight: LinearWeight::Parameter(weight), bias: Some(bias) }
    }

    /// x [rows, inputs] -> [rows, outputs], in the format of the product's weight.
    pub fn forward(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        self.forward_in(self.format(), x, tape)
    }

    /// Does what [`forward`](Self::forward) does, with an output in f32: the model's last outputs are not rounded.
    pub fn forward_f32(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        self.forward_in(DType::F32, x, tape)
    }

    fn forward_in(&self, format: DType, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        assert!(tape.is_none() || !self.is_packed(), "packed weights are for inference");
        let (operand, output) = self.apply(format, x)?;
        let (x, layer) = (x.clone(), self.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            layer.backward(&x, &operand, &gradient, gradients)
        }))
    }

    /// x as an operand, and the output, for an operation that calls [`backward`](Self::backward) in
    /// its own.
    pub(crate) fn apply(&self, format: DType, x: &Value) -> Result<(Tensor, Tensor)> {
        self.multiply(x, self.bias.as_ref(), format)
    }

    /// Hands on the `gradient` of what [`apply`](Self::apply) returned.
    pub(crate) fn backward(
        &self,
        x: &Value,
        operand: &Tensor,
        gradient: &Tensor,
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let by_bias = self.bias.as_ref().map(|bias| gradients.target(bias)).transpose()?;
        self.hand_on(x, operand, gradient, by_bias, gradients)
    }

    /// Does what [`forward`](Self::forward) does, followed by GELU.
    pub fn forward_gelu(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        if let LinearWeight::Packed(weight) = &self.weight {
            assert!(tape.is_none(), "packed weights are for inference");
            let bias = Some(self.bias().tensor());
            return weight.forward(x.tensor(), bias, Activation::Gelu).map(Value::constant);
        }
        let (operand, product) = self.product(x)?;
        let output = gelu::forward(&product, self.bias().tensor())?;
        let (x, layer) = (x.clone(), self.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            let bias = layer.bias();
            let by_bias = gradients.target(bias)?;
            let by_product = gelu::backward(&gradient, &product, bias.tensor(), &by_bias)?;
            layer.product_backward(&x, &operand, &by_product, gradients)
        }))
    }

    /// x as an operand and x w^T alone, for an operation that adds [`bias`](Self::bias) in its own
    /// pass and calls [`product_backward`](Self::product_backward) in its backward.
    pub(super) fn product(&self, x: &Value) -> Result<(Tensor, Tensor)> {
        self.multiply(x, None, self.format())
    }

    fn multiply(
        &self,
        x: &Value,
        bias: Option<&Parameter>,
        format: DType,
    ) -> Result<(Tensor, Tensor)> {
        let operand = x.operand(self.format())?;
        let output = match &self.weight {
            LinearWeight::Parameter(weight) => {
                let bias = bias.map(|bias| Bias { exact: bias.tensor(), half: bias.half() });
                linear::forward(&operand, weight.operand(), bias, format)?
            }
            LinearWeight::Packed(weight) => {
                weight.forward(&operand, bias.map(Parameter::tensor), Activation::Identity)?
            }
        };
        Ok((operand, output))
    }

    pub(super) fn product_backward(
        &self,
        x: &Value,
        operand: &Tensor,
        gradient: &Tensor,
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        self.hand_on(x, operand, gradient, None, gradients)
    }

    fn hand_on(
        &self,
        x: &Value,
        operand: &Tensor,
        gradient: &Tensor,
        by_bias: Option<Target>,
        gradients: &mut Gradients<'_>,
    ) -> Result<()> {
        let weight = self.parameter();
        let (gradient, by_bias) = match gradient.dtype() == self.format() {
            true => (gradient.clone(), by_bias),
            false => {
                // The bias' gradient is summed before the other is rounded.
                if let Some(by_bias) = by_bias {
                    linear::column_sums(gradient, &by_bias)?;
                }
                (elementwise::cast(gradient, self.format())?, None)
            }
        };
        let by_weight = gradients.target(weight)?;
        linear::backward_parameters(&gradient, operand, &by_weight, by_bias.as_ref())?;
        gradients.update(x, |so_far| {
            let format = x.tensor().dtype();
            linear::backward_input(&gradient, weight.operand(), so_far, format)
        })
    }

    pub(super) fn bias(&self) -> &Parameter {
        self.bias.as_ref().expect("a layer fused with its bias has one")
    }

    /// The format of both operands of a product.
    pub(crate) fn format(&self) -> DType {
        match &self.weight {
            LinearWeight::Parameter(weight) => weight.operand().dtype(),
            LinearWeight::Packed(_) => DType::F32,
        }
    }

    fn is_packed(&self) -> bool {
        matches!(self.weight, LinearWeight::Packed(_))
    }

    fn parameter(&self) -> &Parameter {
        match &self.weight {
            LinearWeight::Parameter(weight) => weight,
            LinearWeight::Packed(_) => unreachable!("packed weights take no gradient"),
        }
    }
}
