//! `config.json` of a DeBERTa-v2/v3 model, parsed once into values the model can rely on.
//!
//! The reference is `DebertaV2Config` and what the modelling code reads beside it, in transformers 5.23:
//! <https://github.com/huggingface/transformers/tree/main/src/transformers/models/deberta_v2>.
//! Each field there is honoured, with the reference's default where it is absent, or refused by name. Fields
//! that a classifier never reads (masked-language head, generation, bookkeeping) are carried along untouched.
//!
//! Reading one field is `fields`; the parameters that a configuration calls for are `tensors`.

mod fields;
mod tensors;

use serde_json::{Map, Value, json};

use crate::{Error, LabelSet, Result};
use fields::Fields;

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
    /// Parses the bytes of a `config.json`.
    ///
    /// # Errors
    /// If it is no JSON object, or a field asks for what this model does not do: the field is named.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(serde_json::from_slice(bytes)?);
        refuse_other_architectures(&mut fields)?;

        let hidden_size = fields.size("hidden_size", 1536)?;
        let num_attention_heads = fields.size("num_attention_heads", 24)?;
        if !hidden_size.is_multiple_of(num_attention_heads) {
            let reason = "it must divide `hidden_size`";
            return Err(refused("num_attention_heads", num_attention_heads, reason));
        }
        refuse_other_widths(&mut fields, hidden_size, num_attention_heads)?;

        let vocab_size = fields.size("vocab_size", 128_100)?;
        let pad_token_id = fields.optional_count("pad_token_id", Some(0))?;
        if let Some(id) = pad_token_id.filter(|&id| id >= vocab_size) {
            return Err(refused("pad_token_id", id, "it must be below `vocab_size`"));
        }
        let max_position_embeddings = fields.size("max_position_embeddings", 512)?;

        Ok(Self {
            vocab_size,
            hidden_size,
            embedding_size: fields.size("embedding_size", hidden_size)?,
            num_hidden_layers: fields.size("num_hidden_layers", 24)?,
            num_attention_heads,
            intermediate_size: fields.size("intermediate_size", 6144)?,
            max_position_embeddings,
            type_vocab_size: fields.count("type_vocab_size", 0)?,
            pad_token_id,
            layer_norm_eps: fields.positive("layer_norm_eps", 1e-7)?,
            initializer_range: initializer_range(&mut fields)?,
            hidden_dropout_prob: fields.dropout("hidden_dropout_prob")?.unwrap_or(0.1),
            attention_probs_dropout_prob: fields
                .dropout("attention_probs_dropout_prob")?
                .unwrap_or(0.1),
            pooler_dropout: fields.dropout("pooler_dropout")?.unwrap_or(0.0),
            cls_dropout: fields.dropout("cls_dropout")?,
            position_biased_input: fields.flag("position_biased_input", true)?,
            relative_attention: fields.flag("relative_attention", false)?,
            pos_att_type: pos_att_type(&mut fields)?,
            share_att_key: fields.flag("share_att_key", false)?,
            position_buckets: position_buckets(&mut fields)?,
            max_relative_positions: fields
                .size_or_unset("max_relative_positions")?
                .unwrap_or(max_position_embeddings),
            norm_rel_ebd: norm_rel_ebd(&mut fields)?,
            labels: labels(&mut fields)?,
            extra: fields.into_extra(),
        })
    }

    /// The small model that is trained from nothing: v3's layout at a size two CPU cores can train in minutes.
    ///
    /// With 8,000 pieces: 3.5 million parameters, 1.5 million of them word embeddings.
    pub fn mini(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: 192,
            embedding_size: 192,
            num_hidden_layers: 4,
            num_attention_heads: 3,
            intermediate_size: 768,
            max_position_embeddings: 512,
            type_vocab_size: 0,
            pad_token_id: Some(0),
            layer_norm_eps: 1e-7,
            initializer_range: 0.02,
            hidden_dropout_prob: 0.1,
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

    /// `config.json` of a multi-label classifier for `labels`, with f32 weights, as HF loads it.
    ///
    /// Every field is spelt out, so the file means the same whatever a later release takes as its default.
    pub fn to_json(&self, labels: &LabelSet) -> String {
        let Value::Object(own) = self.own_fields(labels) else { unreachable!("an object literal") };
        let mut file = self.extra.clone();
        file.extend(own);
        if let Some(dropout) = self.cls_dropout {
            file.insert("cls_dropout".into(), json!(dropout));
        }
        let mut text = serde_json::to_string_pretty(&file).expect("string keys and finite numbers");
        text.push('\n');
        text
    }

    fn own_fields(&self, labels: &LabelSet) -> Value {
        let numbered = || labels.names().iter().enumerate();
        let id2label: Map<_, _> = numbered().map(|(id, n)| (id.to_string(), json!(n))).collect();
        let label2id: Map<_, _> = numbered().map(|(id, n)| (n.clone(), json!(id))).collect();
        json!({
            "architectures": ["DebertaV2ForSequenceClassification"],
            "attention_probs_dropout_prob": self.attention_probs_dropout_prob,
            "dtype": "float32",
            "embedding_size": self.embedding_size,
            "hidden_act": "gelu",
            "hidden_dropout_prob": self.hidden_dropout_prob,
            "hidden_size": self.hidden_size,
            "id2label": id2label,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "label2id": label2id,
            "layer_norm_eps": self.layer_norm_eps,
            "max_position_embeddings": self.max_position_embeddings,
            "max_relative_positions": self.max_relative_positions,
            "model_type": "deberta-v2",
            "norm_rel_ebd": match self.norm_rel_ebd {
                NormRelEbd::None => "none",
                NormRelEbd::LayerNorm => "layer_norm",
            },
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "pad_token_id": self.pad_token_id,
            "pooler_dropout": self.pooler_dropout,
            "pooler_hidden_act": "gelu",
            "pooler_hidden_size": self.hidden_size,
            "pos_att_type": self.pos_att_type.names(),
            "position_biased_input": self.position_biased_input,
            // HF has no `null` here: below 1 is its word for "no buckets".
            "position_buckets": self.position_buckets.map_or(json!(-1), |buckets| json!(buckets)),
            "problem_type": "multi_label_classification",
            "relative_attention": self.relative_attention,
            "share_att_key": self.share_att_key,
            "type_vocab_size": self.type_vocab_size,
            "vocab_size": self.vocab_size,
        })
    }
}

impl PosAttType {
    fn names(self) -> Vec<&'static str> {
        [("p2c", self.p2c), ("c2p", self.c2p)]
            .into_iter()
            .filter_map(|(name, on)| on.then_some(name))
            .collect()
    }
}

fn refused(field: &'static str, value: impl ToString, reason: &'static str) -> Error {
    Error::UnsupportedConfig { field, value: value.to_string(), reason }
}

/// Turns away what would load into the same tensor names and yet be another function.
fn refuse_other_architectures(fields: &mut Fields) -> Result<()> {
    fields.require("model_type", "deberta-v2", "only DeBERTa v2 and v3 models can be used")?;
    fields.same_or_absent("hidden_act", "gelu", "only the exact GELU is implemented")?;
    fields.same_or_absent("pooler_hidden_act", "gelu", "only the exact GELU is implemented")?;
    if fields.count("conv_kernel_size", 0)? > 0 {
        let reason =
            "the convolution beside the first layer (v2-xlarge and v2-xxlarge) is not implemented";
        return Err(fields.refused("conv_kernel_size", reason));
    }
    for (field, reason) in [
        ("quantization_config", "quantised checkpoints cannot be fine-tuned"),
        ("pruned_heads", "layers with fewer heads than the config counts are not implemented"),
        ("per_layer_config", "layers that differ from each other are not implemented"),
    ] {
        fields.empty_or_absent(field, reason)?;
    }
    Ok(())
}

/// Two widths that the reference lets a file set, though its own matrices fit one value only.
fn refuse_other_widths(fields: &mut Fields, hidden_size: usize, heads: usize) -> Result<()> {
    let head_dim = hidden_size / heads;
    if fields.size("attention_head_size", head_dim)? != head_dim {
        let reason = "all heads together must be as wide as `hidden_size`";
        return Err(fields.refused("attention_head_size", reason));
    }
    if fields.size("pooler_hidden_size", hidden_size)? != hidden_size {
        let reason = "the pooler reads a hidden state, so it must be as wide as `hidden_size`";
        return Err(fields.refused("pooler_hidden_size", reason));
    }
    Ok(())
}

/// The reference takes 0 for "not set".
fn initializer_range(fields: &mut Fields) -> Result<f64> {
    let range = fields.at_least_zero("initializer_range", 0.02)?;
    Ok(if range == 0.0 { 0.02 } else { range })
}

/// A list of names, or one string of names with `|` between them; only the string form is lower-cased.
fn pos_att_type(fields: &mut Fields) -> Result<PosAttType> {
    let mut types = PosAttType { c2p: false, p2c: false };
    for name in fields.list_or_piped("pos_att_type")? {
        match name.as_str() {
            "c2p" => types.c2p = true,
            "p2c" => types.p2c = true,
            "" => {}
            _ => return Err(fields.refused("pos_att_type", "only `c2p` and `p2c` are known")),
        }
    }
    Ok(types)
}

fn position_buckets(fields: &mut Fields) -> Result<Option<usize>> {
    match fields.size_or_unset("position_buckets")? {
        Some(1) => Err(refused("position_buckets", 1, "a logarithmic scale needs at least 2")),
        buckets => Ok(buckets),
    }
}

fn norm_rel_ebd(fields: &mut Fields) -> Result<NormRelEbd> {
    let mut norm = NormRelEbd::None;
    for name in fields.piped("norm_rel_ebd")? {
        match name.as_str() {
            "layer_norm" => norm = NormRelEbd::LayerNorm,
            "none" | "" => {}
            _ => {
                return Err(
                    fields.refused("norm_rel_ebd", "only `layer_norm` and `none` are known")
                );
            }
        }
    }
    Ok(norm)
}

/// `id2label`, else as many `LABEL_n` as `num_labels` says, as the reference names them.
fn labels(fields: &mut Fields) -> Result<Option<LabelSet>> {
    let counted = fields.optional_count("num_labels", None)?;
    let names = match fields.numbered_names("id2label")? {
        Some(names) => names,
        None => match counted {
            Some(count) => (0..count).map(|id| format!("LABEL_{id}")).collect(),
            None => return Ok(None),
        },
    };
    LabelSet::new(names).map(Some)
}

#[cfg(test)]
mod tests;
