//! Makes figures of probabilities: decisions, scores, thresholds, and the report of a run.
//!
//! Values in, values out: `run` writes them to disk, `commands` prints them.

mod decisions;
pub mod metrics;
pub mod report;
pub mod table;
pub mod threshold_search;

pub use decisions::{Decisions, HALF, decide};
pub use metrics::{Score, Scores};
