//! Folds in which equal texts stay together and each fold has its share of every label.
//!
//! A greedy algorithm: each group of equal texts goes to the fold that has least of the group's labels.
//! Large groups come first, then rare ones, and equal ones in seeded order. O(rows x folds x labels).

use std::cmp::Reverse;

use anyhow::Result;

use super::combinations::member_counts;
use super::mt19937::Mt19937;
use crate::data::dataset::Dataset;
use crate::data::groups::Groups;
use crate::error::UserError;

/// The fold of each row; `combinations` are the numbers of the rows' labels.
///
/// # Errors
/// If there are fewer distinct texts than folds.
pub fn assign(
    dataset: &Dataset,
    combinations: &[usize],
    folds: usize,
    rng: &mut Mt19937,
) -> Result<Vec<usize>> {
    let mut groups = Groups::of_equal(&dataset.texts).rows();
    if groups.len() < folds {
        let message = format!("{} distinct texts cannot fill {folds} folds", groups.len());
        return Err(UserError::new(message)
            .hint("pass fewer `--folds`: equal texts stay in one fold (`--split grouped`)")
            .into());
    }
    // Late groups are small and common, so they even out the differences that early ones left.
    let frequency = member_counts(combinations);
    let rarest = |rows: &[usize]| rows.iter().map(|&row| frequency[combinations[row]]).min();
    rng.shuffle(&mut groups);
    groups.sort_by_key(|rows| (Reverse(rows.len()), rarest(rows)));

    let features = Features { dataset, combinations };
    let mut balance = Balance::new(&features, folds);
    let mut fold_of = vec![0; dataset.len()];
    for rows in groups {
        let held: Vec<usize> = rows.iter().flat_map(|&row| features.of(row)).collect();
        let fold = balance.emptiest(&held);
        balance.add(fold, &held);
        for row in rows {
            fold_of[row] = fold;
        }
    }
    Ok(fold_of)
}

/// The features that each fold should have its share of: being a row, each label, and each combination
/// of labels.
struct Features<'a> {
    dataset: &'a Dataset,
    combinations: &'a [usize],
}

impl Features<'_> {
    fn of(&self, row: usize) -> impl Iterator<Item = usize> {
        let labels = self.dataset.targets.row(row);
        let on = (0..labels.len()).filter(|&label| labels[label] == 1).map(|label| 1 + label);
        let combination = 1 + labels.len() + self.combinations[row];
        std::iter::once(0).chain(on).chain(std::iter::once(combination))
    }

    /// The number of rows that have each feature.
    fn totals(&self) -> Vec<usize> {
        let combinations = member_counts(self.combinations).len();
        let mut totals = vec![0; 1 + self.dataset.labels.len() + combinations];
        for row in 0..self.dataset.len() {
            for feature in self.of(row) {
                totals[feature] += 1;
            }
        }
        totals
    }
}

/// The fullness of each fold with each feature; 1 is an even share.
struct Balance {
    /// The fullness that one row adds to a fold.
    unit: Vec<f64>,
    fullness: Vec<Vec<f64>>,
}

impl Balance {
    fn new(features: &Features, folds: usize) -> Self {
        let unit: Vec<f64> =
            features.totals().iter().map(|&total| folds as f64 / total.max(1) as f64).collect();
        Self { fullness: vec![vec![0.0; unit.len()]; folds], unit }
    }

    /// The fold with the least fullness of the features in `held`; the first of equal ones.
    ///
    /// Adding `held` to a fold changes the sum of (count - share)^2 / share over all folds by twice
    /// the sum of that fold's fullness, plus terms that are the same for every fold. The least full one
    /// therefore keeps the folds most even.
    fn emptiest(&self, held: &[usize]) -> usize {
        let fullness = |fold: &usize| held.iter().map(|&f| self.fullness[*fold][f]).sum::<f64>();
        (0..self.fullness.len())
            .min_by(|a, b| fullness(a).total_cmp(&fullness(b)))
            .expect("at least two folds")
    }

    fn add(&mut self, fold: usize, held: &[usize]) {
        for &feature in held {
            self.fullness[fold][feature] += self.unit[feature];
        }
    }
}
