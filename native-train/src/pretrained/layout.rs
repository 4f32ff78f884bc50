//! The names of the files in a model's folder.

pub const CONFIG_FILE: &str = "config.json";

/// The files that may hold the tokenizer, best first: the converted form says more than the
/// SentencePiece model.
pub const TOKENIZER_FILES: [&str; 2] = ["tokenizer.json", "spm.model"];

/// The files that may lie beside a tokenizer's file and change its ids.
pub const TOKENIZER_SETTINGS_FILES: [&str; 3] =
    ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"];

/// The files that may hold the weights, best first. An index names the files that they are spread
/// over.
pub const WEIGHT_FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The name of the pretrained model within this program; a folder of that name is `./small`.
pub const SMALL: &str = "small";
