//! Quintet's common ground: the one DeBERTa-v3 that training and the browser both run.
//!
//! Bytes in, values out: nothing here opens a file or a socket.
//!
//! ```text
//! text -> tokenizer::Tokenizer -> Encoding -> batch::Batch -> model::Classifier -> logits
//!      -> sigmoid -> ensemble (mean over folds) -> Thresholds -> labels
//! ```

pub mod autograd;
pub mod batch;
pub mod bundle;
pub mod ensemble;
pub mod error;
pub mod kernels;
pub mod labels;
pub mod model;
pub mod nn;
pub mod thresholds;
pub mod tokenizer;

pub use error::{Error, Result};
pub use labels::LabelSet;
pub use thresholds::Thresholds;
