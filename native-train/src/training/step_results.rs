//! Losses and gradient norms of the last steps, kept on the device and read some dozens at a time, so
//! that a GPU is not waited for at each step.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use shared::kernels::{Target, WriteMode};

/// Steps that a device may be ahead of what is known about them.
const UNREAD_STEPS: usize = 32;

/// The results of steps, and how many steps there have been.
pub struct StepResults {
    /// Losses and gradient norms [UNREAD_STEPS].
    losses: Tensor,
    norms: Tensor,
    unread: usize,
    steps: usize,
    /// The steps, counted from 0, whose gradient was not finite. Only of steps that were read.
    skipped: Vec<usize>,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Counted from 1.
    pub step: usize,
    pub loss: f32,
    /// The norm before clipping. Where it is not finite, the step changed no weight.
    pub grad_norm: f32,
}

impl StepResults {
    /// Results of a training that begins after `steps` steps, of which `skipped` changed no weight.
    pub fn new(steps: usize, skipped: Vec<usize>, device: &Device) -> Result<Self> {
        let history = || Tensor::zeros(UNREAD_STEPS, DType::F32, device);
        Ok(Self { losses: history()?, norms: history()?, unread: 0, steps, skipped })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The steps, counted from 0, that left the weights as they were.
    pub fn skipped(&self) -> &[usize] {
        &self.skipped
    }

    /// The place of the current step's loss `[1]`, to which each micro-batch after the first adds its
    /// share.
    pub fn loss(&self, micro_batch: usize) -> Result<Target> {
        let write = if micro_batch == 0 { WriteMode::Replace } else { WriteMode::Add };
        Ok(Target { tensor: self.losses.narrow(0, self.unread, 1)?, write })
    }

    /// The place of the current step's gradient norm `[1]`.
    pub fn grad_norm(&self) -> Result<Target> {
        Ok(Target { tensor: self.norms.narrow(0, self.unread, 1)?, write: WriteMode::Replace })
    }

    /// Ends the current step.
    pub fn end_step(&mut self) {
        self.steps += 1;
        self.unread += 1;
    }

    /// Whether the results must be read before the next step.
    pub fn is_due(&self) -> bool {
        self.unread == UNREAD_STEPS || matches!(self.losses.device(), Device::Cpu)
    }

    /// The results of the steps since the last call. Waits for the device.
    pub fn read(&mut self) -> Result<Vec<StepResult>> {
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
}
