//! From probabilities to figures: decisions, scores, thresholds, and the report of a run.
//!
//! Pure values in and out; `run` writes them to disk, `commands` prints them.

pub mod metrics;
pub mod report;
pub mod table;
pub mod threshold_search;

use shared::Thresholds;

use crate::grid::{Grid, Probabilities, Targets};

pub use metrics::{Score, Scores};

/// Which labels were decided to be on. Not of the type of [`Targets`], so that precision and
/// recall cannot be swapped by swapping two arguments.
pub type Decisions = Grid<bool>;

/// Where a probability turns into a label when nothing was tuned.
pub const HALF: f64 = 0.5;

/// A label is on where its probability reaches its threshold.
pub fn decide(probabilities: &Probabilities, thresholds: &Thresholds) -> Decisions {
    let decided = probabilities.rows().flat_map(|row| thresholds.apply(row)).collect();
    Grid::new(probabilities.columns(), decided)
}

/// Scores with 0.5 as every label's threshold.
pub fn score_at_half(targets: &Targets, probabilities: &Probabilities) -> Scores {
    let half = Thresholds::uniform(HALF, probabilities.columns()).expect("0.5 is a probability");
    Scores::new(targets, &decide(probabilities, &half))
}
