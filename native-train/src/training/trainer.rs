//! The training of one fold, to be read from top to bottom.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::Tensor;
use shared::autograd::Tape;
use shared::batch::Batch;
use shared::kernels::cross_entropy::mean_loss;
use shared::kernels::scalar::sigmoid;
use shared::model::{Classifier, DebertaConfig, WORD_EMBEDDINGS};

use super::checkpoint::{Checkpoint, Position};
use super::lr_scheduler::LinearSchedule;
use super::metrics_log::{EpochRecord, MetricsLog, StepRecord};
use super::optimizer::{Optimizer, StepResult};
use super::vocabulary::CompactVocabulary;
use super::{Compute, Examples, Hyperparameters, Order, rng};
use crate::device::{self, Memory};
use crate::error::UserError;
use crate::evaluation;
use crate::grid::Probabilities;
use crate::length_batches;
use crate::progress::Progress;

/// One fold's part of a cross-validation.
pub struct Fold<'a> {
    pub index: usize,
    pub examples: &'a Examples,
    pub train_rows: &'a [usize],
    pub validation_rows: &'a [usize],
}

/// Where a training leaves its state and its log.
pub struct Files<'a> {
    pub checkpoint: &'a Path,
    /// No checkpoint is made within this time of the one before, or of the beginning.
    pub checkpoint_interval: Duration,
    pub metrics: &'a Path,
}

/// What a training arrives at: the weights of its best epoch, by HF's names.
pub struct Trained {
    pub weights: BTreeMap<String, Tensor>,
    pub best_epoch: usize,
    /// At threshold 0.5.
    pub best_macro_f1: f64,
    pub train_time: Duration,
    pub validation_time: Duration,
}

struct Trainer<'a> {
    fold: &'a Fold<'a>,
    hyperparameters: &'a Hyperparameters,
    compute: &'a Compute,
    /// The fold's texts, in ids of the compact vocabulary.
    input_ids: BTreeMap<usize, Vec<u32>>,
    classifier: Classifier,
    optimizer: Optimizer,
    schedule: LinearSchedule,
    best: Option<Best>,
    train_time: Duration,
    validation_time: Duration,
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
    fold: &Fold<'_>,
    hyperparameters: &Hyperparameters,
    compute: &Compute,
    files: &Files<'_>,
    progress: &mut Progress,
) -> Result<Trained> {
    let rows = || fold.train_rows.iter().chain(fold.validation_rows);
    let texts = rows().map(|&row| &fold.examples.input_ids[row][..]);
    let vocabulary = CompactVocabulary::new(texts, config.pad_token_id);
    let (initial_table, weights) = compact_weights(initial, &vocabulary)?;
    let input_ids = rows()
        .map(|&row| {
            let ids = &fold.examples.input_ids[row];
            (row, ids.iter().map(|&id| vocabulary.compact(id)).collect())
        })
        .collect();

    let steps_per_epoch = hyperparameters.steps_per_epoch(fold.train_rows.len());
    let total_steps = hyperparameters.total_steps(fold.train_rows.len());
    let (peak, warmup) = (hyperparameters.learning_rate, hyperparameters.warmup_ratio);
    let optimizer = Optimizer::new(
        &weights,
        compute,
        hyperparameters.weight_decay,
        hyperparameters.max_grad_norm,
    )
    .map_err(|error| {
        let what = "the weights, their gradients and AdamW's moments";
        explained(error, &what, fold, hyperparameters, compute)
    })?;
    drop(weights);
    let labels = fold.examples.targets.columns();
    let compact = compact_config(config, &vocabulary);
    let mut trainer = Trainer {
        fold,
        hyperparameters,
        compute,
        input_ids,
        classifier: Classifier::new(&compact, labels, &optimizer.weights())?,
        optimizer,
        schedule: LinearSchedule::new(peak, warmup, total_steps),
        best: None,
        train_time: Duration::ZERO,
        validation_time: Duration::ZERO,
    };
    let (epochs_done, log_bytes) = trainer.resume(files.checkpoint)?;
    let mut log = MetricsLog::open(files.metrics, log_bytes)?;

    let mut saved = Instant::now();
    for epoch in epochs_done..hyperparameters.epochs {
        progress.epoch(epoch + 1, hyperparameters.epochs, steps_per_epoch);
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
    trainer.finish(&vocabulary, &initial_table)
}

impl Trainer<'_> {
    fn train_epoch(
        &mut self,
        epoch: usize,
        log: &mut MetricsLog,
        progress: &mut Progress,
    ) -> Result<()> {
        let started = Instant::now();
        let Hyperparameters { order, seed, batch_size, .. } = *self.hyperparameters;
        let mut rows = self.fold.train_rows.to_vec();
        if order == Order::Shuffled {
            rng::shuffle(&mut rows, seed, self.fold.index, epoch);
        }
        for rows in rows.chunks(batch_size) {
            self.step(rows)?;
            if self.optimizer.is_due() {
                self.record(log, progress)?;
            }
        }
        self.record(log, progress)?;
        self.train_time += started.elapsed();
        Ok(())
    }

    /// Forward, loss, backward, clip and AdamW on one batch, in as many parts as asked for.
    fn step(&mut self, rows: &[usize]) -> Result<()> {
        let done = self.optimizer.steps();
        let elements = rows.len() * self.fold.examples.targets.columns();
        let part = rows.len().div_ceil(self.hyperparameters.grad_accumulation);
        for (place, rows) in rows.chunks(part).enumerate() {
            self.accumulate(rows, elements, place).map_err(|error| {
                let longest = rows.iter().map(|row| self.input_ids[row].len()).max().unwrap_or(0);
                let texts = rows.len();
                let what =
                    format_args!("{texts} texts of up to {longest} tokens, in step {}", done + 1);
                self.explained(error, &what)
            })?;
        }
        self.optimizer.step(self.schedule.learning_rate(done))
    }

    /// Adds the gradients of one part of a step's batch.
    fn accumulate(&mut self, rows: &[usize], elements: usize, place: usize) -> Result<()> {
        let done = self.optimizer.steps();
        let seed = rng::dropout_seed(self.hyperparameters.seed, self.fold.index, done, place);
        let tape = Tape::new(seed);
        let logits = self.classifier.forward(&self.batch(rows), Some(&tape))?;
        let targets =
            Tensor::from_vec(self.targets(rows), logits.tensor().shape(), &self.compute.device)?;
        self.optimizer.backward(tape, &logits, &targets, elements, place)
    }

    fn explained(&self, error: anyhow::Error, what: &dyn fmt::Display) -> anyhow::Error {
        explained(error, what, self.fold, self.hyperparameters, self.compute)
    }

    /// Writes down what the last steps came to.
    fn record(&mut self, log: &mut MetricsLog, progress: &mut Progress) -> Result<()> {
        for StepResult { step, loss, grad_norm } in self.optimizer.results()? {
            let overflow = loss.is_finite() && !grad_norm.is_finite();
            if !loss.is_finite() || overflow && !self.optimizer.expects_overflow()? {
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

    fn diverged(&self, step: usize, what: &dyn fmt::Display) -> anyhow::Error {
        let fold = self.fold.index;
        anyhow::anyhow!(
            "fold {fold} diverged at step {step}: {what}; a lower --lr or a longer --warmup-ratio \
             may help (the last checkpoint is untouched)"
        )
    }

    /// Scores the fold's held-out rows at 0.5; a better epoch's weights are copied.
    fn validate(&mut self, epoch: usize) -> Result<EpochRecord> {
        let started = Instant::now();
        let rows = self.fold.validation_rows;
        let texts: Vec<&[u32]> = rows.iter().map(|row| &self.input_ids[row][..]).collect();
        let labels = self.fold.examples.targets.columns();
        let classifier = self.classifier.freeze()?;
        let forward = |batch: &Batch| Ok(classifier.logits(batch)?.flatten_all()?.to_vec1()?);
        let logits = length_batches::run(&texts, labels, forward, |_| ())
            .map_err(|error| self.explained(error, &"a batch of the validation"))?
            .into_values();
        // An epoch's last step is judged by no later loss, and a comparison hides what is no number.
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(self.diverged(self.optimizer.steps(), &"its logits are no numbers"));
        }
        let validation_loss = mean_loss(&logits, &self.targets(rows));
        let probabilities = logits.into_iter().map(sigmoid).collect();
        let probabilities = Probabilities::new(labels, probabilities);
        let targets = self.fold.examples.targets.select(rows);
        let macro_f1 = evaluation::score_at_half(&targets, &probabilities).macro_average.f1;
        if self.best.as_ref().is_none_or(|best| macro_f1 > best.macro_f1) {
            let weights = self.optimizer.arena().copy_of_weights()?;
            self.best = Some(Best { epoch: epoch + 1, macro_f1, weights });
        }
        self.validation_time += started.elapsed();
        Ok(EpochRecord {
            epoch: epoch + 1,
            step: self.optimizer.steps(),
            validation_loss,
            validation_macro_f1: macro_f1,
        })
    }

    fn batch(&self, rows: &[usize]) -> Batch {
        Batch::pack(rows.iter().map(|row| &self.input_ids[row][..]))
    }

    fn targets(&self, rows: &[usize]) -> Vec<f32> {
        let targets = &self.fold.examples.targets;
        rows.iter().flat_map(|&row| targets.row(row)).map(|&on| f32::from(on)).collect()
    }

    fn checkpoint(&self, epoch: usize, log: &mut MetricsLog, path: &Path) -> Result<()> {
        let best = self.best.as_ref().expect("validated");
        let position = Position {
            epochs: epoch + 1,
            steps: self.optimizer.steps(),
            skipped_steps: self.optimizer.skipped().to_vec(),
            optimizer: self.optimizer.numbers()?,
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

    /// Takes over a checkpoint; returns the epochs done and the length of their log.
    fn resume(&mut self, path: &Path) -> Result<(usize, u64)> {
        if !path.exists() {
            return Ok((0, 0));
        }
        let Checkpoint { position, weights, moments, best } = Checkpoint::load(path)?;
        let unfit = |error: anyhow::Error| {
            UserError::new(format!("`{}` is of another training: {error}", path.display()))
                .hint("remove it to train this fold anew")
        };
        self.optimizer
            .restore(&weights, &moments, position.optimizer, position.steps, position.skipped_steps)
            .map_err(unfit)?;
        self.best = Some(Best {
            epoch: position.best_epoch,
            macro_f1: position.best_macro_f1,
            weights: best,
        });
        Ok((position.epochs, position.log_bytes))
    }

    /// The best epoch's weights, with the whole vocabulary.
    fn finish(self, vocabulary: &CompactVocabulary, initial_table: &Tensor) -> Result<Trained> {
        let Best { epoch, macro_f1, mut weights } = self.best.expect("at least one epoch");
        let steps = epoch * self.hyperparameters.steps_per_epoch(self.fold.train_rows.len());
        let skipped = self.optimizer.skipped();
        let decay: Vec<f32> = (0..steps)
            .filter(|done| skipped.binary_search(done).is_err())
            .map(|done| {
                let lr = self.schedule.learning_rate(done);
                self.optimizer.decay_factor(WORD_EMBEDDINGS, lr)
            })
            .collect();
        let table = weights.get_mut(WORD_EMBEDDINGS).expect("every model embeds words");
        *table = vocabulary.expand(initial_table, table, &decay)?;
        Ok(Trained {
            weights,
            best_epoch: epoch,
            best_macro_f1: macro_f1,
            train_time: self.train_time,
            validation_time: self.validation_time,
        })
    }
}

/// An error with what to do about it, if it says that a card's memory is full.
fn explained(
    error: anyhow::Error,
    what: &dyn fmt::Display,
    fold: &Fold<'_>,
    hyperparameters: &Hyperparameters,
    compute: &Compute,
) -> anyhow::Error {
    if !is_out_of_memory(&error) {
        return error;
    }
    let left = match device::memory(&compute.device) {
        Ok(Some(Memory { free, total })) => {
            format!(" ({} MiB of {} MiB are free)", free >> 20, total >> 20)
        }
        _ => String::new(),
    };
    let parts = 2 * hyperparameters.grad_accumulation;
    UserError::new(format!(
        "fold {}: the card's memory{left} does not hold {what}, beside what it holds already",
        fold.index
    ))
    .hint(format!(
        "pass fewer `--parallel-folds`, or `--grad-accumulation {parts}`, which takes a batch in parts \
         for the same update; `--resume` goes on from the last checkpoint"
    ))
    .into()
}

/// candle passes the driver's error on as words.
fn is_out_of_memory(error: &anyhow::Error) -> bool {
    let words = format!("{error:?}").to_lowercase();
    ["out of memory", "out_of_memory", "alloc_failed"].iter().any(|part| words.contains(part))
}

/// The initial word embeddings, and tensors for training with only the rows in use.
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
    use crate::training::Precision;

    #[test]
    fn a_full_card_is_explained_and_other_errors_are_passed_on() {
        let examples = Examples { input_ids: Vec::new(), targets: Targets::new(1, Vec::new()) };
        let fold = Fold { index: 3, examples: &examples, train_rows: &[], validation_rows: &[] };
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
        let told = |words: &str| {
            let error = anyhow::anyhow!(words.to_owned());
            explained(error, &"8 texts", &fold, &hyperparameters, &compute)
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
