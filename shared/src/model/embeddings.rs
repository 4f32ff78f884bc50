//! Word embeddings, with absolute positions and token types where a config asks for them.
//!
//! Mirrors `DebertaV2Embeddings`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L490-L568>.

use super::config::DebertaConfig;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::batch::Batch;
use crate::nn::{Dropout, Embedding, LayerNorm, Linear, Weights, add};

#[derive(Clone)]
pub(super) struct Embeddings {
    words: Embedding,
    positions: Option<Embedding>,
    token_types: Option<Embedding>,
    projection: Option<Linear>,
    norm: LayerNorm,
    dropout: Dropout,
}

impl Embeddings {
    pub fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let width = config.embedding_size;
        let table = |name, entries| Embedding::new(&weights.part(name), entries, width);
        let mut words = table("word_embeddings", config.vocab_size)?;
        if let Some(id) = config.pad_token_id {
            words = words.with_padding(id as u32);
        }
        let positions = match config.position_biased_input {
            true => Some(table("position_embeddings", config.max_position_embeddings)?),
            false => None,
        };
        let token_types = match config.type_vocab_size {
            0 => None,
            types => Some(table("token_type_embeddings", types)?),
        };
        let projection = match width == config.hidden_size {
            true => None,
            false => {
                let weights = weights.part("embed_proj");
                Some(Linear::without_bias(&weights, width, config.hidden_size)?)
            }
        };
        Ok(Self {
            words,
            positions,
            token_types,
            projection,
            norm: LayerNorm::new(
                &weights.part("LayerNorm"),
                config.hidden_size,
                config.layer_norm_eps,
            )?,
            dropout: Dropout(config.hidden_dropout_prob),
        })
    }

    /// Returns the hidden states before the first layer [tokens, hidden_size].
    pub fn forward(&self, batch: &Batch, tape: Option<&Tape>) -> Result<Value> {
        let mut x = self.words.forward(batch.input_ids(), tape)?;
        if let Some(positions) = &self.positions {
            x = add(&x, &positions.forward(&batch.positions(), tape)?, tape)?;
        }
        if let Some(token_types) = &self.token_types {
            // A classifier of single texts uses only the first type.
            let first = vec![0; batch.input_ids().len()].into();
            x = add(&x, &token_types.forward(&first, tape)?, tape)?;
        }
        if let Some(projection) = &self.projection {
            x = projection.forward(&x, tape)?;
        }
        self.dropout.forward(&self.norm.forward(&x, tape)?, tape)
    }
}
