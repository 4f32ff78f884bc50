//! Layer normalisation, alone or as the end of a transformer sublayer.

use super::{Dropout, Linear, Weights};
use crate::Result;
use crate::autograd::{Gradients, Parameter, Tape, Value};
use crate::kernels::add_norm::{self, AddNormGradients, Summed};

/// gamma and beta, each [width].
#[derive(Clone)]
pub struct LayerNorm {
    gamma: Parameter,
    beta: Parameter,
    eps: f64,
}

impl LayerNorm {
    pub fn new(weights: &Weights<'_>, width: usize, eps: f64) -> Result<Self> {
        let (gamma, beta) = (weights.get("weight", &[width])?, weights.get("bias", &[width])?);
        Ok(Self { gamma, beta, eps })
    }

    /// x [rows, width] -> [rows, width].
    pub fn forward(&self, x: &Value, tape: Option<&Tape>) -> Result<Value> {
        let (output, normalised) = add_norm::forward(
            x.tensor(),
            Summed::Alone,
            self.gamma.tensor(),
            self.beta.tensor(),
            self.eps,
        )?;
        let (x, norm) = (x.clone(), self.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            let found = add_norm::backward(&gradient, &normalised, norm.gamma.tensor(), None)?;
            let by_x = norm.add_parameters(found, gradients)?.sum;
            gradients.add(&x, by_x)
        }))
    }

    /// norm(dropout(dense(x)) + residual): x [rows, inputs], residual [rows, width].
    pub fn sublayer(
        &self,
        dense: &Linear,
        dropout: Dropout,
        x: &Value,
        residual: &Value,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let product = dense.product(x)?;
        let mask = dropout.mask(tape);
        let summed =
            Summed::Sublayer { bias: dense.bias().tensor(), residual: residual.tensor(), mask };
        let (output, normalised) =
            add_norm::forward(&product, summed, self.gamma.tensor(), self.beta.tensor(), self.eps)?;
        let (x, residual) = (x.clone(), residual.clone());
        let (norm, dense) = (self.clone(), dense.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            let gamma = norm.gamma.tensor();
            let found = add_norm::backward(&gradient, &normalised, gamma, Some(mask))?;
            let found = norm.add_parameters(found, gradients)?;
            gradients.add(&residual, found.sum)?;
            let (by_product, by_bias) = found.sublayer.expect("asked for");
            gradients.add_parameter(dense.bias(), by_bias)?;
            dense.product_backward(&x, &by_product, gradients)
        }))
    }

    /// Hands gamma's and beta's gradients over and returns the others.
    fn add_parameters(
        &self,
        found: AddNormGradients,
        gradients: &mut Gradients,
    ) -> Result<AddNormGradients> {
        gradients.add_parameter(&self.gamma, found.gamma.clone())?;
        gradients.add_parameter(&self.beta, found.beta.clone())?;
        Ok(found)
    }
}
