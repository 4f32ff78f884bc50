//! The search for a threshold for each label, as in the reference job, and an honest way to score it.
//!
//! An ordinary label gets the threshold of the reference job: the first of 17 candidates with the best F1. Two
//! kinds of labels get another, as none of the candidates says anything about them:
//!
//! - one that no row has: every candidate scores 0, and the first would switch the label on at the slightest
//!   chance. Its threshold is one that no row reaches, [`NEVER`] or 1.
//! - one whose rows all lie so low that deciding "on" everywhere beats every candidate: it gets the best
//!   threshold between its own probabilities, the highest of equal ones.
//!
//! So no threshold scores less, on the rows that it is tuned on, than 0.5 or "on" everywhere would. Every
//! threshold comes with its [`Basis`], because one that rests on a few rows means little.
//!
//! The score of a threshold on the rows that it was tuned on is optimistic. [`cross_fitted`] decides
//! each fold's rows with thresholds that were tuned on the other folds' rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::Thresholds;

use super::decisions::{Decisions, HALF};
use super::metrics::Counts;
use crate::grid::{Grid, Probabilities, Targets};

const CANDIDATES: usize = 17;

/// The threshold of a label that no row has; 1 where a row reaches even that.
pub const NEVER: f64 = 0.9;

/// Rows with a label below which its threshold is called uncertain.
pub const FEW_POSITIVES: u64 = 8;

/// The basis of a threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The best of the candidates on [`FEW_POSITIVES`] rows with the label, or more.
    #[default]
    Tuned,
    /// The same on fewer rows with the label: another few would give another threshold.
    FewPositives,
    /// The label's own probabilities, as no candidate does better than "on" everywhere.
    BelowCandidates,
    /// Nothing: no row has the label.
    NoPositives,
}

/// Thresholds, and what each rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    pub thresholds: Thresholds,
    pub bases: Vec<Basis>,
}

/// The threshold of each label that is best on these rows.
pub fn tune(targets: &Targets, probabilities: &Probabilities) -> Tuned {
    tune_on(targets, probabilities, |_| true)
}

/// The decisions for every row with thresholds tuned on the rows of the other folds.
///
/// `fold_of` is the fold of each row. `None` if all rows are of one fold, as there are no others to tune
/// on.
pub fn cross_fitted(
    targets: &Targets,
    probabilities: &Probabilities,
    fold_of: &[usize],
) -> Option<Decisions> {
    assert_eq!(fold_of.len(), probabilities.len(), "a fold for each row");
    let tuned_without = tuned_without_each(targets, probabilities, fold_of)?;
    let decided = probabilities
        .rows()
        .zip(fold_of)
        .flat_map(|(row, fold)| tuned_without[fold].apply(row))
        .collect();
    Some(Grid::new(probabilities.columns(), decided))
}

/// The thresholds that are tuned on the rows of all folds but one, by that one. `None` if all rows are of one fold.
pub fn tuned_without_each(
    targets: &Targets,
    probabilities: &Probabilities,
    fold_of: &[usize],
) -> Option<BTreeMap<usize, Thresholds>> {
    let folds: BTreeSet<usize> = fold_of.iter().copied().collect();
    let without =
        |fold: usize| tune_on(targets, probabilities, |row| fold_of[row] != fold).thresholds;
    (folds.len() > 1).then(|| folds.into_iter().map(|fold| (fold, without(fold))).collect())
}

/// `numpy.linspace(0.1, 0.9, 17)`, to the bit.
pub fn candidates() -> [f64; CANDIDATES] {
    let (start, stop) = (0.1, 0.9);
    let step = (stop - start) / (CANDIDATES - 1) as f64;
    let mut candidates = std::array::from_fn(|i| start + i as f64 * step);
    candidates[CANDIDATES - 1] = stop;
    candidates
}

fn tune_on(
    targets: &Targets,
    probabilities: &Probabilities,
    is_used: impl Fn(usize) -> bool,
) -> Tuned {
    assert_eq!(targets.len(), probabilities.len(), "targets and probabilities of one shape");
    let candidates = candidates();
    let rows: Vec<usize> = (0..probabilities.len()).filter(|&row| is_used(row)).collect();
    let mut counts = vec![[Counts::default(); CANDIDATES]; probabilities.columns()];
    for &row in &rows {
        let values = targets.row(row).iter().zip(probabilities.row(row));
        for (label, (&target, &probability)) in counts.iter_mut().zip(values) {
            add(label, &candidates, target, probability);
        }
    }
    let (thresholds, bases) = counts
        .iter()
        .enumerate()
        .map(|(label, counts)| {
            let column = || -> Vec<(f32, u8)> {
                let cell = |&row: &usize| (probabilities.row(row)[label], targets.row(row)[label]);
                rows.iter().map(cell).collect()
            };
            threshold(&candidates, counts, rows.len() as u64, column)
        })
        .unzip::<_, _, Vec<f64>, Vec<Basis>>();
    let thresholds = Thresholds::new(thresholds, probabilities.columns());
    Tuned { thresholds: thresholds.expect("all are probabilities"), bases }
}

/// A label's threshold; `column` gives its probabilities and targets.
fn threshold(
    candidates: &[f64; CANDIDATES],
    counts: &[Counts; CANDIDATES],
    rows: u64,
    column: impl Fn() -> Vec<(f32, u8)>,
) -> (f64, Basis) {
    let actual = counts[0].actual;
    if actual == 0 {
        let is_reached = column().iter().any(|&(probability, _)| f64::from(probability) >= NEVER);
        return (if is_reached { 1.0 } else { NEVER }, Basis::NoPositives);
    }
    let (best, f1) = first_best(candidates, counts);
    let everywhere = Counts { true_positives: actual, decided: rows, actual };
    if f1 < everywhere.f1() {
        return (best_cut(column(), actual), Basis::BelowCandidates);
    }
    (best, if actual < FEW_POSITIVES { Basis::FewPositives } else { Basis::Tuned })
}

/// The threshold between two neighbouring probabilities that has the best F1, the highest of equal ones.
fn best_cut(mut column: Vec<(f32, u8)>, actual: u64) -> f64 {
    column.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut best, mut best_f1) = (NEVER, -1.0);
    let mut counts = Counts { actual, ..Counts::default() };
    for (position, &(probability, target)) in column.iter().enumerate() {
        counts.decided += 1;
        counts.true_positives += u64::from(target == 1);
        let next = column.get(position + 1).map_or(0.0, |next| next.0);
        // Equal probabilities are decided alike.
        let is_last_of_equals = position + 1 == column.len() || next < probability;
        if is_last_of_equals && counts.f1() > best_f1 {
            best = f64::midpoint(f64::from(probability), f64::from(next));
            best_f1 = counts.f1();
        }
    }
    best
}

/// Adds a row to the counts of every candidate. The comparison is in f64, as NumPy's of an f32 array
/// and an f64 scalar.
fn add(
    counts: &mut [Counts; CANDIDATES],
    candidates: &[f64; CANDIDATES],
    target: u8,
    probability: f32,
) {
    for (counts, &threshold) in counts.iter_mut().zip(candidates) {
        let decided = f64::from(probability) >= threshold;
        counts.true_positives += u64::from(target == 1 && decided);
        counts.decided += u64::from(decided);
        counts.actual += u64::from(target);
    }
}

fn first_best(candidates: &[f64; CANDIDATES], counts: &[Counts; CANDIDATES]) -> (f64, f64) {
    let (mut best_threshold, mut best_f1) = (HALF, -1.0);
    for (&threshold, counts) in candidates.iter().zip(counts) {
        let f1 = counts.f1();
        if f1 > best_f1 {
            (best_threshold, best_f1) = (threshold, f1);
        }
    }
    (best_threshold, best_f1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evaluation::{Scores, decide};

    /// `[float(t) for t in numpy.linspace(0.1, 0.9, 17)]`, numpy 2.4.6, as Python prints them.
    const LINSPACE: [f64; 17] = [
        0.1,
        0.15000000000000002,
        0.2,
        0.25,
        0.30000000000000004,
        0.35,
        0.4,
        0.45000000000000007,
        0.5,
        0.55,
        0.6,
        0.65,
        0.7000000000000001,
        0.75,
        0.8,
        0.85,
        0.9,
    ];

    #[test]
    fn candidates_are_numpys_to_the_bit() {
        assert_eq!(candidates().map(f64::to_bits), LINSPACE.map(f64::to_bits));
    }

    /// Rows of (target, probability) for two labels; a third label is never on.
    #[rustfmt::skip]
    const ROWS: [[(u8, f32); 3]; 24] = [
        [(0, 0.15), (1, 0.93), (0, 0.32)], [(1, 0.45), (0, 0.39), (0, 0.60)],
        [(0, 0.57), (0, 0.35), (0, 0.47)], [(0, 0.32), (0, 0.20), (0, 0.48)],
        [(0, 0.28), (1, 0.80), (0, 0.44)], [(1, 0.91), (0, 0.11), (0, 0.45)],
        [(1, 0.91), (0, 0.58), (0, 0.06)], [(1, 0.88), (0, 0.59), (0, 0.58)],
        [(0, 0.13), (0, 0.58), (0, 0.54)], [(0, 0.50), (0, 0.31), (0, 0.18)],
        [(0, 0.49), (0, 0.56), (0, 0.20)], [(0, 0.35), (0, 0.29), (0, 0.56)],
        [(1, 0.42), (0, 0.45), (0, 0.39)], [(1, 0.42), (0, 0.45), (0, 0.06)],
        [(0, 0.47), (0, 0.33), (0, 0.56)], [(0, 0.09), (1, 0.86), (0, 0.09)],
        [(1, 0.59), (0, 0.29), (0, 0.58)], [(1, 0.71), (0, 0.19), (0, 0.18)],
        [(1, 0.89), (1, 0.52), (0, 0.12)], [(0, 0.21), (1, 0.72), (0, 0.35)],
        [(1, 0.85), (1, 0.71), (0, 0.21)], [(0, 0.28), (1, 0.85), (0, 0.39)],
        [(1, 0.93), (0, 0.25), (0, 0.35)], [(1, 0.73), (0, 0.52), (0, 0.13)],
    ];

    fn worked() -> (Targets, Probabilities, Vec<usize>) {
        let targets = ROWS.iter().flatten().map(|cell| cell.0).collect();
        let probabilities = ROWS.iter().flatten().map(|cell| cell.1).collect();
        let fold_of = (0..ROWS.len()).map(|row| row % 3).collect();
        (Grid::new(3, targets), Grid::new(3, probabilities), fold_of)
    }

    fn close(ours: f64, theirs: f64) -> bool {
        // The mean over labels may be summed in another order.
        (ours - theirs).abs() <= 1e-15
    }

    /// Made with scikit-learn 1.9.1, numpy 2.4.6 from `y`, `p` (float32) and `fold = row % 3` above:
    /// `best = 0.5, -1`, then over `numpy.linspace(0.1, 0.9, 17)` the first strictly better
    /// `f1_score(y[:, i], p[:, i] >= t, zero_division=0)`; figures by `f1_score(average="macro")`.
    #[test]
    fn equals_the_reference_search_on_a_worked_table() {
        let (targets, probabilities, fold_of) = worked();
        let Tuned { thresholds, bases } = tune(&targets, &probabilities);
        // The third label is never on, and there the reference takes its first candidate, 0.1.
        assert_eq!(thresholds.values(), [0.35, 0.6, NEVER]);
        assert_eq!(bases, [Basis::Tuned, Basis::FewPositives, Basis::NoPositives]);
        assert!(close(Scores::at_half(&targets, &probabilities).macro_f1(), 0.5064836003051106));
        let tuned = Scores::new(&targets, &decide(&probabilities, &thresholds));
        assert!(close(tuned.macro_f1(), 0.5934065934065934));

        let decided = cross_fitted(&targets, &probabilities, &fold_of).expect("three folds");
        let honest = Scores::new(&targets, &decided);
        let f1: Vec<f64> = honest.per_label.iter().map(|score| score.f1).collect();
        assert_eq!(f1, [0.75, 0.9230769230769231, 0.0]);
        assert!(close(honest.macro_f1(), 0.5576923076923077));
    }

    /// The threshold of one label and its basis.
    fn one(targets: &[u8], probabilities: &[f32]) -> (f64, Basis) {
        let (targets, probabilities) = (targets.to_vec(), probabilities.to_vec());
        let tuned = tune(&Grid::new(1, targets), &Grid::new(1, probabilities));
        (tuned.thresholds.values()[0], tuned.bases[0])
    }

    /// A short training leaves every probability near 0.5: at the reference's 0.1 the label would be on in
    /// every row.
    #[test]
    fn a_label_that_is_never_on_gets_a_threshold_that_is_not_reached() {
        assert_eq!(one(&[0, 0, 0], &[0.5, 0.48, 0.53]), (NEVER, Basis::NoPositives));
        assert_eq!(one(&[0, 0], &[0.95, 0.05]), (1.0, Basis::NoPositives));
    }

    #[test]
    fn a_label_below_every_candidate_is_parted_where_its_rows_are() {
        // Every candidate decides "off" everywhere, which the reference would call best at 0.1.
        let (threshold, basis) = one(&[1, 0, 0, 0], &[0.08, 0.02, 0.01, 0.01]);
        assert!((threshold - 0.05).abs() < 1e-6 && basis == Basis::BelowCandidates, "{threshold}");
        // The one row that is high is wrong, so a candidate finds nothing that is right.
        let (threshold, basis) = one(&[0, 1, 1, 0], &[0.7, 0.09, 0.08, 0.01]);
        assert!((threshold - 0.045).abs() < 1e-6 && basis == Basis::BelowCandidates, "{threshold}");
        // Nothing parts equal probabilities: "on" everywhere is the best there is.
        let (threshold, _) = one(&[1, 1, 1, 0], &[0.06; 4]);
        assert!((threshold - 0.03).abs() < 1e-6, "{threshold}");
    }

    #[test]
    fn a_threshold_that_rests_on_few_rows_says_so() {
        let (probabilities, few) = ([0.9; 20], FEW_POSITIVES as usize);
        let targets = |positives: usize| -> Vec<u8> {
            (0..20).map(|row| u8::from(row < positives)).collect()
        };
        assert_eq!(one(&targets(few - 1), &probabilities), (0.1, Basis::FewPositives));
        assert_eq!(one(&targets(few), &probabilities), (0.1, Basis::Tuned));
    }

    #[test]
    fn probabilities_are_compared_in_f64() {
        // 0.35f32 lies below the candidate 0.35f64, so no candidate parts it from 0.31; compared
        // in f32, 0.35 would.
        assert_eq!(one(&[1, 0, 0], &[0.35, 0.31, 0.31]).0, 0.1);
        assert_eq!(one(&[1, 0, 0], &[0.351, 0.31, 0.31]).0, 0.35);
    }

    #[test]
    fn one_fold_alone_has_nothing_to_tune_on() {
        let (targets, probabilities, _) = worked();
        assert!(cross_fitted(&targets, &probabilities, &[4; 24]).is_none());
    }

    /// Targets, probabilities (many of them exactly on a candidate) and folds of one length.
    fn tables() -> impl Strategy<Value = (Targets, Probabilities, Vec<usize>)> {
        let probability = prop_oneof![
            0.0..=1.0f32,
            (0..17usize).prop_map(|candidate| candidates()[candidate] as f32),
        ];
        (1..4usize, 1..40usize).prop_flat_map(move |(columns, rows)| {
            (
                proptest::collection::vec(0..2u8, rows * columns),
                proptest::collection::vec(probability.clone(), rows * columns),
                proptest::collection::vec(0..3usize, rows),
            )
                .prop_map(move |(targets, probabilities, fold_of)| {
                    (Grid::new(columns, targets), Grid::new(columns, probabilities), fold_of)
                })
        })
    }

    proptest! {
        #[test]
        fn tuning_never_loses_to_half_on_its_own_rows((targets, probabilities, _) in tables()) {
            let tuned = decide(&probabilities, &tune(&targets, &probabilities).thresholds);
            let half = Scores::at_half(&targets, &probabilities);
            for (tuned, half) in Scores::new(&targets, &tuned).per_label.iter().zip(half.per_label) {
                prop_assert!(tuned.f1 >= half.f1);
            }
        }

        #[test]
        fn tuning_never_loses_to_on_everywhere_on_its_own_rows((targets, probabilities, _) in tables()) {
            let tuned = decide(&probabilities, &tune(&targets, &probabilities).thresholds);
            let all = decide(&probabilities, &Thresholds::uniform(0.0, probabilities.columns()).unwrap());
            let all = Scores::new(&targets, &all);
            for (tuned, all) in Scores::new(&targets, &tuned).per_label.iter().zip(all.per_label) {
                prop_assert!(tuned.f1 >= all.f1);
            }
        }

        /// Wherever the reference's threshold is no worse than chance, ours is the same.
        #[test]
        fn an_ordinary_label_gets_the_reference_threshold((targets, probabilities, _) in tables()) {
            let ours = tune(&targets, &probabilities).thresholds;
            for label in 0..probabilities.columns() {
                let score = |threshold: f64| {
                    let cells = targets.rows().zip(probabilities.rows());
                    let of = cells.map(|(target, row)| (target[label], f64::from(row[label]) >= threshold));
                    let mut counts = Counts::default();
                    for (target, decided) in of {
                        counts.true_positives += u64::from(target == 1 && decided);
                        counts.decided += u64::from(decided);
                        counts.actual += u64::from(target);
                    }
                    counts.f1()
                };
                // `best = 0.5, -1`, then the first strictly better one.
                let (mut reference, mut best) = (0.5, -1.0);
                for threshold in LINSPACE {
                    if score(threshold) > best {
                        (reference, best) = (threshold, score(threshold));
                    }
                }
                if best > 0.0 && best >= score(0.0) {
                    prop_assert_eq!(ours.values()[label], reference);
                }
            }
        }

        #[test]
        fn cross_fitting_is_tuning_on_the_other_folds_rows((targets, probabilities, fold_of) in tables()) {
            let Some(decided) = cross_fitted(&targets, &probabilities, &fold_of) else {
                return Ok(());
            };
            for row in 0..fold_of.len() {
                let others: Vec<usize> =
                    (0..fold_of.len()).filter(|&other| fold_of[other] != fold_of[row]).collect();
                let tuned = tune(&targets.select(&others), &probabilities.select(&others));
                let expected: Vec<bool> = tuned.thresholds.apply(probabilities.row(row)).collect();
                prop_assert_eq!(decided.row(row), expected);
            }
        }
    }
}
