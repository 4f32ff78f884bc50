//! The whole model: a batch of texts in, one logit a label out.
//!
//! Mirrors `ContextPooler` and `DebertaV2ForSequenceClassification`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L1002-L1021>,
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L1030-L1134>.

use candle_core::{Device, Tensor};

use super::attention::ProjectedPositions;
use super::backbone::Backbone;
use super::config::DebertaConfig;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::batch::Batch;
use crate::kernels::elementwise;
use crate::nn::{Dropout, Linear, Weights};

/// A DeBERTa-v3 encoder with a pooler and a linear classifier on its `[CLS]` state, for training and inference.
#[derive(Clone)]
pub struct Classifier {
    backbone: Backbone,
    pooler_dropout: Dropout,
    pooler: Linear,
    dropout: Dropout,
    classifier: Linear,
}

/// A classifier whose weights do not change: what depends on weights alone is computed once. It is for inference.
pub struct FrozenClassifier {
    classifier: Classifier,
    positions: Vec<ProjectedPositions>,
}

impl Classifier {
    /// Takes the tensors that [`DebertaConfig::tensor_shapes`] names from `weights`. f32 tensors are shared, not
    /// copied.
    ///
    /// # Errors
    /// [`Error::MissingTensor`](crate::Error::MissingTensor) or
    /// [`Error::TensorShape`](crate::Error::TensorShape), if a tensor is missing or has another shape than
    /// `config` asks for.
    pub fn new(config: &DebertaConfig, num_labels: usize, weights: &Weights<'_>) -> Result<Self> {
        let hidden = config.hidden_size;
        Ok(Self {
            backbone: Backbone::new(config, weights)?,
            pooler_dropout: Dropout(config.pooler_dropout),
            pooler: Linear::new(&weights.part("pooler").part("dense"), hidden, hidden)?,
            dropout: Dropout(config.classifier_dropout()),
            classifier: Linear::new(&weights.part("classifier"), hidden, num_labels)?,
        })
    }

    /// Returns the logits, f32 [texts, labels]. A `tape` records the pass for training and applies dropout.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if an operation fails, for example for lack of memory.
    pub fn forward(&self, batch: &Batch, tape: Option<&Tape>) -> Result<Value> {
        self.forward_with(batch, None, tape)
    }

    /// Prepares inference. The weights must not be updated while the result is in use, as it shares them.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if an operation fails.
    pub fn freeze(&self) -> Result<FrozenClassifier> {
        Ok(FrozenClassifier {
            classifier: self.clone(),
            positions: self.backbone.project_positions()?,
        })
    }

    fn forward_with(
        &self,
        batch: &Batch,
        projected: Option<&[ProjectedPositions]>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let first_tokens = self.backbone.first_tokens(batch, projected, tape)?;
        let first_tokens = self.pooler_dropout.forward(&first_tokens, tape)?;
        let pooled = self.pooler.forward_gelu(&first_tokens, tape)?;
        self.classifier.forward_f32(&self.dropout.forward(&pooled, tape)?, tape)
    }
}

impl FrozenClassifier {
    /// The device that it computes on.
    pub fn device(&self) -> &Device {
        self.classifier.classifier.device()
    }

    /// Returns the logits, f32 [texts, labels].
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if an operation fails.
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let projected = (!self.positions.is_empty()).then_some(&self.positions[..]);
        Ok(self.classifier.forward_with(batch, projected, None)?.tensor().clone())
    }

    /// Returns the sigmoid of the logits: probabilities in 0..=1, text after text, one a label.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if an operation fails.
    pub fn probabilities(&self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(elementwise::sigmoid(&self.logits(batch)?)?.flatten_all()?.to_vec1()?)
    }
}
