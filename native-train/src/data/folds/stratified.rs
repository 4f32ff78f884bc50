//! The folds of scikit-learn 1.9's `StratifiedKFold`: each class is dealt to them evenly.
//!
//! <https://github.com/scikit-learn/scikit-learn/blob/1.9.X/sklearn/model_selection/_split.py>

use anyhow::Result;

use super::combinations::member_counts;
use crate::data::warning::Warning;
use crate::error::UserError;

/// Rejects the classes, or warns of them, where scikit-learn does.
///
/// # Errors
/// If every class has fewer members than there are folds.
pub fn check(classes: &[usize], folds: usize) -> Result<Option<Warning>> {
    let counts = member_counts(classes);
    if counts.iter().all(|&count| count < folds) {
        let message = format!("no combination of labels has a row for each of {folds} folds");
        return Err(UserError::new(message)
            .hint("pass fewer `--folds`, or `--split grouped`, which does not need that")
            .into());
    }
    let rows = counts.into_iter().min().unwrap_or(0);
    Ok((rows < folds).then_some(Warning::RareCombination { rows, folds }))
}

/// The fold of each row. Classes are numbered by first appearance. `order` arranges the folds for the
/// members of one class; scikit-learn shuffles them, or leaves them ascending.
pub fn assign(classes: &[usize], folds: usize, mut order: impl FnMut(&mut [usize])) -> Vec<usize> {
    let allocation = allocation(classes, folds);
    let mut members = vec![Vec::new(); allocation.len()];
    for (row, &class) in classes.iter().enumerate() {
        members[class].push(row);
    }
    let mut fold_of = vec![0; classes.len()];
    for (rows, per_fold) in members.iter().zip(allocation) {
        let mut dealt: Vec<usize> = per_fold
            .iter()
            .enumerate()
            .flat_map(|(fold, &count)| std::iter::repeat_n(fold, count))
            .collect();
        order(&mut dealt);
        for (&row, fold) in rows.iter().zip(dealt) {
            fold_of[row] = fold;
        }
    }
    fold_of
}

/// The members of each class for each fold: the sorted classes are dealt to the folds in turn.
fn allocation(classes: &[usize], folds: usize) -> Vec<Vec<usize>> {
    let mut position = 0;
    let mut share_out = |count: usize| {
        let mut per_fold = vec![0; folds];
        for _ in 0..count {
            per_fold[position % folds] += 1;
            position += 1;
        }
        per_fold
    };
    member_counts(classes).into_iter().map(&mut share_out).collect()
}
