//! The model without its head: embeddings and encoder.
//!
//! Mirrors `DebertaV2Model`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L706-L820>.

use super::attention::{ContentProjections, ProjectedPositions};
use super::config::DebertaConfig;
use super::embeddings::Embeddings;
use super::encoder::Encoder;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::batch::Batch;
use crate::nn::Weights;

/// A DeBERTa-v3 encoder with its embeddings.
#[derive(Clone)]
pub struct Backbone {
    embeddings: Embeddings,
    encoder: Encoder,
}

impl Backbone {
    /// Takes the tensors that [`DebertaConfig::backbone_shapes`] names from `weights`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`](crate::Error::MissingTensor) or
    /// [`Error::TensorShape`](crate::Error::TensorShape), if a tensor is missing or has another shape than
    /// `config` asks for.
    pub fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let deberta = weights.part("deberta");
        Ok(Self {
            embeddings: Embeddings::new(config, &deberta.part("embeddings"))?,
            encoder: Encoder::new(config, &deberta.part("encoder"))?,
        })
    }

    /// Returns the hidden states of all tokens, each [tokens, hidden_size]: the embeddings, then the output of every
    /// layer (`output_hidden_states` of transformers).
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if an operation fails, for example for lack of memory.
    pub fn hidden_states(&self, batch: &Batch, tape: Option<&Tape>) -> Result<Vec<Value>> {
        self.encoder.hidden_states(self.embeddings.forward(batch, tape)?, batch, tape)
    }

    /// Projects a layer's input [tokens, hidden_size] to its queries, keys and values, as its attention does.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if an operation fails, for example for lack of memory.
    pub fn content_projections(
        &self,
        layer: usize,
        input: &Value,
        tape: Option<&Tape>,
    ) -> Result<ContentProjections> {
        self.encoder.content_projections(layer, input, tape)
    }

    /// Returns the last hidden state of the `[CLS]` tokens [texts, hidden_size].
    ///
    /// `projected` holds what [`Self::project_positions`] returned for the same weights.
    pub(super) fn first_tokens(
        &self,
        batch: &Batch,
        projected: Option<&[ProjectedPositions]>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let x = self.embeddings.forward(batch, tape)?;
        self.encoder.forward(x, batch, projected, tape)
    }

    /// Returns each layer's projections of the whole relative-position table.
    pub(super) fn project_positions(&self) -> Result<Vec<ProjectedPositions>> {
        self.encoder.project_positions()
    }
}
