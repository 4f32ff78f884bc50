//! AdamW with clipping over all parameters of a model: the optimizer step of the reference job.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{Device, Tensor};
use shared::autograd::Gradients;
use shared::kernels::elementwise::sum_of_squares;
use shared::kernels::optimizer::AdamW;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// The optimizer's state. The weights are the model's own tensors, changed in place.
pub struct Optimizer {
    moments: BTreeMap<String, Moments>,
    step: u32,
    weight_decay: f64,
    max_grad_norm: f64,
}

/// Running means of a gradient and of its square.
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Optimizer {
    pub fn new(weights: &BTreeMap<String, Tensor>, weight_decay: f64, max_grad_norm: f64) -> Self {
        let moments = weights
            .iter()
            .map(|(name, tensor)| {
                let zeros = || vec![0.0; tensor.elem_count()];
                (name.clone(), Moments { first: zeros(), second: zeros() })
            })
            .collect();
        Self { moments, step: 0, weight_decay, max_grad_norm }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> usize {
        self.step as usize
    }

    /// Takes one step if the gradients are finite; returns their global norm before clipping.
    ///
    /// A weight without a gradient took no part in the loss and stays as it is.
    pub fn step(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        gradients: &Gradients,
        learning_rate: f64,
    ) -> Result<f64> {
        let norm = global_norm(gradients)?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        self.step += 1;
        // As `torch.nn.utils.clip_grad_norm_`.
        let gradient_scale = (self.max_grad_norm / (norm + 1e-6)).min(1.0);
        for (name, gradient) in gradients.iter() {
            let adamw = AdamW { gradient_scale, ..self.constants(name, self.step, learning_rate) };
            let moments = self.moments.get_mut(name).expect("a moment for every parameter");
            adamw.update(&weights[name], gradient, &mut moments.first, &mut moments.second)?;
        }
        Ok(norm)
    }

    /// What a step at `learning_rate` multiplies a weight of `name` by whose gradients are zero.
    pub fn decay_factor(&self, name: &str, learning_rate: f64) -> f32 {
        self.constants(name, 1, learning_rate).decay_factor()
    }

    fn constants(&self, name: &str, step: u32, learning_rate: f64) -> AdamW {
        AdamW {
            learning_rate,
            beta1: BETA1,
            beta2: BETA2,
            eps: EPS,
            weight_decay: if decays(name) { self.weight_decay } else { 0.0 },
            step,
            gradient_scale: 1.0,
        }
    }

    /// The moments as tensors called `first.NAME` and `second.NAME`.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut tensors = BTreeMap::new();
        for (name, Moments { first, second }) in &self.moments {
            for (kind, values) in [("first", first), ("second", second)] {
                let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu)?;
                tensors.insert(format!("{kind}.{name}"), tensor);
            }
        }
        Ok(tensors)
    }

    /// Goes on from a [`state`](Self::state) after `steps` steps.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, steps: usize) -> Result<()> {
        for (name, moments) in &mut self.moments {
            for (kind, values) in [("first", &mut moments.first), ("second", &mut moments.second)] {
                let saved = state.get(&format!("{kind}.{name}"));
                let saved = saved.filter(|tensor| tensor.elem_count() == values.len());
                let Some(saved) = saved else {
                    anyhow::bail!("the checkpoint has no {kind} moment that fits `{name}`");
                };
                *values = saved.flatten_all()?.to_vec1()?;
            }
        }
        self.step = steps as u32;
        Ok(())
    }
}

/// Biases and layer norms are not decayed.
fn decays(name: &str) -> bool {
    !["bias", "LayerNorm.weight"].iter().any(|part| name.contains(part))
}

/// The norm of all gradients as one vector.
fn global_norm(gradients: &Gradients) -> Result<f64> {
    let mut squares = 0.0;
    for (_, gradient) in gradients.iter() {
        squares += sum_of_squares(gradient)?;
    }
    Ok(squares.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_matrices_and_tables_decay() {
        assert!(decays("deberta.encoder.layer.0.intermediate.dense.weight"));
        assert!(decays("deberta.embeddings.word_embeddings.weight"));
        assert!(!decays("classifier.bias"));
        assert!(!decays("deberta.encoder.LayerNorm.weight"));
        assert!(!decays("deberta.encoder.LayerNorm.bias"));
    }
}
