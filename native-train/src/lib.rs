//! The native part of Quintet: fine-tunes a k-fold DeBERTa-v3 ensemble and uses it.

pub mod cli;
pub mod commands;
pub mod config;
pub mod cross_validation;
pub mod data;
pub mod device;
pub mod digest;
pub mod error;
pub mod evaluation;
pub mod export;
pub mod format;
pub mod grid;
mod guard;
pub mod inference;
pub mod length_batches;
pub mod memory;
pub mod parallel_folds;
pub mod pretrained;
pub mod progress;
pub mod report;
pub mod run;
pub mod scored_rows;
pub mod shell;
pub mod shrink;
pub mod threads;
pub mod training;
pub mod trust;
