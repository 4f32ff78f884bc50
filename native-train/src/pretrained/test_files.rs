//! Model folders for the tests here: a backbone of a few hundred numbers, in whichever form a test asks for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use shared::model::DebertaConfig;

/// The geometry of `tests/fixtures/pretrained`.
pub const CONFIG: &str = r#"{
    "model_type": "deberta-v2", "vocab_size": 6, "hidden_size": 4, "intermediate_size": 4,
    "num_hidden_layers": 1, "num_attention_heads": 2, "relative_attention": true, "position_buckets": 2,
    "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
    "position_biased_input": false
}"#;

pub const LABELS: usize = 5;

pub fn config() -> DebertaConfig {
    DebertaConfig::from_json(CONFIG.as_bytes()).unwrap()
}

/// Tensors by name: shape and numbers.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A whole classifier with distinct numbers that every encoding holds exactly.
pub fn classifier(num_labels: usize) -> Tensors {
    let shapes = config().tensor_shapes(num_labels);
    let tensor = |(n, (name, shape)): (usize, (String, Vec<usize>))| {
        let count: usize = shape.iter().product();
        (name, (shape, numbers(n, count)))
    };
    shapes.into_iter().enumerate().map(tensor).collect()
}

/// The tensors of a model on the hub: a classifier without its head.
pub fn backbone() -> Tensors {
    let mut tensors = classifier(LABELS);
    tensors.retain(|name, _| name.starts_with("deberta."));
    tensors
}

/// The numbers of the tensor whose name is the n-th in order, as `make.py` makes them.
pub fn numbers(n: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i + 3 * n) % 64) as f32 - 20.0).collect()
}

/// A file of `tests/fixtures/pretrained`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrained").join(name)
}

pub fn write_safetensors(path: &Path, tensors: &Tensors, dtype: Dtype) {
    let encode = |value: &f32| match dtype {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(*value).to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(*value).to_le_bytes().to_vec(),
        Dtype::BF16 => half::bf16::from_f32(*value).to_le_bytes().to_vec(),
        Dtype::I64 => (*value as i64).to_le_bytes().to_vec(),
        _ => unimplemented!("{dtype}"),
    };
    let bytes: BTreeMap<&str, (&[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name.as_str(), (shape.as_slice(), values.iter().flat_map(encode).collect()))
        })
        .collect();
    let views = bytes.iter().map(|(name, (shape, bytes))| {
        (*name, TensorView::new(dtype, shape.to_vec(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// An index that spreads `names` over `files`, turn by turn.
pub fn write_index(path: &Path, names: impl Iterator<Item = String>, files: &[&str]) {
    let weight_map: BTreeMap<String, &str> = names.zip(files.iter().copied().cycle()).collect();
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": weight_map});
    fs::write(path, index.to_string()).unwrap();
}
