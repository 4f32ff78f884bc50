//! The scores that a bundle tells of its run: cross-validated, with their intervals, and how far probabilities can be believed.

use shared::bundle::{Interval, LabelScores, ReliabilityBin, Scores};

use crate::evaluation::calibration::{reliability, with_enough};
use crate::evaluation::report::Summary;
use crate::evaluation::resampling;
use crate::scored_rows::ScoredRows;

/// The scores of a run that has scored these rows.
pub fn scores(summary: &Summary, scored: &ScoredRows) -> Scores {
    let all = &summary.cross_validation;
    let per_label = summary.per_label.iter().enumerate().map(|(place, label)| LabelScores {
        label: label.label.clone(),
        support: label.support,
        f1_at_half: label.f1_at_half,
        f1_tuned: label.f1_tuned,
        f1_cross_fitted: label.f1_cross_fitted,
        interval: label.interval.map(interval),
        reliability: table(scored, place),
    });
    let intervals = all.intervals.map(|of| of.cross_fitted.unwrap_or(of.at_half));
    Scores {
        rows: all.rows,
        split: summary.split.clone(),
        repeated_rows: summary.duplicates.normalized.twin_in_another_fold.rows,
        macro_f1_at_half: all.macro_f1_at_half,
        macro_f1_tuned: all.macro_f1_tuned,
        macro_f1_cross_fitted: all.macro_f1_cross_fitted,
        macro_f1_interval: intervals.map(interval),
        per_label: per_label.collect(),
    }
}

fn interval(resampling::Interval { low, high }: resampling::Interval) -> Interval {
    Interval { low, high }
}

/// The reliability table of the label at `place`.
fn table(scored: &ScoredRows, place: usize) -> Vec<ReliabilityBin> {
    let bins = reliability(&scored.targets, &scored.probabilities, Some(place));
    let bins = with_enough(&bins).into_iter().map(|bin| ReliabilityBin {
        below: bin.high,
        texts: bin.count as u64,
        with_label: bin.positives as u64,
    });
    bins.collect()
}
