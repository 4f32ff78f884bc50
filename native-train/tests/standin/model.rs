//! A model that is narrow enough for an emulated card: two layers of width 32.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::json;
use shared::kernels::random::RandomKey;
use shared::model::DebertaConfig;
use shared::tokenizer::Tokenizer;

const LABELS: usize = 2;

/// Writes the model into `folder`, with a tokenizer learnt from `texts`.
pub fn write(folder: &Path, texts: &str) {
    fs::create_dir_all(folder).unwrap();
    let tokenizer = Tokenizer::learn(texts.lines(), 200).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer.to_json()).unwrap();
    let config = json!({
        "model_type": "deberta-v2", "vocab_size": tokenizer.vocab_size(), "hidden_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 128, "relative_attention": true, "position_buckets": 16,
        "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
        "position_biased_input": false, "type_vocab_size": 0, "hidden_dropout_prob": 0.1
    });
    let config = config.to_string();
    fs::write(folder.join("config.json"), &config).unwrap();
    let config = DebertaConfig::from_json(config.as_bytes()).unwrap();
    let tensors: HashMap<String, Tensor> = (0..)
        .zip(config.tensor_shapes(LABELS))
        .map(|(site, (name, shape))| {
            let key = RandomKey::new(1, site);
            let norm = if name.contains("LayerNorm.weight") { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| norm + 0.05 * (key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
}
