//! Which rows a fold validates on; it trains on all others.

mod grouped;
mod mt19937;
mod stratified;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use self::mt19937::Mt19937;
use super::dataset::Dataset;
use super::warning::Warning;
use crate::error::UserError;
use crate::grid::Targets;

/// Folds whose sizes differ by more than this share of a fold are worth a word.
const UNEVEN: f64 = 0.1;

/// How rows are shared out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Equal texts stay in one fold, so that no text is validated on that was trained on.
    #[default]
    Grouped,
    /// scikit-learn's `StratifiedKFold(shuffle=True)`, row for row; copies of a text may part.
    Stratified,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grouped => "grouped",
            Self::Stratified => "stratified",
        })
    }
}

/// A fold for each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    fold_of: Vec<usize>,
    count: usize,
}

impl Folds {
    /// `fold_of` gives each row's fold, below `count`.
    pub fn new(fold_of: Vec<usize>, count: usize) -> Self {
        assert!(fold_of.iter().all(|&fold| fold < count), "folds count from 0");
        Self { fold_of, count }
    }

    /// The number of folds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Each row's fold.
    pub fn fold_of(&self) -> &[usize] {
        &self.fold_of
    }

    /// The rows that `fold` trains on, ascending.
    pub fn train_rows(&self, fold: usize) -> Vec<usize> {
        self.rows_where(|of| of != fold)
    }

    /// The rows that `fold` validates on, ascending.
    pub fn validation_rows(&self, fold: usize) -> Vec<usize> {
        self.rows_where(|of| of == fold)
    }

    /// The number of validation rows of each fold.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.count];
        for &fold in &self.fold_of {
            sizes[fold] += 1;
        }
        sizes
    }

    fn rows_where(&self, belongs: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.fold_of.len()).filter(|&row| belongs(self.fold_of[row])).collect()
    }
}

/// Shares the rows out over `folds` folds, the same way for the same seed.
///
/// # Errors
/// If the labels are the same in every row, or the data is too small for so many folds.
pub fn assign(
    dataset: &Dataset,
    split: Split,
    folds: usize,
    seed: u64,
) -> Result<(Folds, Vec<Warning>)> {
    check_count(dataset.len(), folds)?;
    let mut warnings = dataset.check_classes()?;
    let rng = &mut Mt19937::new(seed_32(seed)?);
    let combinations = combinations(&dataset.targets);
    let fold_of = match split {
        Split::Grouped => grouped::assign(dataset, &combinations, folds, rng)?,
        Split::Stratified => {
            warnings.extend(stratified::check(&combinations, folds)?);
            stratified::assign(&combinations, folds, |fold_of_members| rng.shuffle(fold_of_members))
        }
    };
    let folds = Folds::new(fold_of, folds);
    warnings.extend(uneven(&folds));
    Ok((folds, warnings))
}

fn check_count(rows: usize, folds: usize) -> Result<()> {
    if folds < 2 {
        return Err(UserError::new(format!("cross-validation needs 2 folds or more, not {folds}"))
            .hint("pass `--folds 5`, say")
            .into());
    }
    if rows < folds {
        return Err(UserError::new(format!("{rows} rows cannot fill {folds} folds"))
            .hint("pass fewer `--folds`, or give more rows")
            .into());
    }
    Ok(())
}

/// NumPy seeds this generator with 32 bits, and so do we.
fn seed_32(seed: u64) -> Result<u32> {
    u32::try_from(seed).map_err(|_| {
        UserError::new(format!("seed {seed} is too large"))
            .hint(format!("pass `--seed` 0 to {}", u32::MAX))
            .into()
    })
}

/// Numbers the distinct label rows by first appearance; gives each row's number.
fn combinations(targets: &Targets) -> Vec<usize> {
    let mut known = std::collections::HashMap::new();
    targets
        .rows()
        .map(|row| {
            let next = known.len();
            *known.entry(row).or_insert(next)
        })
        .collect()
}

/// How many rows each combination has.
fn member_counts(combinations: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; combinations.iter().max().map_or(0, |last| last + 1)];
    for &combination in combinations {
        counts[combination] += 1;
    }
    counts
}

fn uneven(folds: &Folds) -> Option<Warning> {
    let sizes = folds.sizes();
    let (&smallest, &largest) = (sizes.iter().min()?, sizes.iter().max()?);
    let allowed = UNEVEN * folds.fold_of.len() as f64 / folds.count as f64;
    let differ = (largest - smallest) as f64 > allowed.max(1.0);
    differ.then_some(Warning::UnevenFolds { smallest, largest })
}

#[cfg(test)]
mod tests;
