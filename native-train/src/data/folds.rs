//! The folds: each validates on some rows and trains on all others.

mod combinations;
mod grouped;
mod mt19937;
mod stratified;

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use self::combinations::combinations;
use self::mt19937::Mt19937;
use super::dataset::Dataset;
use super::warning::Warning;
use crate::error::UserError;

/// The share of a fold by which sizes may differ without a warning.
const UNEVEN: f64 = 0.1;

/// The rule by which rows are dealt to folds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Equal texts stay in one fold, so that no model is validated on a text it was trained on
    #[default]
    Grouped,
    /// The folds of scikit-learn's `StratifiedKFold(shuffle=True)`; equal texts may be in several
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

/// The fold of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    fold_of: Vec<usize>,
    count: usize,
}

impl Folds {
    /// Folds from each row's number, which is below `count`.
    pub fn new(fold_of: Vec<usize>, count: usize) -> Self {
        assert!(fold_of.iter().all(|&fold| fold < count), "folds count from 0");
        Self { fold_of, count }
    }

    /// The number of folds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The fold of each row.
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

/// Deals the rows to `folds` folds, in the same way for the same seed.
///
/// # Errors
/// If all rows have the same labels, or there are too few rows for so many folds.
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
    warnings.extend(missing_labels(dataset, &folds));
    warnings.extend(uneven(&folds));
    Ok((folds, warnings))
}

fn check_count(rows: usize, folds: usize) -> Result<()> {
    if folds < 2 {
        return Err(UserError::new(format!("cross-validation needs 2 folds or more, not {folds}"))
            .hint("pass a larger `--folds`, such as `--folds 5`")
            .into());
    }
    if rows < folds {
        return Err(UserError::new(format!("{rows} rows cannot fill {folds} folds"))
            .hint("pass fewer `--folds`, or add rows")
            .into());
    }
    Ok(())
}

/// The seed of the generator, which takes 32 bits as NumPy's does.
fn seed_32(seed: u64) -> Result<u32> {
    u32::try_from(seed).map_err(|_| {
        UserError::new(format!("seed {seed} is too large"))
            .hint(format!("pass `--seed` 0 to {}", u32::MAX))
            .into()
    })
}

/// The labels that some rows have, but not in every fold.
fn missing_labels(dataset: &Dataset, folds: &Folds) -> Option<Warning> {
    let missing = |(column, label): (usize, &String)| {
        let has = |row: &usize| dataset.targets.row(*row)[column] == 1;
        let rows: Vec<usize> = (0..dataset.len()).filter(has).collect();
        let present: BTreeSet<usize> = rows.iter().map(|&row| folds.fold_of[row]).collect();
        let is_missing = !rows.is_empty() && present.len() < folds.count;
        is_missing.then(|| (label.clone(), rows.len(), present.len()))
    };
    let names = dataset.labels.names();
    let labels: Vec<_> = names.iter().enumerate().filter_map(missing).collect();
    (!labels.is_empty()).then_some(Warning::LabelsMissingInFolds { labels, folds: folds.count })
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
