//! Reads a `config.json` into a [`DebertaConfig`]: the defaults, the refusals, and the fields with a syntax of
//! their own.
//!
//! | in the file | what is done |
//! |---|---|
//! | a field of the model that is absent or `null` | the default of transformers |
//! | a value that makes another model: another `model_type`, activation, a convolution, quantised or pruned layers | refused, with the field and why |
//! | a size, number or flag of another type or out of bounds | refused, with the field, its value and what it must be |
//! | labels that are no distinct names by 0, 1, 2, ... | refused in runs and bundles; in a base model they are told and not used |
//! | any other field | kept as it is |

use serde_json::{Map, Value};

use super::fields::{Fields, refused};
use super::odd_labels::odd_labels;
use super::types::{DebertaConfig, NormRelEbd, PosAttType};
use crate::{LabelSet, Result};

impl DebertaConfig {
    /// Parses the bytes of a `config.json`.
    ///
    /// # Errors
    /// [`Error::Json`](crate::Error::Json), if they are no JSON object;
    /// [`Error::UnsupportedConfig`](crate::Error::UnsupportedConfig), which names the field, if one asks for what
    /// this model does not do; [`Error::Labels`](crate::Error::Labels), if its label names are not distinct.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        Self::of(serde_json::from_slice(bytes)?, labels)
    }

    /// Parses the bytes of a base model's `config.json`. Its labels do not matter, as a classifier for others is made of
    /// it: what is odd about them is returned as sentences, and the config then names no labels.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), but for the labels.
    pub fn of_base_model(bytes: &[u8]) -> Result<(Self, Vec<String>)> {
        let map: Map<String, Value> = serde_json::from_slice(bytes)?;
        let odd = odd_labels(&map);
        let config = Self::of(map, |fields| Ok(labels(fields).unwrap_or(None)))?;
        Ok((config, odd))
    }

    fn of(
        map: Map<String, Value>,
        labels: impl FnOnce(&mut Fields) -> Result<Option<LabelSet>>,
    ) -> Result<Self> {
        let mut fields = Fields::new(map);
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
}

/// Refuses a model that has the same tensor names and yet is another function.
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

/// Refuses other values of two widths than the one that fits the matrices; the reference lets a file set them.
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

/// Reads the standard deviation of new weights, for which the reference takes 0 as "not set".
fn initializer_range(fields: &mut Fields) -> Result<f64> {
    let range = fields.at_least_zero("initializer_range", 0.02)?;
    Ok(if range == 0.0 { 0.02 } else { range })
}

/// Reads a list of names, or one string of names with `|` between them; only the string form is lower-cased.
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

/// Reads `id2label`, or else makes the names `LABEL_n` for `num_labels`, as the reference does.
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
