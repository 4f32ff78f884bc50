//! DeBERTa-v3 as a multi-label classifier.

pub mod config;

pub use config::DebertaConfig;
