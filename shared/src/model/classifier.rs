//! The whole model: texts in, one logit a label out.

use candle_core::Tensor;

use super::attention::ProjectedPositions;
use super::config::DebertaConfig;
use super::embeddings::Embeddings;
use super::encoder::Encoder;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::batch::Batch;
use crate::kernels::elementwise;
use crate::nn::{Dropout, Linear, Weights};

/// A DeBERTa-v3 encoder with a pooler and a linear classifier on its [CLS] state.
#[derive(Clone)]
pub struct Classifier {
    embeddings: Embeddings,
    encoder: Encoder,
    pooler_dropout: Dropout,
    pooler: Linear,
    dropout: Dropout,
    classifier: Linear,
}

/// A classifier whose weights stay as they are, with what depends on weights alone computed once.
pub struct FrozenClassifier {
    classifier: Classifier,
    positions: Vec<ProjectedPositions>,
}

impl Classifier {
    /// # Errors
    /// If a tensor is missing or has another shape than `config` asks for.
    pub fn new(config: &DebertaConfig, num_labels: usize, weights: &Weights<'_>) -> Result<Self> {
        let (deberta, hidden) = (weights.part("deberta"), config.hidden_size);
        Ok(Self {
            embeddings: Embeddings::new(config, &deberta.part("embeddings"))?,
            encoder: Encoder::new(config, &deberta.part("encoder"))?,
            pooler_dropout: Dropout(config.pooler_dropout),
            pooler: Linear::new(&weights.part("pooler").part("dense"), hidden, hidden)?,
            dropout: Dropout(config.classifier_dropout()),
            classifier: Linear::new(&weights.part("classifier"), hidden, num_labels)?,
        })
    }

    /// Logits [texts, labels]. With a tape, as in training: dropout applies.
    pub fn forward(&self, batch: &Batch, tape: Option<&Tape>) -> Result<Value> {
        self.forward_with(batch, None, tape)
    }

    /// Prepares inference. The weights must not be updated while the result is in use.
    pub fn freeze(&self) -> Result<FrozenClassifier> {
        Ok(FrozenClassifier {
            classifier: self.clone(),
            positions: self.encoder.project_positions()?,
        })
    }

    fn forward_with(
        &self,
        batch: &Batch,
        projected: Option<&[ProjectedPositions]>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let x = self.embeddings.forward(batch, tape)?;
        let first_tokens = self.encoder.forward(x, batch, projected, tape)?;
        let first_tokens = self.pooler_dropout.forward(&first_tokens, tape)?;
        let pooled = self.pooler.forward_gelu(&first_tokens, tape)?;
        self.classifier.forward_f32(&self.dropout.forward(&pooled, tape)?, tape)
    }
}

impl FrozenClassifier {
    /// Logits [texts, labels].
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let projected = (!self.positions.is_empty()).then_some(&self.positions[..]);
        Ok(self.classifier.forward_with(batch, projected, None)?.tensor().clone())
    }

    /// Probabilities in row-major order, `labels` a text.
    pub fn probabilities(&self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(elementwise::sigmoid(&self.logits(batch)?)?.flatten_all()?.to_vec1()?)
    }
}
