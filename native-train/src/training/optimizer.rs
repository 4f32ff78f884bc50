//! The optimizer step of the reference job: scaled loss, backward passes that add up, clipping,
//! AdamW; and what it says, read in batches so that a GPU is not waited for at each step.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use shared::autograd::{ParameterGradients, Tape, Value};
use shared::kernels::cross_entropy::{Share, binary_cross_entropy};
use shared::kernels::optimizer::{AdamW, INITIAL_SCALE, Numbers, Range, Rules, StepState, decide};
use shared::kernels::{Target, WriteMode};
use shared::nn::Weights;

use super::arena::{self, Arena};
use super::{Compute, Precision};
use crate::run::tensors::Tensors;

/// Steps that a device may be ahead of what is known about them.
const UNREAD_STEPS: usize = 32;

/// The weights of a model and all that changes them.
pub struct Optimizer {
    arena: Arena,
    weights: Tensors,
    halves: Option<Tensors>,
    gradients: ParameterGradients,
    /// What an update goes over and whether it decays: of the parameters that take part in the loss,
    /// which the first step tells.
    ranges: Vec<(Range, bool)>,
    state: StepState,
    rules: Rules,
    weight_decay: f64,
    /// Steps taken, those among them that overflowed.
    steps: usize,
    skipped: Vec<usize>,
    /// Losses and gradient norms [UNREAD_STEPS] of the last steps.
    losses: Tensor,
    norms: Tensor,
    unread: usize,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Counted from 1.
    pub step: usize,
    pub loss: f32,
    /// Before clipping. Not finite: the weights were left as they were.
    pub grad_norm: f32,
}

impl Optimizer {
    /// Copies `initial` to the device.
    pub fn new(
        initial: &Tensors,
        compute: &Compute,
        weight_decay: f64,
        max_grad_norm: f64,
    ) -> Result<Self> {
        let Compute { device, precision } = compute;
        let arena = Arena::new(initial, precision.half(), device)?;
        let scaling = *precision == Precision::F16;
        let history = || Tensor::zeros(UNREAD_STEPS, DType::F32, device);
        Ok(Self {
            weights: arena.weights()?,
            halves: arena.halves()?,
            gradients: ParameterGradients::over(arena.gradients()?),
            ranges: Vec::new(),
            arena,
            state: StepState::new(if scaling { INITIAL_SCALE } else { 1.0 }, device)?,
            rules: Rules::new(max_grad_norm, scaling),
            weight_decay,
            steps: 0,
            skipped: Vec::new(),
            losses: history()?,
            norms: history()?,
            unread: 0,
        })
    }

    /// For a model that trains with this optimizer.
    pub fn weights(&self) -> Weights<'_> {
        let weights = Weights::new(&self.weights);
        match &self.halves {
            Some(halves) => weights.with_halves(halves),
            None => weights,
        }
    }

    /// The weights and all that changes them.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Steps taken so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The steps, counted from 0, that left the weights as they were. Of steps that were read.
    pub fn skipped(&self) -> &[usize] {
        &self.skipped
    }

    /// The part of a step's loss and gradients that one batch contributes: `elements` are those of
    /// all logits in the step, `place` is the batch's place among its batches.
    pub fn backward(
        &mut self,
        tape: Tape,
        logits: &Value,
        targets: &Tensor,
        elements: usize,
        place: usize,
    ) -> Result<()> {
        if place == 0 {
            self.gradients.clear();
        }
        let write = if place == 0 { WriteMode::Replace } else { WriteMode::Add };
        let loss = Target { tensor: self.losses.narrow(0, self.unread, 1)?, write };
        let share = Share { elements, state: &self.state };
        let gradient = binary_cross_entropy(logits.tensor(), targets, share, &loss)?;
        Ok(tape.backward(logits, gradient, &mut self.gradients)?)
    }

    /// Ends the step: changes the weights, if the gradients are finite.
    ///
    /// A weight without a gradient took no part in the loss and stays as it is.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        let norm =
            Target { tensor: self.norms.narrow(0, self.unread, 1)?, write: WriteMode::Replace };
        decide(self.arena.all_gradients(), self.rules, &self.state, &norm)?;
        if self.ranges.is_empty() {
            self.ranges = self.arena.ranges(|name| {
                let names = [Some(name), self.arena.stack_of(name)];
                names.into_iter().flatten().any(|name| self.gradients.get(name).is_some())
            })?;
        }
        for (range, decays) in &self.ranges {
            self.adamw(*decays, learning_rate).update(range, &self.state)?;
        }
        self.steps += 1;
        self.unread += 1;
        Ok(())
    }

    /// Whether the results must be read before the next step.
    pub fn is_due(&self) -> bool {
        self.unread == UNREAD_STEPS || matches!(self.losses.device(), Device::Cpu)
    }

    /// What the steps since the last call came to. Waits for the device.
    pub fn results(&mut self) -> Result<Vec<StepResult>> {
        let read = |tensor: &Tensor| tensor.narrow(0, 0, self.unread)?.to_vec1::<f32>();
        let (losses, norms) = (read(&self.losses)?, read(&self.norms)?);
        let first = self.steps - self.unread;
        let results = losses.into_iter().zip(norms).zip(first + 1..);
        let results: Vec<StepResult> =
            results.map(|((loss, grad_norm), step)| StepResult { step, loss, grad_norm }).collect();
        let skipped = results.iter().filter(|result| !result.grad_norm.is_finite());
        self.skipped.extend(skipped.map(|result| result.step - 1));
        self.unread = 0;
        Ok(results)
    }

    /// Whether a gradient that is not finite is what the scale of the loss is to find out, or a sign
    /// that the training diverges: no scale makes it finite.
    pub fn expects_overflow(&self) -> Result<bool> {
        const SMALLEST_SCALE: f64 = 1e-6;
        Ok(self.rules.scaling && self.state.numbers()?.scale > SMALLEST_SCALE)
    }

    /// What a step at `learning_rate` multiplies a weight of `name` by whose gradients are zero.
    pub fn decay_factor(&self, name: &str, learning_rate: f64) -> f32 {
        self.adamw(arena::decays(name), learning_rate).decay_factor()
    }

    fn adamw(&self, decays: bool, learning_rate: f64) -> AdamW {
        AdamW { learning_rate, weight_decay: if decays { self.weight_decay } else { 0.0 } }
    }

    /// The numbers of a checkpoint.
    pub fn numbers(&self) -> Result<Numbers> {
        Ok(self.state.numbers()?)
    }

    /// Goes on after `steps` steps, of which `skipped` changed nothing.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn restore(
        &mut self,
        weights: &Tensors,
        moments: &Tensors,
        numbers: Numbers,
        steps: usize,
        skipped: Vec<usize>,
    ) -> Result<()> {
        self.arena.set_weights(weights)?;
        self.arena.set_moments(moments)?;
        self.state.restore(numbers)?;
        (self.steps, self.skipped, self.unread) = (steps, skipped, 0);
        Ok(())
    }
}
