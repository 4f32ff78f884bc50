//! Precision, recall and F1 of multi-label decisions, as scikit-learn defines them.
//!
//! Each is a ratio of counts, and 0 where the denominator is 0 (`zero_division=0`), so a label without
//! positives and without decisions counts as 0 in the macro average. F1 is computed from the counts, as
//! 2 tp / (actual + decided), and not from precision and recall, so that equal ratios are equal floats
//! and ties in a threshold search are ties.
//! <https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-f-measure-metrics>

use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

use super::decisions::{Decisions, decide_at_half};
use crate::grid::{Probabilities, Targets};

/// Precision, recall and F1 of one label, or an average of several.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    /// The number of rows where the label is on.
    pub support: u64,
}

/// The scores of every label and their two averages.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The mean over labels, each weighing the same; its support is the labels' sum.
    pub macro_average: Score,
    /// The score of the summed counts of all labels.
    pub micro_average: Score,
    /// The scores of single labels, in the order of the label set.
    pub per_label: Vec<Score>,
}

/// The counts that scores are computed from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows where the label is on and was decided to be on.
    pub true_positives: u64,
    /// Rows where the label was decided to be on.
    pub decided: u64,
    /// Rows where the label is on.
    pub actual: u64,
}

impl Scores {
    /// The scores of `decisions`.
    ///
    /// # Panics
    /// If `targets` has another shape.
    pub fn new(targets: &Targets, decisions: &Decisions) -> Self {
        let counts = count(targets, decisions);
        let per_label: Vec<Score> = counts.iter().map(Counts::score).collect();
        let micro_average = counts.iter().copied().sum::<Counts>().score();
        Self { macro_average: mean(&per_label), micro_average, per_label }
    }

    /// The scores of decisions at the threshold 0.5 for every label.
    pub fn at_half(targets: &Targets, probabilities: &Probabilities) -> Self {
        Self::new(targets, &decide_at_half(probabilities))
    }

    /// The macro average of F1.
    pub fn macro_f1(&self) -> f64 {
        self.macro_average.f1
    }
}

impl Counts {
    /// The counts of one row.
    pub fn of_cell(is_on: bool, is_decided: bool) -> Self {
        Self {
            true_positives: u64::from(is_on && is_decided),
            decided: u64::from(is_decided),
            actual: u64::from(is_on),
        }
    }

    /// The counts of `times` as many rows of the same kind.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            true_positives: self.true_positives * times,
            decided: self.decided * times,
            actual: self.actual * times,
        }
    }

    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.decided)
    }

    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.actual)
    }

    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positives, self.actual + self.decided)
    }

    fn score(&self) -> Score {
        Score {
            precision: self.precision(),
            recall: self.recall(),
            f1: self.f1(),
            support: self.actual,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.true_positives += other.true_positives;
        self.decided += other.decided;
        self.actual += other.actual;
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.true_positives -= other.true_positives;
        self.decided -= other.decided;
        self.actual -= other.actual;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        let mut sum = Self::default();
        counts.for_each(|next| sum += next);
        sum
    }
}

fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

/// The counts of each label.
fn count(targets: &Targets, decisions: &Decisions) -> Vec<Counts> {
    assert_eq!(
        (targets.len(), targets.columns()),
        (decisions.len(), decisions.columns()),
        "targets and decisions of one shape"
    );
    let mut counts = vec![Counts::default(); targets.columns()];
    for (targets, decisions) in targets.rows().zip(decisions.rows()) {
        for ((label, &target), &decided) in counts.iter_mut().zip(targets).zip(decisions) {
            *label += Counts::of_cell(target == 1, decided);
        }
    }
    counts
}

fn mean(scores: &[Score]) -> Score {
    let mean_of =
        |part: fn(&Score) -> f64| scores.iter().map(part).sum::<f64>() / scores.len() as f64;
    Score {
        precision: mean_of(|score| score.precision),
        recall: mean_of(|score| score.recall),
        f1: mean_of(|score| score.f1),
        support: scores.iter().map(|score| score.support).sum(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grid::Grid;

    fn decisions(columns: usize, values: &[u8]) -> Decisions {
        Grid::new(columns, values.iter().map(|&value| value == 1).collect())
    }

    /// Made with scikit-learn 1.9.1, numpy 2.4.6: `y`, `d` the two tables below as integer arrays,
    /// `precision_recall_fscore_support(y, d, average=A, zero_division=0)` for A = None, "macro",
    /// "micro". The labels: an ordinary one, one decided wrongly more often, one never on, one
    /// never decided, one neither on nor decided.
    #[test]
    fn equals_scikit_learn_on_a_worked_table() {
        #[rustfmt::skip]
        let y = Targets::new(5, vec![
            1, 0, 0, 1, 0,
            0, 1, 0, 0, 0,
            1, 1, 0, 0, 0,
            0, 0, 0, 1, 0,
            1, 0, 0, 0, 0,
            0, 1, 0, 1, 0,
            1, 1, 0, 1, 0,
        ]);
        #[rustfmt::skip]
        let d = decisions(5, &[
            1, 0, 0, 0, 0,
            1, 1, 1, 0, 0,
            0, 1, 0, 0, 0,
            0, 0, 0, 0, 0,
            1, 1, 0, 0, 0,
            0, 0, 1, 0, 0,
            1, 0, 0, 0, 0,
        ]);
        let scores = Scores::new(&y, &d);
        let of = |precision, recall, f1, support| Score { precision, recall, f1, support };
        // Single divisions of whole numbers: the same to the bit.
        assert_eq!(
            scores.per_label,
            [
                of(0.75, 0.75, 0.75, 4),
                of(0.6666666666666666, 0.5, 0.5714285714285714, 4),
                of(0.0, 0.0, 0.0, 0),
                of(0.0, 0.0, 0.0, 4),
                of(0.0, 0.0, 0.0, 0),
            ]
        );
        assert_eq!(
            scores.micro_average,
            of(0.5555555555555556, 0.4166666666666667, 0.47619047619047616, 12)
        );
        // A mean of five: summing in another order may move the last bit.
        let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 1e-15;
        assert!(close(scores.macro_average.precision, 0.2833333333333333));
        assert!(close(scores.macro_average.recall, 0.25));
        assert!(close(scores.macro_f1(), 0.2642857142857143));
        assert_eq!(scores.macro_average.support, 12);
    }

    /// Targets and decisions of one shape, with up to 40 rows.
    fn tables() -> impl Strategy<Value = (Targets, Decisions)> {
        (1..6usize, 1..40usize).prop_flat_map(|(columns, rows)| {
            let targets = proptest::collection::vec(0..2u8, rows * columns);
            let decided = proptest::collection::vec(any::<bool>(), rows * columns);
            (targets, decided).prop_map(move |(targets, decided)| {
                (Grid::new(columns, targets), Grid::new(columns, decided))
            })
        })
    }

    fn flat<T: Copy>(grid: &Grid<T>) -> Grid<T> {
        Grid::new(1, grid.rows().flatten().copied().collect())
    }

    proptest! {
        #[test]
        fn the_micro_average_is_the_score_of_the_pooled_cells((targets, decided) in tables()) {
            let pooled = Scores::new(&flat(&targets), &flat(&decided));
            prop_assert_eq!(Scores::new(&targets, &decided).micro_average, pooled.per_label[0]);
        }

        #[test]
        fn swapping_targets_and_decisions_swaps_precision_and_recall((targets, decided) in tables()) {
            let swapped_targets =
                Grid::new(1, flat(&decided).column(0).map(u8::from).collect());
            let swapped_decisions =
                Grid::new(1, flat(&targets).column(0).map(|target| target == 1).collect());
            let there = Scores::new(&flat(&targets), &flat(&decided)).per_label[0];
            let back = Scores::new(&swapped_targets, &swapped_decisions).per_label[0];
            prop_assert_eq!((there.precision, there.recall), (back.recall, back.precision));
            prop_assert_eq!(there.f1, back.f1);
        }

        #[test]
        fn f1_is_the_harmonic_mean((targets, decided) in tables()) {
            for score in Scores::new(&targets, &decided).per_label {
                let sum = score.precision + score.recall;
                let harmonic =
                    if sum == 0.0 { 0.0 } else { 2.0 * score.precision * score.recall / sum };
                // Four roundings against one.
                prop_assert!((score.f1 - harmonic).abs() <= 1e-15);
            }
        }
    }
}
