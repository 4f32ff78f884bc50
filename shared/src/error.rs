//! The errors of `shared`, with the data that a caller needs to report them.

/// The result of an operation of `shared`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why an operation of `shared` failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Label names that are missing, empty or repeated.
    #[error("label names must be distinct and not empty, got {names:?}")]
    Labels {
        /// The refused names.
        names: Vec<String>,
    },

    /// Thresholds of which there is not one a label, or one that is no probability.
    #[error("there must be {labels} thresholds from 0 to 1, one a label; got {found:?}")]
    Thresholds {
        /// The number of labels.
        labels: usize,
        /// The refused thresholds.
        found: Vec<f64>,
    },

    /// A model configuration that asks for something this model does not do.
    #[error("config field `{field}` = {value} is not supported: {reason}")]
    UnsupportedConfig {
        /// The name of the field in `config.json`.
        field: &'static str,
        /// Its value as JSON.
        value: String,
        /// The condition on the value, or the part that is not implemented.
        reason: &'static str,
    },

    /// A tensor that the configuration asks for and the weights lack.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// The tensor's name, as Hugging Face has it.
        name: String,
    },

    /// A tensor of another shape than the configuration asks for.
    #[error("tensor `{name}` has shape {found:?}, but the config asks for {expected:?}")]
    TensorShape {
        /// The tensor's name, as Hugging Face has it.
        name: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape of the tensor.
        found: Vec<usize>,
    },

    /// A tokenizer file that cannot be used.
    #[error("tokenizer: {0}")]
    Tokenizer(String),

    /// A bundle that cannot be used: its manifest, or its shards taken together.
    #[error("bundle: {0}")]
    Bundle(String),

    /// A shard that is not what the manifest says, or not what a fold needs.
    #[error("shard `{file}`: {reason}")]
    Shard {
        /// The shard's file name.
        file: String,
        /// The defect.
        reason: String,
    },

    /// Bytes that are not the JSON that was expected.
    #[error(transparent)]
    Json(#[from] serde_json::Error),

    /// An operation on tensors that failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
