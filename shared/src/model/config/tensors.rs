//! The parameters that a configuration calls for: Hugging Face's name and the shape of each (linear weights are
//! [outputs, inputs]).

use std::collections::BTreeMap;

use super::types::{DebertaConfig, NormRelEbd};

/// Shapes of tensors by name.
pub type TensorShapes = BTreeMap<String, Vec<usize>>;

/// The name of the word embedding [vocab_size, embedding_size].
pub const WORD_EMBEDDINGS: &str = "deberta.embeddings.word_embeddings.weight";

impl DebertaConfig {
    /// Returns the name and shape of every trainable tensor of Hugging Face's
    /// `DebertaV2ForSequenceClassification` with so many labels.
    pub fn tensor_shapes(&self, num_labels: usize) -> TensorShapes {
        let mut list = List { hidden_size: self.hidden_size, shapes: self.backbone_shapes() };
        list.linear("pooler.dense", self.hidden_size, self.hidden_size);
        list.linear("classifier", num_labels, self.hidden_size);
        list.shapes
    }

    /// Returns the name and shape of every tensor of its `DebertaV2Model`, which has no head.
    pub fn backbone_shapes(&self) -> TensorShapes {
        let mut list = List { hidden_size: self.hidden_size, shapes: BTreeMap::new() };
        list.embeddings(self);
        list.encoder(self);
        for layer in 0..self.num_hidden_layers {
            list.layer(self, &format!("deberta.encoder.layer.{layer}"));
        }
        list.shapes
    }
}

struct List {
    hidden_size: usize,
    shapes: TensorShapes,
}

impl List {
    fn embeddings(&mut self, config: &DebertaConfig) {
        let width = config.embedding_size;
        self.table("deberta.embeddings.word_embeddings", config.vocab_size, width);
        if config.position_biased_input {
            let rows = config.max_position_embeddings;
            self.table("deberta.embeddings.position_embeddings", rows, width);
        }
        if config.type_vocab_size > 0 {
            self.table("deberta.embeddings.token_type_embeddings", config.type_vocab_size, width);
        }
        if width != config.hidden_size {
            self.table("deberta.embeddings.embed_proj", config.hidden_size, width);
        }
        self.layer_norm("deberta.embeddings.LayerNorm");
    }

    fn encoder(&mut self, config: &DebertaConfig) {
        if config.relative_attention {
            let rows = config.relative_rows();
            self.table("deberta.encoder.rel_embeddings", rows, config.hidden_size);
        }
        // The reference makes this one whether or not there is a table to normalise.
        if config.norm_rel_ebd == NormRelEbd::LayerNorm {
            self.layer_norm("deberta.encoder.LayerNorm");
        }
    }

    fn layer(&mut self, config: &DebertaConfig, layer: &str) {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        for projection in ["query_proj", "key_proj", "value_proj"] {
            self.linear(&format!("{layer}.attention.self.{projection}"), hidden, hidden);
        }
        if config.has_c2p() && !config.share_att_key {
            self.linear(&format!("{layer}.attention.self.pos_key_proj"), hidden, hidden);
        }
        if config.has_p2c() && !config.share_att_key {
            self.linear(&format!("{layer}.attention.self.pos_query_proj"), hidden, hidden);
        }
        self.linear(&format!("{layer}.attention.output.dense"), hidden, hidden);
        self.layer_norm(&format!("{layer}.attention.output.LayerNorm"));
        self.linear(&format!("{layer}.intermediate.dense"), intermediate, hidden);
        self.linear(&format!("{layer}.output.dense"), hidden, intermediate);
        self.layer_norm(&format!("{layer}.output.LayerNorm"));
    }

    fn linear(&mut self, name: &str, out_features: usize, in_features: usize) {
        self.table(name, out_features, in_features);
        self.shapes.insert(format!("{name}.bias"), vec![out_features]);
    }

    fn layer_norm(&mut self, name: &str) {
        self.shapes.insert(format!("{name}.weight"), vec![self.hidden_size]);
        self.shapes.insert(format!("{name}.bias"), vec![self.hidden_size]);
    }

    /// A matrix without a bias.
    fn table(&mut self, name: &str, rows: usize, columns: usize) {
        self.shapes.insert(format!("{name}.weight"), vec![rows, columns]);
    }
}
