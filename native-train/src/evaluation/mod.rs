//! Makes figures of probabilities: decisions, scores, thresholds, and the report of a run.
//!
//! Values in, values out: `run` writes them to disk, `commands` prints them.

pub mod agreement;
pub mod audit;
pub mod calibration;
pub mod columns;
pub mod comparison;
pub mod curves;
mod decisions;
pub mod metrics;
pub mod report;
pub mod resampling;
pub mod suspects;
pub mod table;
pub mod threshold_search;
pub mod unseen;

pub use decisions::{Decisions, HALF, decide, decide_at_half};
pub use metrics::{Score, Scores};
