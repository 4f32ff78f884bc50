//! The configuration as values, and the sizes that follow from it.

use serde_json::{Map, Value};

use crate::LabelSet;

/// The geometry and training-time constants of one DeBERTa-v2/v3 classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct DebertaConfig {
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width of the embedding tables; if it differs from `hidden_size`, a projection without bias follows.
    pub embedding_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads of a layer; the number divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Rows of the table of absolute positions, and the default of `max_relative_positions`.
    pub max_position_embeddings: usize,
    /// Rows of the token-type table; 0 for none (as in v3).
    pub type_vocab_size: usize,
    /// The row of the word embedding that starts at zero and gets no gradient.
    pub pad_token_id: Option<usize>,
    /// The summand of the variance in layer norms.
    pub layer_norm_eps: f64,
    /// Standard deviation of newly initialised weights.
    pub initializer_range: f64,
    /// Dropout probability of embeddings and of the outputs of sublayers.
    pub hidden_dropout_prob: f64,
    /// Dropout probability of attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Dropout probability of the `[CLS]` state before the pooler.
    pub pooler_dropout: f64,
    /// Dropout probability before the classifier; `None` follows `hidden_dropout_prob`, see
    /// [`Self::classifier_dropout`].
    pub cls_dropout: Option<f64>,
    /// Whether absolute positions are added to the word embeddings.
    pub position_biased_input: bool,
    /// Whether scores depend on relative positions.
    pub relative_attention: bool,
    /// The terms of the scores that relative positions give.
    pub pos_att_type: PosAttType,
    /// Whether relative positions share the key and query projections of the content.
    pub share_att_key: bool,
    /// Logarithmic buckets on each side of the diagonal; `None` for one bucket a distance.
    pub position_buckets: Option<usize>,
    /// The distance at which the logarithmic buckets end, or the clamp without buckets.
    pub max_relative_positions: usize,
    /// The normalisation of the relative-position table.
    pub norm_rel_ebd: NormRelEbd,
    /// The labels this model was trained for, where its file names or counts them.
    pub labels: Option<LabelSet>,
    /// The other fields of the file, which are written back unchanged.
    pub(super) extra: Map<String, Value>,
}

/// The position terms beside content-to-content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PosAttType {
    /// Content to position.
    pub c2p: bool,
    /// Position to content.
    pub p2c: bool,
}

/// The normalisation of the relative-position table before the layers use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormRelEbd {
    /// The table is used as it is.
    None,
    /// The table goes through a layer norm.
    LayerNorm,
}

impl DebertaConfig {
    /// Returns the small model that is trained from nothing: v3's layout, at a size that two CPU cores train in
    /// minutes.
    ///
    /// The geometry has, with 8,000 pieces, 3.4 million parameters, 2 million of them word embeddings. Geometry and schedule were
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

    /// Returns the width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Returns the span: relative positions are clamped to `-span..span`.
    pub fn attention_span(&self) -> usize {
        self.position_buckets.unwrap_or(self.max_relative_positions)
    }

    /// Returns the rows of the relative-position table, for both directions of the span.
    pub fn relative_rows(&self) -> usize {
        2 * self.attention_span()
    }

    /// Whether scores have the content-to-position term.
    pub fn has_c2p(&self) -> bool {
        self.relative_attention && self.pos_att_type.c2p
    }

    /// Whether scores have the position-to-content term.
    pub fn has_p2c(&self) -> bool {
        self.relative_attention && self.pos_att_type.p2c
    }

    /// Returns the number of terms of a score, which is divided by `sqrt(head_dim * score_terms)`.
    ///
    /// Like the reference it counts the terms that are named even if `relative_attention` is off.
    pub fn score_terms(&self) -> usize {
        1 + usize::from(self.pos_att_type.c2p) + usize::from(self.pos_att_type.p2c)
    }

    /// Returns the dropout probability between the pooler and the classifier.
    pub fn classifier_dropout(&self) -> f64 {
        self.cls_dropout.unwrap_or(self.hidden_dropout_prob)
    }
}
