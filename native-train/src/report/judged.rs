//! Rows with what models say of them, as the parts of the report take them: rows that a run has held out, or those of a file.

use shared::LabelSet;

use crate::evaluation::Decisions;
use crate::grid::{Probabilities, Targets};
use crate::scored_rows::ScoredRows;

/// The rows of a report; each field has one entry for each.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    pub labels: &'a LabelSet,
    pub ids: &'a [String],
    pub texts: &'a [String],
    pub targets: &'a Targets,
    pub probabilities: &'a Probabilities,
    /// The decisions by thresholds that were not tuned on the row.
    pub decisions: &'a Decisions,
}

impl<'a> Judged<'a> {
    /// Rows that a run has held out.
    pub fn held_out(scored: &'a ScoredRows, decisions: &'a Decisions) -> Self {
        let ScoredRows { labels, ids, texts, targets, probabilities, .. } = scored;
        Self { labels, ids, texts, targets, probabilities, decisions }
    }
}
