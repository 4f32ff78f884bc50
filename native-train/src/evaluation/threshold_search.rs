//! The search for a threshold for each label, as in the reference job, and an honest way to score it.
//!
//! The score of a threshold on the rows that it was tuned on is optimistic. [`cross_fitted`] decides
//! each fold's rows with thresholds that were tuned on the other folds' rows.

use std::collections::{BTreeMap, BTreeSet};

use shared::Thresholds;

use super::decisions::{Decisions, HALF};
use super::metrics::Counts;
use crate::grid::{Grid, Probabilities, Targets};

const CANDIDATES: usize = 17;

/// The first candidate with the best F1 on these rows, for each label.
pub fn tune(targets: &Targets, probabilities: &Probabilities) -> Thresholds {
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
    let folds: BTreeSet<usize> = fold_of.iter().copied().collect();
    if folds.len() < 2 {
        return None;
    }
    let tuned_without: BTreeMap<usize, Thresholds> = folds
        .into_iter()
        .map(|fold| (fold, tune_on(targets, probabilities, |row| fold_of[row] != fold)))
        .collect();
    let decided = probabilities
        .rows()
        .zip(fold_of)
        .flat_map(|(row, fold)| tuned_without[fold].apply(row))
        .collect();
    Some(Grid::new(probabilities.columns(), decided))
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
) -> Thresholds {
    assert_eq!(targets.len(), probabilities.len(), "targets and probabilities of one shape");
    let candidates = candidates();
    let mut counts = vec![[Counts::default(); CANDIDATES]; probabilities.columns()];
    for row in (0..probabilities.len()).filter(|&row| is_used(row)) {
        let values = targets.row(row).iter().zip(probabilities.row(row));
        for (label, (&target, &probability)) in counts.iter_mut().zip(values) {
            add(label, &candidates, target, probability);
        }
    }
    let best = counts.iter().map(|label| first_best(&candidates, label)).collect();
    Thresholds::new(best, probabilities.columns()).expect("the candidates are probabilities")
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

fn first_best(candidates: &[f64; CANDIDATES], counts: &[Counts; CANDIDATES]) -> f64 {
    let (mut best_threshold, mut best_f1) = (HALF, -1.0);
    for (&threshold, counts) in candidates.iter().zip(counts) {
        let f1 = counts.f1();
        if f1 > best_f1 {
            (best_threshold, best_f1) = (threshold, f1);
        }
    }
    best_threshold
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
        let thresholds = tune(&targets, &probabilities);
        assert_eq!(thresholds.values(), [0.35, 0.6, 0.1]);
        assert!(close(Scores::at_half(&targets, &probabilities).macro_f1(), 0.5064836003051106));
        let tuned = Scores::new(&targets, &decide(&probabilities, &thresholds));
        assert!(close(tuned.macro_f1(), 0.5934065934065934));

        let decided = cross_fitted(&targets, &probabilities, &fold_of).expect("three folds");
        let honest = Scores::new(&targets, &decided);
        let f1: Vec<f64> = honest.per_label.iter().map(|score| score.f1).collect();
        assert_eq!(f1, [0.75, 0.9230769230769231, 0.0]);
        assert!(close(honest.macro_f1(), 0.5576923076923077));
    }

    #[test]
    fn a_label_that_is_never_on_gets_the_first_candidate() {
        let tuned = tune(&Grid::new(1, vec![0, 0]), &Grid::new(1, vec![0.9, 0.05]));
        assert_eq!(tuned.values(), [0.1], "an F1 of 0 is better than the starting -1");
    }

    #[test]
    fn probabilities_are_compared_in_f64() {
        // 0.35f32 lies below the candidate 0.35f64, so no candidate parts it from 0.31; compared
        // in f32, 0.35 would.
        let tuned = tune(&Grid::new(1, vec![1, 0, 0]), &Grid::new(1, vec![0.35, 0.31, 0.31]));
        assert_eq!(tuned.values(), [0.1]);
        let tuned = tune(&Grid::new(1, vec![1, 0, 0]), &Grid::new(1, vec![0.351, 0.31, 0.31]));
        assert_eq!(tuned.values(), [0.35]);
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
            let tuned = decide(&probabilities, &tune(&targets, &probabilities));
            let half = Scores::at_half(&targets, &probabilities);
            for (tuned, half) in Scores::new(&targets, &tuned).per_label.iter().zip(half.per_label) {
                prop_assert!(tuned.f1 >= half.f1);
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
                let expected: Vec<bool> = tuned.apply(probabilities.row(row)).collect();
                prop_assert_eq!(decided.row(row), expected);
            }
        }
    }
}
