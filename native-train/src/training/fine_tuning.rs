//! The fine-tuning of a classifier on the rows of one fold: binary cross-entropy on the labels, validated by the
//! macro-F1 of the rows that the fold holds out.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::Tensor;
use shared::autograd::ParameterGradients;
use shared::batch::Batch;
use shared::kernels::cross_entropy::{bce_with_logits_backward, mean_loss};
use shared::kernels::scalar::sigmoid;
use shared::model::{Classifier, DebertaConfig, WORD_EMBEDDINGS};
use shared::nn::Weights;

use super::context::{FoldContext, PhaseTimes};
use super::metrics_log::{EpochRecord, Validation};
use super::objective::{MicroBatch, Objective};
use super::trainer::{self, Files, Kept};
use super::vocabulary::CompactVocabulary;
use crate::evaluation::Scores;
use crate::grid::Probabilities;
use crate::length_batches;
use crate::progress::Progress;

/// The result of a training.
pub struct Trained {
    /// The weights of the best epoch, by HF's names.
    pub weights: BTreeMap<String, Tensor>,
    pub best: EpochRecord,
    pub times: PhaseTimes,
}

/// The classifier of one fold, and what it learns from.
struct FineTuning<'a> {
    context: FoldContext<'a>,
    /// The fold's texts by row, in ids of the compact vocabulary.
    input_ids: BTreeMap<usize, Vec<u32>>,
    classifier: Classifier,
}

/// Trains one fold from `initial`, or from its checkpoint if there is one.
///
/// A fold that holds out no rows keeps the weights of its last epoch.
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
    let texts = context.rows().map(|row| &context.examples.input_ids[row][..]);
    let vocabulary = CompactVocabulary::new(texts, config.pad_token_id);
    let (initial_table, weights) = compact_weights(initial, &vocabulary)?;
    let optimizer = trainer::optimizer(&weights, &context.training())?;
    drop(weights);
    let objective = FineTuning::new(config, &vocabulary, &optimizer.weights(), context)?;
    let Kept { mut weights, best, word_decay, times } =
        trainer::train(context.training(), optimizer, objective, files, progress)?;
    let table = weights.get_mut(WORD_EMBEDDINGS).expect("every model embeds words");
    *table = vocabulary.expand(&initial_table, table, &word_decay)?;
    Ok(Trained { weights, best, times })
}

impl<'a> FineTuning<'a> {
    fn new(
        config: &DebertaConfig,
        vocabulary: &CompactVocabulary,
        weights: &Weights<'_>,
        context: FoldContext<'a>,
    ) -> Result<Self> {
        let examples = context.examples;
        let compact =
            |row: usize| examples.input_ids[row].iter().map(|&id| vocabulary.compact(id)).collect();
        let config = compact_config(config, vocabulary);
        Ok(Self {
            classifier: Classifier::new(&config, examples.targets.columns(), weights)?,
            input_ids: context.rows().map(|row| (row, compact(row))).collect(),
            context,
        })
    }

    fn batch(&self, rows: &[usize]) -> Batch {
        Batch::pack(rows.iter().map(|row| &self.input_ids[row][..]))
    }

    /// The labels that some rows teach.
    fn targets(&self, rows: &[usize]) -> Vec<f32> {
        let goals = |&row: &usize| self.context.examples.goals(row).expect("a row with labels");
        rows.iter().flat_map(goals).collect()
    }

    /// The targets of some rows [rows, labels].
    fn targets_on_device(&self, rows: &[usize]) -> Result<Tensor> {
        let shape = (rows.len(), self.context.examples.targets.columns());
        Ok(Tensor::from_vec(self.targets(rows), shape, &self.context.compute.device)?)
    }
}

impl Objective for FineTuning<'_> {
    fn backward(
        &self,
        micro_batch: MicroBatch<'_>,
        gradients: &mut ParameterGradients,
    ) -> Result<()> {
        let MicroBatch { rows, batch_rows, tape, scaler, loss } = micro_batch;
        let FoldContext { examples, teacher, .. } = self.context;
        let elements = batch_rows.len() * examples.targets.columns();
        let logits = self.classifier.forward(&self.batch(rows), Some(&tape))?;
        let by = logits.tensor();
        let logits_grad = match teacher {
            Some(teacher) => teacher.backward(by, examples, rows, elements, scaler, &loss)?,
            None => {
                let targets = self.targets_on_device(rows)?;
                bce_with_logits_backward(by, &targets, elements, scaler, &loss)?
            }
        };
        tape.backward(&logits, logits_grad, gradients)?;
        Ok(())
    }

    /// Scores the fold's held-out rows at 0.5.
    fn validate(&self) -> Result<Option<Validation>> {
        let rows = self.context.validation_rows;
        if rows.is_empty() {
            return Ok(None);
        }
        let texts: Vec<&[u32]> = rows.iter().map(|row| &self.input_ids[row][..]).collect();
        let labels = self.context.examples.targets.columns();
        let classifier = self.classifier.freeze()?;
        let forward = |batch: &Batch| Ok(classifier.logits(batch)?.flatten_all()?.to_vec1()?);
        let logits = length_batches::run(classifier.device(), &texts, labels, forward, |_| ())?
            .into_values();
        let loss = mean_loss(&logits, &self.targets(rows));
        let probabilities = logits.into_iter().map(sigmoid).collect();
        let probabilities = Probabilities::new(labels, probabilities);
        let targets = self.context.examples.targets.select(rows);
        let macro_f1 = Some(Scores::at_half(&targets, &probabilities).macro_f1());
        Ok(Some(Validation { loss, macro_f1 }))
    }

    fn tokens(&self, row: usize) -> usize {
        self.input_ids[&row].len()
    }
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
