//! Writes a [`DebertaConfig`] as a `config.json`: that of a fine-tuned classifier, or of a model without a head.

use serde_json::{Map, Value, json};

use super::types::{DebertaConfig, NormRelEbd, PosAttType};
use crate::LabelSet;

impl DebertaConfig {
    /// Returns the `config.json` of a multi-label classifier for `labels`, with f32 weights, as Hugging Face loads
    /// it.
    ///
    /// Every field is written, so that the file means the same whatever a later release takes as its default.
    pub fn to_json(&self, labels: &LabelSet) -> String {
        let numbered = || labels.names().iter().enumerate();
        let id2label: Map<_, _> = numbered().map(|(id, n)| (id.to_string(), json!(n))).collect();
        let label2id: Map<_, _> = numbered().map(|(id, n)| (n.clone(), json!(id))).collect();
        self.with_fields(json!({
            "architectures": ["DebertaV2ForSequenceClassification"],
            "id2label": id2label,
            "label2id": label2id,
            "problem_type": "multi_label_classification",
        }))
    }

    /// Returns the `config.json` of a model without a head, with f32 weights, as Hugging Face loads it.
    pub fn to_backbone_json(&self) -> String {
        self.with_fields(json!({ "architectures": ["DebertaV2Model"] }))
    }

    /// The file, in which fields of this model stand beside those of its head.
    fn with_fields(&self, head: Value) -> String {
        let mut file = self.extra.clone();
        for fields in [head, self.own_fields()] {
            let Value::Object(fields) = fields else { unreachable!("an object literal") };
            file.extend(fields);
        }
        if let Some(dropout) = self.cls_dropout {
            file.insert("cls_dropout".into(), json!(dropout));
        }
        let mut text = serde_json::to_string_pretty(&file).expect("string keys and finite numbers");
        text.push('\n');
        text
    }

    fn own_fields(&self) -> Value {
        json!({
            "attention_probs_dropout_prob": self.attention_probs_dropout_prob,
            "dtype": "float32",
            "embedding_size": self.embedding_size,
            "hidden_act": "gelu",
            "hidden_dropout_prob": self.hidden_dropout_prob,
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
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
            // The reference takes a number below 1, not `null`, for "no buckets".
            "position_buckets": self.position_buckets.map_or(json!(-1), |buckets| json!(buckets)),
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
