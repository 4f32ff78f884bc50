//! `config.json` of a DeBERTa-v2/v3 model, parsed once into values the model can rely on.
//!
//! The reference is `DebertaV2Config` and what the modelling code reads beside it, in transformers 5.23:
//! <https://github.com/huggingface/transformers/tree/main/src/transformers/models/deberta_v2>.
//! Each field there is honoured, with the reference's default where it is absent, or refused by name. Fields
//! that a classifier never reads (masked-language head, generation, bookkeeping) are carried along untouched.
//!
//! The parsing is `read` (one field at a time: `fields`), the writing `write`; the parameters that a
//! configuration calls for are `tensors`.

mod fields;
mod read;
mod tensors;
mod write;

use serde_json::{Map, Value};

use crate::LabelSet;

/// The geometry and training-time constants of one DeBERTa-v2/v3 classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct DebertaConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    /// Width of the embedding tables; a projection without bias follows where it is not `hidden_size`.
    pub embedding_size: usize,
    pub num_hidden_layers: usize,
    /// Divides `hidden_size`.
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    /// Rows of the token-type table; 0 for none (as in v3).
    pub type_vocab_size: usize,
    /// The word embedding that starts at zero and gets no gradient.
    pub pad_token_id: Option<usize>,
    pub layer_norm_eps: f64,
    /// Standard deviation of freshly made weights.
    pub initializer_range: f64,
    pub hidden_dropout_prob: f64,
    pub attention_probs_dropout_prob: f64,
    pub pooler_dropout: f64,
    /// `None` follows `hidden_dropout_prob`: see [`Self::classifier_dropout`].
    pub cls_dropout: Option<f64>,
    /// Whether absolute positions are added to the word embeddings.
    pub position_biased_input: bool,
    pub relative_attention: bool,
    pub pos_att_type: PosAttType,
    /// Whether relative positions go through the content's own key and query projections.
    pub share_att_key: bool,
    /// Logarithmic buckets on each side of the diagonal; `None` for one bucket a distance.
    pub position_buckets: Option<usize>,
    /// The distance at which the logarithmic buckets end, or the clamp without buckets.
    pub max_relative_positions: usize,
    pub norm_rel_ebd: NormRelEbd,
    /// The labels this model was trained for, where its file names or counts them.
    pub labels: Option<LabelSet>,
    /// What the file holds beyond the fields above, written back as it came.
    extra: Map<String, Value>,
}

/// The position terms beside content-to-content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PosAttType {
    pub c2p: bool,
    pub p2c: bool,
}

/// What happens to the relative-position table before the layers use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormRelEbd {
    None,
    LayerNorm,
}

impl DebertaConfig {
    /// The small model that is trained from nothing: v3's layout at a size two CPU cores can train in minutes.
    ///
    /// With 8,000 pieces: 3.4 million parameters, 2 million of them word embeddings. Geometry and schedule were
    /// chosen together, on the out-of-fold scores of some 5,000 short texts.
    pub fn mini(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: 256,
            embedding_size: 256,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            max_position_embeddings: 512,
            type_vocab_size: 0,
            pad_token_id: Some(0),
            layer_norm_eps: 1e-7,
            initializer_range: 0.05,
            hidden_dropout_prob: 0.2,
            attention_probs_dropout_prob: 0.1,
            pooler_dropout: 0.0,
            cls_dropout: None,
            position_biased_input: false,
            relative_attention: true,
            pos_att_type: PosAttType { c2p: true, p2c: true },
            share_att_key: true,
            position_buckets: Some(256),
            max_relative_positions: 512,
            norm_rel_ebd: NormRelEbd::LayerNorm,
            labels: None,
            extra: Map::new(),
        }
    }

    /// Every trainable tensor of HF's `DebertaV2ForSequenceClassification` by its name there, with its shape.
    pub fn tensor_shapes(&self, num_labels: usize) -> tensors::TensorShapes {
        tensors::tensor_shapes(self, num_labels)
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Relative positions are clamped to `-span..span`.
    pub fn attention_span(&self) -> usize {
        self.position_buckets.unwrap_or(self.max_relative_positions)
    }

    /// Rows of the relative-position table: both directions of the span.
    pub fn relative_rows(&self) -> usize {
        2 * self.attention_span()
    }

    /// Whether content attends to position.
    pub fn has_c2p(&self) -> bool {
        self.relative_attention && self.pos_att_type.c2p
    }

    /// Whether position attends to content.
    pub fn has_p2c(&self) -> bool {
        self.relative_attention && self.pos_att_type.p2c
    }

    /// Scores are divided by `sqrt(head_dim * score_terms)`.
    ///
    /// The reference counts the named terms even where `relative_attention` is off, so that is done here too.
    pub fn score_terms(&self) -> usize {
        1 + usize::from(self.pos_att_type.c2p) + usize::from(self.pos_att_type.p2c)
    }

    /// Dropout between the pooler and the classifier.
    pub fn classifier_dropout(&self) -> f64 {
        self.cls_dropout.unwrap_or(self.hidden_dropout_prob)
    }
}

#[cfg(test)]
mod tests;
