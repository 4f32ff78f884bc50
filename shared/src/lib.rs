#![cfg_attr(feature = "tokenizers", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tokenizers"),
    doc = "The one DeBERTa-v3 that training and the browser both run."
)]
#![warn(missing_docs)]

pub mod autograd;
pub mod batch;
pub mod bundle;
pub mod csv;
pub mod ensemble;
pub mod error;
pub mod kernels;
pub mod labels;
pub mod model;
pub mod nn;
pub mod quant;
pub mod thresholds;
pub mod tokenizer;
pub mod words;

/// candle's types in this crate's functions.
pub use candle_core::{DType, Device, Tensor};
pub use error::{Error, Result};
pub use labels::LabelSet;
pub use thresholds::Thresholds;
