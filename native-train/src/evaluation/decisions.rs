//! Decisions: which labels a text has, given its probabilities.

use shared::Thresholds;

use crate::grid::{Grid, Probabilities};

/// Whether each label of each text was decided to be on. Not of the type of
/// [`Targets`](crate::grid::Targets), so that swapped arguments do not swap precision and recall.
pub type Decisions = Grid<bool>;

/// The threshold of a label that was not tuned.
pub const HALF: f64 = 0.5;

/// Decides that a label is on where its probability reaches its threshold.
pub fn decide(probabilities: &Probabilities, thresholds: &Thresholds) -> Decisions {
    let decided = probabilities.rows().flat_map(|row| thresholds.apply(row)).collect();
    Grid::new(probabilities.columns(), decided)
}

/// Decides at the threshold 0.5 for every label.
pub fn decide_at_half(probabilities: &Probabilities) -> Decisions {
    let half = Thresholds::uniform(HALF, probabilities.columns()).expect("a probability");
    decide(probabilities, &half)
}
