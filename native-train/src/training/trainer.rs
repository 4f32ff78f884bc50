//! A training from first to last step. `Trainer::step` is one training step; the rest is around it: epochs,
//! validation, checkpoints. What is learned is an [`Objective`]'s business.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::Tensor;
use shared::autograd::Tape;
use shared::kernels::grad_scaler::GradScaler;
use shared::model::WORD_EMBEDDINGS;

use super::arena::Arena;
use super::checkpoint::{Checkpoint, Position};
use super::context::{Hyperparameters, Order, PhaseTimes, Precision, TrainingContext};
use super::event_file::EventFolder;
use super::lr_scheduler::LinearSchedule;
use super::metrics_log::{self, EpochRecord, MetricsLog, StepRecord, Validation};
use super::objective::{MicroBatch, Objective};
use super::optimizer::Optimizer;
use super::rng;
use super::step_results::{StepResult, StepResults};
use super::stop::{Listening, Stopped};
use crate::device::{self, Memory};
use crate::error::UserError;
use crate::progress::Progress;
use crate::run::files::damaged;
use crate::run::lease::Lease;
use crate::run::tensors::Tensors;
use crate::threads;

/// The files of a training's state and log.
pub struct Files<'a> {
    /// The right to write them, if others want it too.
    pub lease: Option<&'a Lease>,
    pub checkpoint: &'a Path,
    /// The least time between two checkpoints, and from the beginning to the first.
    pub checkpoint_interval: Duration,
    pub metrics: &'a Path,
    /// Where TensorBoard sees the log as well, if it is to.
    pub events: Option<&'a EventFolder>,
}

/// The weights that a training keeps: those of its best epoch.
pub struct Kept {
    pub weights: BTreeMap<String, Tensor>,
    pub best: EpochRecord,
    /// The factors by which the steps up to that epoch, one after the other, changed a word embedding that had no
    /// gradient.
    pub word_decay: Vec<f32>,
    pub times: PhaseTimes,
}

struct Trainer<'a, O> {
    context: TrainingContext<'a>,
    objective: O,
    optimizer: Optimizer,
    scaler: GradScaler,
    schedule: LinearSchedule,
    results: StepResults,
    best: Option<Best>,
    times: PhaseTimes,
}

struct Best {
    epoch: EpochRecord,
    weights: BestWeights,
}

/// A copy of the weights after the best epoch.
enum BestWeights {
    OnCpu(Tensors),
    /// All in one tensor, where the GPU has memory left: copying them to the CPU takes a hundred times as long.
    OnCard(Tensor),
}

impl BestWeights {
    fn copied_from(arena: &Arena) -> Result<Self> {
        let weights = arena.all_weights();
        let bytes = (weights.elem_count() * weights.dtype().size_in_bytes()) as u64;
        // What is left is for the steps of this training and of those beside it.
        let fits = |Memory { free, total }| free >= bytes + total / 8;
        if device::memory(weights.device()).ok().flatten().is_some_and(fits)
            && let Ok(copy) = weights.copy()
        {
            return Ok(Self::OnCard(copy));
        }
        Ok(Self::OnCpu(arena.copy_of_weights()?))
    }

    fn on_cpu(&self, arena: &Arena) -> Result<Tensors> {
        match self {
            Self::OnCpu(weights) => Ok(weights.clone()),
            Self::OnCard(weights) => arena.on_cpu(weights),
        }
    }
}

/// Trains the weights of `optimizer` from the beginning, or from the checkpoint if there is one.
///
/// # Errors
/// If the loss is not finite, memory does not suffice, or a file cannot be read or written; [`Stopped`] if the process is
/// asked to stop.
pub fn train<O: Objective + Send>(
    context: TrainingContext<'_>,
    optimizer: Optimizer,
    objective: O,
    files: &Files<'_>,
    progress: &mut Progress,
) -> Result<Kept> {
    let (subject, epochs) = (context.subject, context.hyperparameters.epochs);
    let mut trainer = Trainer::new(context, optimizer, objective)?;
    let steps_per_epoch = trainer.steps_per_epoch();
    let (epochs_done, mut log) = trainer.resume(files)?;
    if let Some(events) = files.events {
        log.show_in(events)?;
    }
    let mut saved = Instant::now();
    let listening = Listening::begin()?;
    for epoch in epochs_done..epochs {
        let steps_done = trainer.results.steps() - epoch * steps_per_epoch;
        progress.epoch(epoch + 1, epochs, steps_per_epoch, steps_done);
        trainer.train_epoch(epoch, steps_done, &listening, &mut log, progress)?;
        if listening.is_asked() {
            trainer.checkpoint(epoch, &mut log, files)?;
            return Err(Stopped { subject, step: trainer.results.steps() }.into());
        }
        let record = trainer.validate(epoch)?;
        progress.validated(record.validation.map(Validation::measure));
        log.epoch(&record)?;
        if saved.elapsed() >= files.checkpoint_interval {
            trainer.checkpoint(epoch + 1, &mut log, files)?;
            saved = Instant::now();
        }
    }
    log.end()?;
    trainer.finish()
}

/// Copies `initial` to the device, with all that changes it.
///
/// # Errors
/// If the device's memory does not suffice.
pub fn optimizer(initial: &Tensors, context: &TrainingContext<'_>) -> Result<Optimizer> {
    let TrainingContext { hyperparameters, compute, .. } = context;
    Optimizer::new(initial, compute, hyperparameters.weight_decay).map_err(|error| {
        let what = "the weights, their gradients and AdamW's moments";
        explain_gpu(error, &what, context)
    })
}

impl<'a, O: Objective + Send> Trainer<'a, O> {
    fn new(context: TrainingContext<'a>, optimizer: Optimizer, objective: O) -> Result<Self> {
        let TrainingContext { hyperparameters, compute, train_rows, .. } = context;
        let total_steps = hyperparameters.total_steps(train_rows.len());
        let (peak, warmup) = (hyperparameters.learning_rate, hyperparameters.warmup_ratio);
        Ok(Self {
            context,
            objective,
            optimizer,
            scaler: match compute.precision {
                Precision::F16 => GradScaler::dynamic(&compute.device)?,
                Precision::F32 | Precision::Bf16 => GradScaler::disabled(&compute.device)?,
            },
            schedule: LinearSchedule::new(peak, warmup, total_steps),
            results: StepResults::new(0, Vec::new(), &compute.device)?,
            best: None,
            times: PhaseTimes::default(),
        })
    }

    /// Trains the steps of an epoch after the first `steps_done`, until the process is asked to stop.
    fn train_epoch(
        &mut self,
        epoch: usize,
        steps_done: usize,
        listening: &Listening,
        log: &mut MetricsLog<'_>,
        progress: &mut Progress,
    ) -> Result<()> {
        let started = Instant::now();
        let Hyperparameters { order, seed, batch_size, .. } = *self.context.hyperparameters;
        let mut rows = self.context.train_rows.to_vec();
        if order == Order::Shuffled {
            rng::shuffle(&mut rows, seed, self.context.subject.number(), epoch);
        }
        for rows in rows.chunks(batch_size).skip(steps_done) {
            if listening.is_asked() {
                break;
            }
            let device = &self.context.compute.device;
            threads::compute_on(device, || self.step(rows))
                .map_err(|error| self.explain_step(error, rows))?;
            if self.results.is_due() {
                self.record(log, progress)?;
            }
        }
        self.record(log, progress)?;
        self.times.train += started.elapsed();
        Ok(())
    }

    /// One training step on a batch, which goes through the model in micro-batches.
    fn step(&mut self, rows: &[usize]) -> Result<()> {
        let TrainingContext { subject, hyperparameters, .. } = self.context;
        let step = self.results.steps();
        let micro_batches = rows.chunks(rows.len().div_ceil(hyperparameters.grad_accumulation));

        self.optimizer.zero_grad();
        for (number, micro_batch) in micro_batches.enumerate() {
            let seed = rng::dropout_seed(hyperparameters.seed, subject.number(), step, number);
            let micro_batch = MicroBatch {
                rows: micro_batch,
                batch_rows: rows,
                tape: Tape::new(seed),
                scaler: &self.scaler,
                loss: self.results.loss(number)?,
            };
            self.objective.backward(micro_batch, self.optimizer.gradients())?;
        }
        let (gradients, norm) = (self.optimizer.arena().all_gradients(), self.results.grad_norm()?);
        self.scaler.unscale_and_clip(gradients, hyperparameters.max_grad_norm, &norm)?;
        self.optimizer.step(self.schedule.learning_rate(step), &self.scaler)?;
        self.results.end_step();
        Ok(())
    }

    /// Logs the results of the last steps.
    fn record(&mut self, log: &mut MetricsLog<'_>, progress: &mut Progress) -> Result<()> {
        for StepResult { step, loss, grad_norm } in self.results.read()? {
            let overflow = loss.is_finite() && !grad_norm.is_finite();
            if !loss.is_finite() || overflow && !self.expects_overflow()? {
                let what = format_args!("loss {loss}, gradient norm {grad_norm}");
                return Err(self.diverged(step, &what));
            }
            let lr = self.schedule.learning_rate(step - 1);
            let grad_norm = (!overflow).then_some(grad_norm);
            progress.step(f64::from(loss));
            log.step(&StepRecord { step, lr, loss, grad_norm })?;
        }
        Ok(())
    }

    /// Whether a gradient that is not finite may come of the loss scale. It does not where the scale
    /// is fixed, nor where no scale, however small, makes the gradient finite.
    fn expects_overflow(&self) -> Result<bool> {
        const SMALLEST_SCALE: f64 = 1e-6;
        Ok(self.scaler.is_enabled() && self.scaler.state()?.scale > SMALLEST_SCALE)
    }

    fn diverged(&self, step: usize, what: &dyn fmt::Display) -> anyhow::Error {
        let subject = self.context.subject;
        anyhow::anyhow!(
            "{subject} diverged at step {step}: {what}; a lower `--lr` or a longer `--warmup-ratio` \
             may help (the last checkpoint is untouched)"
        )
    }

    /// Measures the held-out texts, and copies the weights if they are the best so far.
    fn validate(&mut self, epoch: usize) -> Result<EpochRecord> {
        let started = Instant::now();
        let validation = self
            .objective
            .validate()
            .map_err(|error| explain_gpu(error, &"a validation batch", &self.context))?;
        let epoch = EpochRecord { epoch: epoch + 1, step: self.results.steps(), validation };
        // No later loss shows what an epoch's last step did, and a score would hide a NaN.
        if epoch.validation.is_some_and(|validation| !validation.loss.is_finite()) {
            return Err(self.diverged(epoch.step, &"the validation loss is infinite or NaN"));
        }
        if self.best.as_ref().is_none_or(|best| epoch.improves_on(&best.epoch)) {
            self.best = None; // its memory is free for the copy
            let weights = BestWeights::copied_from(self.optimizer.arena())?;
            self.best = Some(Best { epoch: epoch.clone(), weights });
        }
        self.times.validation += started.elapsed();
        Ok(epoch)
    }

    /// [`explain_gpu`] of a step.
    fn explain_step(&self, error: anyhow::Error, rows: &[usize]) -> anyhow::Error {
        let texts = rows.len().div_ceil(self.context.hyperparameters.grad_accumulation);
        let longest = rows.iter().map(|&row| self.objective.tokens(row)).max().unwrap_or(0);
        let step = self.results.steps() + 1;
        let what = format_args!("{texts} texts of up to {longest} tokens (step {step})");
        explain_gpu(error, &what, &self.context)
    }

    /// Saves the state after `epochs` whole epochs and perhaps some steps of the next.
    fn checkpoint(&self, epochs: usize, log: &mut MetricsLog<'_>, files: &Files<'_>) -> Result<()> {
        if let Some(lease) = files.lease {
            lease.check()?;
        }
        let best = self.best.as_ref();
        let steps_of_epochs = epochs * self.steps_per_epoch();
        let position = Position {
            epochs,
            steps: self.results.steps(),
            inside_epoch: self.results.steps() > steps_of_epochs,
            skipped_steps: self.results.skipped().to_vec(),
            scaler: self.scaler.state()?,
            best_epoch: best.map_or(0, |best| best.epoch.epoch),
            log_bytes: log.sync()?,
        };
        let checkpoint = Checkpoint {
            position,
            weights: self.optimizer.arena().weights_on_cpu()?,
            moments: self.optimizer.arena().moments_on_cpu()?,
            best: match best {
                Some(best) => best.weights.on_cpu(self.optimizer.arena())?,
                None => Tensors::new(),
            },
        };
        checkpoint.save(files.checkpoint)
    }

    fn steps_per_epoch(&self) -> usize {
        self.context.hyperparameters.steps_per_epoch(self.context.train_rows.len())
    }

    /// Takes over the checkpoint, if there is one. Returns the epochs done and their log.
    fn resume<'f>(&mut self, files: &Files<'f>) -> Result<(usize, MetricsLog<'f>)> {
        let path = files.checkpoint;
        if !path.exists() {
            return Ok((0, MetricsLog::open(files.metrics, 0, files.lease)?));
        }
        let Checkpoint { position, weights, moments, best } = Checkpoint::load(path)?;
        let arena = self.optimizer.arena();
        let restored = arena.set_weights(&weights).and_then(|()| arena.set_moments(&moments));
        restored.map_err(|error| {
            UserError::new(format!("`{}` is of another training: {error}", path.display()))
                .hint("remove it to begin this training anew")
        })?;
        self.scaler.load_state(position.scaler)?;
        let device = &self.context.compute.device;
        self.results = StepResults::new(position.steps, position.skipped_steps, device)?;
        let log = MetricsLog::open(files.metrics, position.log_bytes, files.lease)?;
        if position.best_epoch > 0 {
            let epochs = metrics_log::read_epochs(files.metrics)?;
            let epoch = epochs.into_iter().find(|epoch| epoch.epoch == position.best_epoch);
            let epoch = epoch.ok_or_else(|| damaged(files.metrics, "it lacks the best epoch"))?;
            self.best = Some(Best { epoch, weights: BestWeights::OnCpu(best) });
        }
        Ok((position.epochs, log))
    }

    fn finish(self) -> Result<Kept> {
        let Best { epoch, weights } = self.best.expect("at least one epoch");
        let skipped = self.results.skipped();
        let taken = (0..epoch.step).filter(|done| skipped.binary_search(done).is_err());
        let rates = taken.map(|done| self.schedule.learning_rate(done));
        let word_decay = rates.map(|lr| self.optimizer.decay_factor(WORD_EMBEDDINGS, lr)).collect();
        let weights = weights.on_cpu(self.optimizer.arena())?;
        Ok(Kept { weights, best: epoch, word_decay, times: self.times })
    }
}

/// The error, and where it is a GPU's, of whose training; where its memory is full, what did not fit there.
fn explain_gpu(
    error: anyhow::Error,
    what: &dyn fmt::Display,
    context: &TrainingContext<'_>,
) -> anyhow::Error {
    if !device::is_out_of_memory(&error) {
        let subject = context.subject.to_string();
        return if device::is_of_gpu(&error) { error.context(subject) } else { error };
    }
    let left = match device::memory(&context.compute.device) {
        Ok(Some(Memory { free, total })) => {
            format!(" ({} MiB of {} MiB are free)", free >> 20, total >> 20)
        }
        _ => String::new(),
    };
    let micro_batches = 2 * context.hyperparameters.grad_accumulation;
    UserError::new(format!(
        "{}: {}{left}: it does not hold {what}",
        context.subject,
        device::OUT_OF_MEMORY
    ))
    .hint(format!(
        "pass fewer `--parallel-folds` with `--resume`, which continues from the last checkpoint; or \
         train into another `--output` with `--grad-accumulation {micro_batches}`, which takes each \
         batch in smaller parts for the same update"
    ))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{Compute, Subject};

    #[test]
    fn a_gpus_errors_are_explained_and_others_are_passed_on() {
        let compute = Compute { device: candle_core::Device::Cpu, precision: Precision::F32 };
        let hyperparameters = Hyperparameters {
            epochs: 1,
            batch_size: 16,
            grad_accumulation: 2,
            learning_rate: 1.0,
            warmup_ratio: 0.0,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            order: Order::AsGiven,
            seed: 0,
        };
        let context = TrainingContext {
            subject: Subject::Fold(3),
            train_rows: &[],
            hyperparameters: &hyperparameters,
            compute: &compute,
        };
        let told =
            |words: &str| explain_gpu(anyhow::anyhow!(words.to_owned()), &"8 texts", &context);
        for words in [
            // As cudarc writes what the driver and cuBLAS say.
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
        ] {
            let error = told(words);
            assert!(error.to_string().contains("does not hold 8 texts"), "{error}");
            let hint = error.downcast_ref::<UserError>().unwrap().remedy().unwrap();
            assert!(hint.contains("`--grad-accumulation 4`"), "{hint}");
        }
        assert_eq!(told("disk full").to_string(), "disk full");
        let failed = told("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")");
        let words = "the GPU has failed: fold 3: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS";
        assert!(device::explain(failed).to_string().starts_with(words));
    }
}
