//! The training of one fold. `Trainer::step` is one training step; the rest is around it: epochs,
//! validation, checkpoints.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::Tensor;
use shared::autograd::Tape;
use shared::batch::Batch;
use shared::kernels::cross_entropy::{bce_with_logits_backward, mean_loss};
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::scalar::sigmoid;
use shared::model::{Classifier, DebertaConfig, WORD_EMBEDDINGS};

use super::checkpoint::{Checkpoint, Position};
use super::context::{FoldContext, Hyperparameters, Order, PhaseTimes, Precision};
use super::lr_scheduler::LinearSchedule;
use super::metrics_log::{EpochRecord, MetricsLog, StepRecord};
use super::optimizer::Optimizer;
use super::rng;
use super::step_results::{StepResult, StepResults};
use super::vocabulary::CompactVocabulary;
use crate::device::{self, Memory};
use crate::error::UserError;
use crate::evaluation::Scores;
use crate::grid::Probabilities;
use crate::length_batches;
use crate::progress::Progress;

/// The files of a training's state and log.
pub struct Files<'a> {
    pub checkpoint: &'a Path,
    /// The least time between two checkpoints, and from the beginning to the first.
    pub checkpoint_interval: Duration,
    pub metrics: &'a Path,
}

/// The result of a training: the weights of its best epoch, by HF's names.
pub struct Trained {
    pub weights: BTreeMap<String, Tensor>,
    pub best_epoch: usize,
    /// Macro-F1 at threshold 0.5.
    pub best_macro_f1: f64,
    pub times: PhaseTimes,
}

struct Trainer<'a> {
    context: FoldContext<'a>,
    vocabulary: CompactVocabulary,
    /// The word embeddings of the whole vocabulary before training.
    initial_table: Tensor,
    /// The fold's texts by row, in ids of the compact vocabulary.
    input_ids: BTreeMap<usize, Vec<u32>>,
    classifier: Classifier,
    optimizer: Optimizer,
    scaler: GradScaler,
    schedule: LinearSchedule,
    results: StepResults,
    best: Option<Best>,
    times: PhaseTimes,
}

struct Best {
    epoch: usize,
    macro_f1: f64,
    weights: BTreeMap<String, Tensor>,
}

/// Trains one fold from `initial`, or from its checkpoint if there is one.
///
/// # Errors
/// If the loss is not finite, memory does not suffice, or a file cannot be read or written.
pub fn train(
    config: &DebertaConfig,
    initial: BTreeMap<String, Tensor>,
    context: FoldContext<'_>,
    files: &Files<'_>,
    progress: &mut Progress,
) -> Result<Trained> {
    let epochs = context.hyperparameters.epochs;
    let steps_per_epoch = context.hyperparameters.steps_per_epoch(context.train_rows.len());
    let mut trainer = Trainer::new(config, initial, context)?;
    let (epochs_done, log_bytes) = trainer.resume(files.checkpoint)?;
    let mut log = MetricsLog::open(files.metrics, log_bytes)?;
    let mut saved = Instant::now();
    for epoch in epochs_done..epochs {
        progress.epoch(epoch + 1, epochs, steps_per_epoch);
        trainer.train_epoch(epoch, &mut log, progress)?;
        let record = trainer.validate(epoch)?;
        progress.validated(record.validation_macro_f1);
        log.epoch(&record)?;
        if saved.elapsed() >= files.checkpoint_interval {
            trainer.checkpoint(epoch, &mut log, files.checkpoint)?;
            saved = Instant::now();
        }
    }
    log.sync()?;
    trainer.finish()
}

impl<'a> Trainer<'a> {
    fn new(
        config: &DebertaConfig,
        initial: BTreeMap<String, Tensor>,
        context: FoldContext<'a>,
    ) -> Result<Self> {
        let FoldContext { examples, hyperparameters, compute, .. } = context;
        let rows = || context.train_rows.iter().chain(context.validation_rows);
        let texts = rows().map(|&row| &examples.input_ids[row][..]);
        let vocabulary = CompactVocabulary::new(texts, config.pad_token_id);
        let (initial_table, weights) = compact_weights(initial, &vocabulary)?;
        let compact = |row: &usize| {
            examples.input_ids[*row].iter().map(|&id| vocabulary.compact(id)).collect()
        };
        let input_ids = rows().map(|row| (*row, compact(row))).collect();

        let optimizer =
            Optimizer::new(&weights, compute, hyperparameters.weight_decay).map_err(|error| {
                let what = "the weights, their gradients and AdamW's moments";
                explain_full_memory(error, &what, &context)
            })?;
        drop(weights);
        let labels = examples.targets.columns();
        let total_steps = hyperparameters.total_steps(context.train_rows.len());
        let (peak, warmup) = (hyperparameters.learning_rate, hyperparameters.warmup_ratio);
        Ok(Self {
            classifier: Classifier::new(
                &compact_config(config, &vocabulary),
                labels,
                &optimizer.weights(),
            )?,
            context,
            vocabulary,
            initial_table,
            input_ids,
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

    fn train_epoch(
        &mut self,
        epoch: usize,
        log: &mut MetricsLog,
        progress: &mut Progress,
    ) -> Result<()> {
        let started = Instant::now();
        let Hyperparameters { order, seed, batch_size, .. } = *self.context.hyperparameters;
        let mut rows = self.context.train_rows.to_vec();
        if order == Order::Shuffled {
            rng::shuffle(&mut rows, seed, self.context.fold, epoch);
        }
        for rows in rows.chunks(batch_size) {
            self.step(rows).map_err(|error| self.explain_step(error, rows))?;
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
        let FoldContext { fold, examples, hyperparameters, .. } = self.context;
        let step = self.results.steps();
        let elements = rows.len() * examples.targets.columns();
        let micro_batches = rows.chunks(rows.len().div_ceil(hyperparameters.grad_accumulation));

        self.optimizer.zero_grad();
        for (micro_batch, rows) in micro_batches.enumerate() {
            let tape = Tape::new(rng::dropout_seed(hyperparameters.seed, fold, step, micro_batch));
            let (batch, targets) = (self.batch(rows), self.targets_on_device(rows)?);
            let logits = self.classifier.forward(&batch, Some(&tape))?;
            let loss = self.results.loss(micro_batch)?;
            let scaler = &self.scaler;
            let logits_grad =
                bce_with_logits_backward(logits.tensor(), &targets, elements, scaler, &loss)?;
            tape.backward(&logits, logits_grad, self.optimizer.gradients())?;
        }
        let (gradients, norm) = (self.optimizer.arena().all_gradients(), self.results.grad_norm()?);
        self.scaler.unscale_and_clip(gradients, hyperparameters.max_grad_norm, &norm)?;
        self.optimizer.step(self.schedule.learning_rate(step), &self.scaler)?;
        self.results.end_step();
        Ok(())
    }

    /// Logs the results of the last steps.
    fn record(&mut self, log: &mut MetricsLog, progress: &mut Progress) -> Result<()> {
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
        let fold = self.context.fold;
        anyhow::anyhow!(
            "fold {fold} diverged at step {step}: {what}; a lower `--lr` or a longer `--warmup-ratio` \
             may help (the last checkpoint is untouched)"
        )
    }

    /// Scores the fold's held-out rows at 0.5, and copies the weights if they are the best so far.
    fn validate(&mut self, epoch: usize) -> Result<EpochRecord> {
        let started = Instant::now();
        let rows = self.context.validation_rows;
        let texts: Vec<&[u32]> = rows.iter().map(|row| &self.input_ids[row][..]).collect();
        let labels = self.context.examples.targets.columns();
        let classifier = self.classifier.freeze()?;
        let forward = |batch: &Batch| Ok(classifier.logits(batch)?.flatten_all()?.to_vec1()?);
        let logits = length_batches::run(&texts, labels, forward, |_| ())
            .map_err(|error| explain_full_memory(error, &"a validation batch", &self.context))?
            .into_values();
        // No later loss shows what an epoch's last step did, and a score would hide a NaN.
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(self.diverged(self.results.steps(), &"a logit is infinite or NaN"));
        }
        let validation_loss = mean_loss(&logits, &self.targets(rows));
        let probabilities = logits.into_iter().map(sigmoid).collect();
        let probabilities = Probabilities::new(labels, probabilities);
        let targets = self.context.examples.targets.select(rows);
        let macro_f1 = Scores::at_half(&targets, &probabilities).macro_f1();
        if self.best.as_ref().is_none_or(|best| macro_f1 > best.macro_f1) {
            let weights = self.optimizer.arena().copy_of_weights()?;
            self.best = Some(Best { epoch: epoch + 1, macro_f1, weights });
        }
        self.times.validation += started.elapsed();
        Ok(EpochRecord {
            epoch: epoch + 1,
            step: self.results.steps(),
            validation_loss,
            validation_macro_f1: macro_f1,
        })
    }

    /// [`explain_full_memory`] of a step.
    fn explain_step(&self, error: anyhow::Error, rows: &[usize]) -> anyhow::Error {
        let texts = rows.len().div_ceil(self.context.hyperparameters.grad_accumulation);
        let longest = rows.iter().map(|row| self.input_ids[row].len()).max().unwrap_or(0);
        let step = self.results.steps() + 1;
        let what = format_args!("{texts} texts of up to {longest} tokens (step {step})");
        explain_full_memory(error, &what, &self.context)
    }

    fn batch(&self, rows: &[usize]) -> Batch {
        Batch::pack(rows.iter().map(|row| &self.input_ids[row][..]))
    }

    fn targets(&self, rows: &[usize]) -> Vec<f32> {
        let targets = &self.context.examples.targets;
        rows.iter().flat_map(|&row| targets.row(row)).map(|&on| f32::from(on)).collect()
    }

    /// The targets of some rows [rows, labels].
    fn targets_on_device(&self, rows: &[usize]) -> Result<Tensor> {
        let shape = (rows.len(), self.context.examples.targets.columns());
        Ok(Tensor::from_vec(self.targets(rows), shape, &self.context.compute.device)?)
    }

    fn checkpoint(&self, epoch: usize, log: &mut MetricsLog, path: &Path) -> Result<()> {
        let best = self.best.as_ref().expect("validated");
        let position = Position {
            epochs: epoch + 1,
            steps: self.results.steps(),
            skipped_steps: self.results.skipped().to_vec(),
            scaler: self.scaler.state()?,
            best_epoch: best.epoch,
            best_macro_f1: best.macro_f1,
            log_bytes: log.sync()?,
        };
        let checkpoint = Checkpoint {
            position,
            weights: self.optimizer.arena().weights_on_cpu()?,
            moments: self.optimizer.arena().moments_on_cpu()?,
            best: best.weights.clone(),
        };
        checkpoint.save(path)
    }

    /// Takes over the checkpoint at `path`, if there is one. Returns the epochs done and the length of
    /// their log.
    fn resume(&mut self, path: &Path) -> Result<(usize, u64)> {
        if !path.exists() {
            return Ok((0, 0));
        }
        let Checkpoint { position, weights, moments, best } = Checkpoint::load(path)?;
        let arena = self.optimizer.arena();
        let restored = arena.set_weights(&weights).and_then(|()| arena.set_moments(&moments));
        restored.map_err(|error| {
            UserError::new(format!("`{}` is of another training: {error}", path.display()))
                .hint("remove it to train this fold from the beginning")
        })?;
        self.scaler.load_state(position.scaler)?;
        let device = &self.context.compute.device;
        self.results = StepResults::new(position.steps, position.skipped_steps, device)?;
        self.best = Some(Best {
            epoch: position.best_epoch,
            macro_f1: position.best_macro_f1,
            weights: best,
        });
        Ok((position.epochs, position.log_bytes))
    }

    /// The weights of the best epoch, with the embeddings of the whole vocabulary.
    fn finish(self) -> Result<Trained> {
        let Best { epoch, macro_f1, mut weights } = self.best.expect("at least one epoch");
        let steps =
            epoch * self.context.hyperparameters.steps_per_epoch(self.context.train_rows.len());
        let skipped = self.results.skipped();
        let decay: Vec<f32> = (0..steps)
            .filter(|done| skipped.binary_search(done).is_err())
            .map(|done| {
                let lr = self.schedule.learning_rate(done);
                self.optimizer.decay_factor(WORD_EMBEDDINGS, lr)
            })
            .collect();
        let table = weights.get_mut(WORD_EMBEDDINGS).expect("every model embeds words");
        *table = self.vocabulary.expand(&self.initial_table, table, &decay)?;
        Ok(Trained { weights, best_epoch: epoch, best_macro_f1: macro_f1, times: self.times })
    }
}

/// The error, or where a GPU's memory is full, what did not fit there and what to do about it.
fn explain_full_memory(
    error: anyhow::Error,
    what: &dyn fmt::Display,
    context: &FoldContext<'_>,
) -> anyhow::Error {
    if !is_out_of_memory(&error) {
        return error;
    }
    let left = match device::memory(&context.compute.device) {
        Ok(Some(Memory { free, total })) => {
            format!(" ({} MiB of {} MiB are free)", free >> 20, total >> 20)
        }
        _ => String::new(),
    };
    let micro_batches = 2 * context.hyperparameters.grad_accumulation;
    UserError::new(format!(
        "fold {}: the GPU is out of memory{left}: it does not hold {what}",
        context.fold
    ))
    .hint(format!(
        "pass fewer `--parallel-folds` with `--resume`, which continues from the last checkpoint; or \
         train into another `--output` with `--grad-accumulation {micro_batches}`, which takes each \
         batch in smaller parts for the same update"
    ))
    .into()
}

/// Whether an error says that memory is full: candle passes the driver's error on as text.
fn is_out_of_memory(error: &anyhow::Error) -> bool {
    let words = format!("{error:?}").to_lowercase();
    ["out of memory", "out_of_memory", "alloc_failed"].iter().any(|phrase| words.contains(phrase))
}

/// The initial word embeddings, and the tensors to train with, which hold only the embeddings in use.
fn compact_weights(
    mut initial: BTreeMap<String, Tensor>,
    vocabulary: &CompactVocabulary,
) -> Result<(Tensor, BTreeMap<String, Tensor>)> {
    let table = initial.remove(WORD_EMBEDDINGS).expect("every model embeds words");
    initial.insert(WORD_EMBEDDINGS.to_owned(), vocabulary.select(&table)?);
    Ok((table, initial))
}

fn compact_config(config: &DebertaConfig, vocabulary: &CompactVocabulary) -> DebertaConfig {
    let mut compact = config.clone();
    compact.vocab_size = vocabulary.len();
    compact.pad_token_id = config.pad_token_id.map(|id| vocabulary.compact(id as u32) as usize);
    compact
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Targets;
    use crate::training::{Compute, Examples};

    #[test]
    fn a_full_card_is_explained_and_other_errors_are_passed_on() {
        let examples = Examples { input_ids: Vec::new(), targets: Targets::new(1, Vec::new()) };
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
        let context = FoldContext {
            fold: 3,
            examples: &examples,
            train_rows: &[],
            validation_rows: &[],
            hyperparameters: &hyperparameters,
            compute: &compute,
        };
        let told = |words: &str| {
            explain_full_memory(anyhow::anyhow!(words.to_owned()), &"8 texts", &context)
        };
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
    }
}
