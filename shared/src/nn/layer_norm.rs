//! Layer normalisation, alone or as the end of a transformer sublayer.

use candle_core::{DType, Tensor};

use super::{Linear, Weights};
use crate::Result;
use crate::autograd::{Gradients, Parameter, Tape, Value};
use crate::kernels::Target;
use crate::kernels::add_norm::{
    self, InputGradients, Normalised, Output, ParameterTargets, Summed,
};
use crate::kernels::random::DropoutMask;

/// gamma and beta, each `[width]`.
#[derive(Clone)]
pub struct LayerNorm {
    gamma: Parameter,
    beta: Parameter,
    eps: f64,
    /// The format of the products that read the output.
    half: Option<DType>,
}

impl LayerNorm {
    /// The layer of `weight` (gamma) and `bias` (beta), each `[width]`.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn new(weights: &Weights<'_>, width: usize, eps: f64) -> Result<Self> {
        let (gamma, beta) = (weights.get("weight", &[width])?, weights.get("bias", &[width])?);
        Ok(Self { gamma, beta, eps, half: weights.half_format() })
    }

    /// x [rows, width] -> [rows, width].
    pub fn forward(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        let Output { y, half, normalised } = self.norm(x.tensor(), Summed::Alone)?;
        let (x, norm) = (x.clone(), self.clone());
        let backward = move |gradient: Tensor, gradients: &mut Gradients<'_>| {
            let found = norm.backward(&gradient, &normalised, None, gradients)?;
            gradients.add(&x, found.sum)
        };
        Ok(Value::output(tape, y, backward).with_half(half))
    }

    /// norm(dropout(dense(x)) + residual): x [rows, inputs], residual [rows, width]. The dropout's mask is given.
    pub fn sublayer(
        &self,
        dense: &Linear,
        mask: Option<DropoutMask>,
        x: &Value,
        residual: &Value,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let (operand, product) = dense.product(x)?;
        let summed =
            Summed::Sublayer { bias: dense.bias().tensor(), residual: residual.tensor(), mask };
        let Output { y, half, normalised } = self.norm(&product, summed)?;
        let (x, residual, format) = (x.clone(), residual.clone(), product.dtype());
        let (norm, dense) = (self.clone(), dense.clone());
        let backward = move |gradient: Tensor, gradients: &mut Gradients<'_>| {
            let bias = gradients.target(dense.bias())?;
            let sublayer = Some((mask, format, &bias));
            let found = norm.backward(&gradient, &normalised, sublayer, gradients)?;
            gradients.add(&residual, found.sum)?;
            let by_product = found.x.expect("asked for");
            dense.product_backward(&x, &operand, &by_product, gradients)
        };
        Ok(Value::output(tape, y, backward).with_half(half))
    }

    fn norm(&self, x: &Tensor, summed: Summed<'_>) -> Result<Output> {
        add_norm::forward(x, summed, self.gamma.tensor(), self.beta.tensor(), self.eps, self.half)
    }

    /// `sublayer`: the dropout and format of the summed product, and where its bias' gradient goes.
    fn backward(
        &self,
        gradient: &Tensor,
        normalised: &Normalised,
        sublayer: Option<(Option<DropoutMask>, DType, &Target)>,
        gradients: &mut Gradients<'_>,
    ) -> Result<InputGradients> {
        let targets = ParameterTargets {
            gamma: &gradients.target(&self.gamma)?,
            beta: &gradients.target(&self.beta)?,
            bias: sublayer.map(|(_, _, bias)| bias),
        };
        let sublayer = sublayer.map(|(mask, format, _)| (mask, format));
        add_norm::backward(gradient, normalised, self.gamma.tensor(), sublayer, &targets)
    }
}
