//! The comparison of two runs on the same rows: what differs, and whether it may be chance.
//!
//! The rows are the same for both, so their differences are much surer than the two scores: texts that are hard for one are
//! hard for the other. Chance here is that of the texts. Another training of the same settings with another seed would
//! differ too, which two runs cannot tell.

use serde::Serialize;
use shared::LabelSet;
use shared::words::counted;

use super::decisions::Decisions;
use super::metrics::Counts;
use super::resampling::{GroupedCounts, Interval};
use crate::data::Groups;
use crate::grid::{Probabilities, Targets};

/// Above this p-value, a difference is taken for chance.
const SIGNIFICANCE: f64 = 0.05;

/// The least p-value that is shown as a number.
const LEAST_SHOWN: f64 = 0.001;

/// What one of two runs says of the rows.
pub struct Answers<'a> {
    pub probabilities: &'a Probabilities,
    pub decisions: &'a Decisions,
}

/// What two runs say of the same rows. Differences are B's score minus A's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub rows: usize,
    /// The groups of equal texts among them.
    pub distinct_texts: usize,
    pub macro_f1: Difference,
    pub per_label: Vec<LabelDifference>,
    pub moved: Moved,
}

/// The F1 of both runs, and their difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    pub a: f64,
    pub b: f64,
    pub difference: f64,
    /// The 95% interval of the difference.
    pub interval: Interval,
    /// The probability of a difference at least as large if neither were better; of labels, corrected for their number.
    pub p: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelDifference {
    pub label: String,
    #[serde(flatten)]
    pub f1: Difference,
}

/// The rows by the number of labels that are decided rightly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// More by B than by A.
    pub better: usize,
    /// Fewer by B than by A.
    pub worse: usize,
    /// As many by both, but others.
    pub changed: usize,
    /// The same labels by both.
    pub same: usize,
}

impl Comparison {
    /// Compares two runs.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(
        labels: &LabelSet,
        groups: &Groups,
        targets: &Targets,
        a: &Answers<'_>,
        b: &Answers<'_>,
    ) -> Self {
        let count = labels.len();
        let counts = GroupedCounts::new(groups, targets, &[a.decisions, b.decisions]);
        let f1_of = |counts: &[Counts]| counts.iter().map(Counts::f1).collect::<Vec<f64>>();
        // A's and B's F1 of each label, then their differences; the macro averages first.
        let with_macro = |f1: &[f64]| -> Vec<f64> {
            let mean = f1.iter().sum::<f64>() / count as f64;
            std::iter::once(mean).chain(f1.iter().copied()).collect()
        };
        let differences = |sums: &[Counts]| -> Vec<f64> {
            let f1 = f1_of(sums);
            let (a, b) = f1.split_at(count);
            let pairs = with_macro(a).into_iter().zip(with_macro(b));
            pairs.map(|(a, b)| b - a).collect()
        };
        let scores = f1_of(&counts.total());
        let (of_a, of_b) = scores.split_at(count);
        let (of_a, of_b) = (with_macro(of_a), with_macro(of_b));
        let intervals = counts.intervals(differences);
        let p = corrected(counts.p_values(differences));
        let at = |place: usize| Difference {
            a: of_a[place],
            b: of_b[place],
            difference: intervals[place].0,
            interval: intervals[place].1,
            p: p[place],
        };
        let per_label = labels.names().iter().enumerate();
        Self {
            rows: targets.len(),
            distinct_texts: groups.count(),
            macro_f1: at(0),
            per_label: per_label
                .map(|(label, name)| LabelDifference { label: name.clone(), f1: at(1 + label) })
                .collect(),
            moved: Moved::new(targets, a.decisions, b.decisions),
        }
    }

    /// What may be concluded, in a sentence.
    pub fn conclusion(&self, a: &str, b: &str) -> String {
        let Difference { difference, interval: Interval { low, high }, p, .. } = self.macro_f1;
        let texts = counted(self.distinct_texts, "distinct text");
        let is = if p < LEAST_SHOWN { "" } else { "= " };
        let range = format!("95% interval {low:+.4} to {high:+.4}, p {is}{}", shown_p(p));
        if self.moved.same == self.rows {
            return format!("{a} and {b} decide the same on all {texts}.");
        }
        if p > SIGNIFICANCE || (low <= 0.0 && high >= 0.0) {
            return format!(
                "These {texts} do not tell which of {a} and {b} is better: the difference of {difference:+.4} may be \
                 chance ({range})."
            );
        }
        let (better, worse) = if difference > 0.0 { (b, a) } else { (a, b) };
        format!(
            "{better} is better than {worse} on texts like these {}: by {:.4} of macro-F1 ({range}).",
            self.distinct_texts,
            difference.abs()
        )
    }
}

/// A p-value as it is printed: those that no exchange has reached are below the least.
pub fn shown_p(p: f64) -> String {
    if p < LEAST_SHOWN { format!("below {LEAST_SHOWN}") } else { format!("{p:.3}") }
}

/// The p-values of the labels, which follow the first, corrected for their number by Holm's method: S. Holm, "A Simple
/// Sequentially Rejective Multiple Test Procedure" (1979). Of many labels some differ by chance.
fn corrected(mut p: Vec<f64>) -> Vec<f64> {
    let labels = &mut p[1..];
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&one, &other| labels[one].total_cmp(&labels[other]));
    let mut least: f64 = 0.0;
    for (place, &label) in order.iter().enumerate() {
        let factor = (order.len() - place) as f64;
        least = least.max((labels[label] * factor).min(1.0));
        labels[label] = least;
    }
    p
}

impl Moved {
    fn new(targets: &Targets, a: &Decisions, b: &Decisions) -> Self {
        let mut moved = Self::default();
        for row in 0..targets.len() {
            let right = |decisions: &Decisions| {
                let pairs = targets.row(row).iter().zip(decisions.row(row));
                pairs.filter(|&(&target, &decided)| (target == 1) == decided).count()
            };
            let place = match right(b).cmp(&right(a)) {
                std::cmp::Ordering::Greater => &mut moved.better,
                std::cmp::Ordering::Less => &mut moved.worse,
                std::cmp::Ordering::Equal if a.row(row) != b.row(row) => &mut moved.changed,
                std::cmp::Ordering::Equal => &mut moved.same,
            };
            *place += 1;
        }
        moved
    }
}

/// A label of a row that the two runs see differently.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    pub row: usize,
    pub label: usize,
    pub is_on: bool,
    pub a: f32,
    pub b: f32,
}

impl Move {
    /// Whether B is nearer to the truth.
    pub fn is_better(&self) -> bool {
        (self.b > self.a) == self.is_on
    }
}

/// The label of each row whose probability differs most between the runs, for the `most` rows where it does so most; of equal
/// texts the first.
pub fn largest_moves(
    groups: &Groups,
    targets: &Targets,
    a: &Probabilities,
    b: &Probabilities,
    most: usize,
) -> Vec<Move> {
    let mut moves: Vec<Move> = groups
        .rows()
        .iter()
        .map(|rows| {
            let row = rows[0];
            let size = |&label: &usize| (a.row(row)[label] - b.row(row)[label]).abs();
            let label =
                (0..targets.columns()).max_by(|one, other| size(one).total_cmp(&size(other)));
            let label = label.expect("at least one label");
            let (a, b) = (a.row(row)[label], b.row(row)[label]);
            Move { row, label, is_on: targets.row(row)[label] == 1, a, b }
        })
        .collect();
    let size = |moved: &Move| (moved.a - moved.b).abs();
    moves.sort_by(|one, other| size(other).total_cmp(&size(one)).then(one.row.cmp(&other.row)));
    moves.truncate(most);
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;

    fn labels() -> LabelSet {
        LabelSet::new(vec!["joy".into(), "fear".into()]).unwrap()
    }

    /// A hundred texts, of which A decides every `a`-th joy wrongly and B every `b`-th.
    fn compared(a: usize, b: usize) -> Comparison {
        let targets = Targets::new(2, (0..100).flat_map(|row| [row % 2, 1]).collect());
        let texts: Vec<String> = (0..100).map(|row| row.to_string()).collect();
        let of = |every: usize| {
            let cells = (0..100usize).flat_map(|row| [(row % 2 == 1) != (row % every == 0), true]);
            let decisions: Decisions = Grid::new(2, cells.collect());
            let probabilities = decisions.rows().flatten().map(|&on| if on { 0.9 } else { 0.1 });
            (Probabilities::new(2, probabilities.collect()), decisions)
        };
        let (a, b) = (of(a), of(b));
        let [a, b] =
            [&a, &b].map(|(probabilities, decisions)| Answers { probabilities, decisions });
        Comparison::new(&labels(), &Groups::of_equal(&texts), &targets, &a, &b)
    }

    #[test]
    fn a_difference_is_told_from_none() {
        let clear = compared(3, 200);
        assert!(clear.macro_f1.interval.low > 0.0 && clear.macro_f1.p < 0.01);
        assert_eq!(clear.moved, Moved { better: 33, worse: 0, changed: 0, same: 67 });
        assert!(
            clear.conclusion("a", "b").starts_with("b is better than a on texts like these 100")
        );
        let other_way = compared(200, 3);
        assert!(other_way.conclusion("a", "b").starts_with("a is better than b"));

        let chance = compared(9, 10);
        assert!(chance.macro_f1.p > 0.3, "{}", chance.macro_f1.p);
        assert!(chance.conclusion("a", "b").contains("do not tell which"));
        assert!(compared(9, 9).conclusion("a", "b").contains("decide the same on all 100"));
        // Fear is decided alike.
        assert_eq!((clear.per_label[1].f1.difference, clear.per_label[1].f1.p), (0.0, 1.0));
    }

    /// Sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1, and none less than the one before.
    #[test]
    fn p_values_of_labels_are_corrected_for_their_number() {
        let p = corrected(vec![0.01, 0.01, 0.04, 0.03, 0.005]);
        let expected = [0.01, 0.03, 0.06, 0.06, 0.02];
        assert!(
            p.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-12),
            "{p:?}"
        );
    }

    #[test]
    fn the_largest_moves_come_first_and_equal_texts_once() {
        let texts = ["x", "y", "X", "z"].map(str::to_owned);
        let targets = Targets::new(2, vec![1, 0, 0, 1, 1, 0, 0, 0]);
        let a = Probabilities::new(2, vec![0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
        let b = Probabilities::new(2, vec![0.9, 0.5, 0.6, 0.2, 0.9, 0.5, 0.5, 0.5]);
        let moves = largest_moves(&Groups::of_equal(&texts), &targets, &a, &b, 2);
        assert_eq!(
            moves.iter().map(|one| (one.row, one.label)).collect::<Vec<_>>(),
            [(0, 0), (1, 1)]
        );
        assert_eq!(moves.iter().map(Move::is_better).collect::<Vec<_>>(), [true, false]);
    }
}
