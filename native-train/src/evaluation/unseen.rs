//! The scores of a run's ensemble on a labelled file, at 0.5 and at the run's thresholds, with their intervals.

use shared::Thresholds;

use super::decisions::{decide, decide_at_half};
use super::metrics::{Counts, Score, Scores};
use super::resampling::{GroupedCounts, Interval};
use crate::data::Groups;
use crate::grid::{Probabilities, Targets};

/// A macro-F1 and its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MacroF1 {
    pub value: f64,
    pub interval: Interval,
}

/// The scores of some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct UnseenScores {
    pub at_half: MacroF1,
    pub at_thresholds: MacroF1,
    pub per_label: Vec<LabelScore>,
}

/// The scores of a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelScore {
    pub f1_at_half: f64,
    pub at_threshold: Score,
    /// The interval of the F1 at the threshold.
    pub interval: Interval,
}

impl UnseenScores {
    /// Scores rows, of which `groups` have equal texts. The thresholds were tuned on others.
    pub fn new(
        groups: &Groups,
        targets: &Targets,
        probabilities: &Probabilities,
        thresholds: &Thresholds,
    ) -> Self {
        let decided = [decide_at_half(probabilities), decide(probabilities, thresholds)];
        let [half, tuned] = [&decided[0], &decided[1]].map(|decided| Scores::new(targets, decided));
        let labels = targets.columns();
        let counts = GroupedCounts::new(groups, targets, &[&decided[0], &decided[1]]);
        let found = counts.intervals(|sums| {
            let mean = |sums: &[Counts]| sums.iter().map(Counts::f1).sum::<f64>() / labels as f64;
            sums.chunks(labels).map(mean).chain(sums[labels..].iter().map(Counts::f1)).collect()
        });
        let macro_f1 = |place: usize| MacroF1 { value: found[place].0, interval: found[place].1 };
        let per_label = half.per_label.iter().zip(&tuned.per_label).zip(&found[2..]);
        Self {
            at_half: macro_f1(0),
            at_thresholds: macro_f1(1),
            per_label: per_label
                .map(|((half, &at_threshold), &(_, interval))| LabelScore {
                    f1_at_half: half.f1,
                    at_threshold,
                    interval,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_decisions_with_an_interval_each() {
        let targets = Targets::new(2, [1, 0, 0, 1, 1, 1, 0, 0].repeat(10));
        let row = [0.9, 0.2, 0.1, 0.3, 0.4, 0.7, 0.2, 0.4];
        let probabilities = Probabilities::new(2, row.repeat(10));
        let thresholds = Thresholds::new(vec![0.35, 0.25], 2).unwrap();
        let found = UnseenScores::new(&Groups::single(40), &targets, &probabilities, &thresholds);
        // At 0.5 one of two is found of either label. At the thresholds both are, and of the second one too many.
        assert!((found.at_half.value - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.at_thresholds.value, f64::midpoint(1.0, 0.8));
        let f1: Vec<f64> = found.per_label.iter().map(|label| label.at_threshold.f1).collect();
        assert_eq!(f1, [1.0, 0.8]);
        assert_eq!(found.per_label[1].f1_at_half, 2.0 / 3.0);
        assert_eq!(found.per_label[0].interval, Interval { low: 1.0, high: 1.0 });
        for (value, Interval { low, high }) in [
            (found.at_half.value, found.at_half.interval),
            (found.at_thresholds.value, found.at_thresholds.interval),
            (0.8, found.per_label[1].interval),
        ] {
            assert!(low < value && value < high, "{low} to {high} around {value}");
        }
    }
}
