//! What can go wrong in `shared`, with the data a caller needs to say it well.

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Label names that cannot be told apart or are empty.
    #[error("label names must be distinct and not empty, got {names:?}")]
    Labels { names: Vec<String> },

    /// One threshold a label is needed, each a probability.
    #[error("{found} thresholds for {labels} labels, or one outside 0..=1")]
    Thresholds { labels: usize, found: usize },

    /// A model configuration asks for something this model does not do.
    #[error("config field `{field}` = {value} is not supported: {reason}")]
    UnsupportedConfig { field: &'static str, value: String, reason: &'static str },

    /// A tensor is absent from the weights.
    #[error("tensor `{name}` is missing")]
    MissingTensor { name: String },

    /// A tensor has another shape than the configuration asks for.
    #[error("tensor `{name}` has shape {found:?}, the config asks for {expected:?}")]
    TensorShape { name: String, expected: Vec<usize>, found: Vec<usize> },

    /// A tokenizer file that cannot be used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),

    /// A bundle that cannot be used: its manifest, or what the shards are together.
    #[error("bundle: {0}")]
    Bundle(String),

    /// A shard that is not what the manifest says, or not what a fold needs.
    #[error("shard `{file}`: {reason}")]
    Shard { file: String, reason: String },

    #[error(transparent)]
    Json(#[from] serde_json::Error),

    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
