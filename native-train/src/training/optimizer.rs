//! AdamW over an [`Arena`], called as PyTorch's: `zero_grad`, a backward pass into `gradients`, `step`.

use anyhow::Result;
use shared::autograd::ParameterGradients;
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::optimizer::{AdamW, ParamGroup};
use shared::nn::Weights;

use super::arena::{self, Arena};
use super::context::Compute;
use crate::run::tensors::Tensors;

/// The weights of a model and all that changes them.
pub struct Optimizer {
    arena: Arena,
    weights: Tensors,
    halves: Option<Tensors>,
    gradients: ParameterGradients,
    /// The groups to update, and whether each has weight decay. Made in the first step, which shows
    /// which parameters have a gradient.
    param_groups: Vec<(ParamGroup, bool)>,
    weight_decay: f64,
}

impl Optimizer {
    /// Copies `initial` to the device.
    ///
    /// # Errors
    /// If the device's memory does not suffice.
    pub fn new(initial: &Tensors, compute: &Compute, weight_decay: f64) -> Result<Self> {
        let arena = Arena::new(initial, compute.precision.half(), &compute.device)?;
        Ok(Self {
            weights: arena.weights()?,
            halves: arena.halves()?,
            gradients: ParameterGradients::over(arena.gradients()?),
            param_groups: Vec::new(),
            arena,
            weight_decay,
        })
    }

    /// The weights, for the model to be trained.
    pub fn weights(&self) -> Weights<'_> {
        let weights = Weights::new(&self.weights);
        match &self.halves {
            Some(halves) => weights.with_halves(halves),
            None => weights,
        }
    }

    /// The memory behind weights, gradients and moments.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Lets the next backward pass replace the gradients instead of adding to them.
    pub fn zero_grad(&mut self) {
        self.gradients.clear();
    }

    /// The gradients that backward passes add to.
    pub fn gradients(&mut self) -> &mut ParameterGradients {
        &mut self.gradients
    }

    /// Updates the weights, unless `scaler` has found a gradient that is not finite.
    ///
    /// A weight without a gradient takes no part in the loss and stays as it is.
    pub fn step(&mut self, lr: f64, scaler: &GradScaler) -> Result<()> {
        if self.param_groups.is_empty() {
            self.param_groups = self.arena.param_groups(|name| {
                let names = [Some(name), self.arena.stack_of(name)];
                names.into_iter().flatten().any(|name| self.gradients.get(name).is_some())
            })?;
        }
        for (group, decays) in &self.param_groups {
            self.adamw(*decays, lr).step(group, scaler)?;
        }
        Ok(())
    }

    /// The factor by which a step at `lr` changes a weight of `name` whose gradients have all been zero.
    pub fn decay_factor(&self, name: &str, lr: f64) -> f32 {
        self.adamw(arena::decays(name), lr).decay_factor()
    }

    fn adamw(&self, decays: bool, lr: f64) -> AdamW {
        AdamW { lr, weight_decay: if decays { self.weight_decay } else { 0.0 } }
    }
}
