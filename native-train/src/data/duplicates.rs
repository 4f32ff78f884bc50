//! Repeated texts across folds and in the test file, which make scores too good.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::folds::Folds;
use super::text_key::text_key;

/// The repeated texts by two definitions of equality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Texts that are equal after NFKC, case folding and collapsing whitespace, as for `--split grouped`.
    pub normalized: Repeats,
    /// Texts that are equal character by character.
    pub verbatim: Repeats,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    pub distinct_texts: usize,
    /// Rows with an equal text in another fold.
    pub twin_in_another_fold: Share,
    /// The same among each fold's validation rows.
    pub twin_by_fold: Vec<Share>,
    /// `None` without a test file.
    pub test: Option<TestOverlap>,
}

/// The texts that are in both files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestOverlap {
    /// Distinct texts of the test file.
    pub distinct_texts: usize,
    /// The test rows that are also in the training file.
    pub distinct_in_train: usize,
    /// Test rows whose text is also in the training file.
    pub rows_in_train: Share,
    /// Training rows whose text is also in the test file.
    pub train_rows_in_test: Share,
}

/// A number of rows, and their share of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub rows: usize,
    pub of: usize,
    /// `rows / of`, or 0 if there are no rows.
    pub share: f64,
}

impl Duplicates {
    /// Counts the repeats in `train`, whose rows have the folds `folds`, and in `test`.
    pub fn new(train: &[String], folds: &Folds, test: Option<&[String]>) -> Self {
        let keys = |texts: &[String]| texts.iter().map(|text| text_key(text)).collect::<Vec<_>>();
        let test_keys = test.map(keys);
        Self {
            normalized: Repeats::new(&keys(train), folds, test_keys.as_deref()),
            verbatim: Repeats::new(train, folds, test),
        }
    }
}

impl Repeats {
    fn new(train: &[String], folds: &Folds, test: Option<&[String]>) -> Self {
        let folds_of_text = folds_of_texts(train, folds);
        let has_twin = |row: &usize| folds_of_text[train[*row].as_str()].is_none();
        let twins = |rows: Vec<usize>| {
            Share::new(rows.iter().filter(|row| has_twin(row)).count(), rows.len())
        };
        Self {
            distinct_texts: folds_of_text.len(),
            twin_in_another_fold: twins((0..train.len()).collect()),
            twin_by_fold: (0..folds.count()).map(|k| twins(folds.validation_rows(k))).collect(),
            test: test.map(|test| TestOverlap::new(train, test)),
        }
    }
}

/// The fold of each text, or `None` if it is in more than one.
fn folds_of_texts<'a>(texts: &'a [String], folds: &Folds) -> HashMap<&'a str, Option<usize>> {
    let mut found = HashMap::with_capacity(texts.len());
    for (text, &fold) in texts.iter().zip(folds.fold_of()) {
        let only = found.entry(text.as_str()).or_insert(Some(fold));
        if *only != Some(fold) {
            *only = None;
        }
    }
    found
}

impl TestOverlap {
    fn new(train: &[String], test: &[String]) -> Self {
        let (train_texts, test_texts) = (distinct(train), distinct(test));
        let shared = |texts: &[String], others: &HashSet<&str>| {
            let rows = texts.iter().filter(|text| others.contains(text.as_str())).count();
            Share::new(rows, texts.len())
        };
        Self {
            distinct_texts: test_texts.len(),
            distinct_in_train: test_texts.intersection(&train_texts).count(),
            rows_in_train: shared(test, &train_texts),
            train_rows_in_test: shared(train, &test_texts),
        }
    }
}

fn distinct(texts: &[String]) -> HashSet<&str> {
    texts.iter().map(String::as_str).collect()
}

impl Share {
    fn new(rows: usize, of: usize) -> Self {
        Self { rows, of, share: if of == 0 { 0.0 } else { rows as f64 / of as f64 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::kaggle;
    use crate::data::{Dataset, FileOptions, LabelChoice, Split, Texts, folds};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn counts_twins_across_folds_and_files() {
        let train = strings(&["a", "A", "b", "b", "c", "a"]);
        let folds = Folds::new(vec![0, 1, 1, 1, 0, 0], 2);
        let test = strings(&["a", "B", "d", "B"]);
        let report = Duplicates::new(&train, &folds, Some(&test));

        let verbatim = report.verbatim;
        assert_eq!(verbatim.distinct_texts, 4);
        assert_eq!(verbatim.twin_in_another_fold, Share { rows: 0, of: 6, share: 0.0 });
        let overlap = verbatim.test.unwrap();
        assert_eq!((overlap.distinct_texts, overlap.distinct_in_train), (3, 1));
        assert_eq!(overlap.rows_in_train, Share { rows: 1, of: 4, share: 0.25 });

        let normalized = report.normalized;
        assert_eq!(normalized.distinct_texts, 3);
        assert_eq!(normalized.twin_in_another_fold, Share { rows: 3, of: 6, share: 0.5 });
        let by_fold: Vec<usize> = normalized.twin_by_fold.iter().map(|share| share.rows).collect();
        assert_eq!(by_fold, [2, 1]);
        let overlap = normalized.test.unwrap();
        assert_eq!((overlap.distinct_texts, overlap.distinct_in_train), (3, 2));
        assert_eq!(overlap.rows_in_train, Share { rows: 3, of: 4, share: 0.75 });
        assert_eq!(overlap.train_rows_in_test.rows, 5);
    }

    /// Counted with Python: `unicodedata.normalize("NFKC", text).casefold().split()`, and folds by
    /// scikit-learn 1.9.1. One test row differs from its twin in whitespace alone.
    #[test]
    fn finds_the_competition_s_repeats() {
        let (Some(train), Some(test)) = (kaggle("train.csv"), kaggle("test.csv")) else { return };
        let dataset =
            Dataset::read(&train, &FileOptions::default(), LabelChoice::Find).unwrap().dataset;
        let (test, _) = Texts::read(&test, &FileOptions::default()).unwrap();
        let report = |split| {
            let (folds, _) = folds::assign(&dataset, split, 5, 42).unwrap();
            Duplicates::new(&dataset.texts, &folds, Some(&test.texts))
        };

        let stratified = report(Split::Stratified);
        for (repeats, rows_in_train, distinct_in_train, train_rows_in_test) in
            [(&stratified.normalized, 951, 947, 955), (&stratified.verbatim, 950, 946, 954)]
        {
            assert_eq!(repeats.distinct_texts, 4986);
            assert_eq!(repeats.twin_in_another_fold.rows, 2990);
            let by_fold: Vec<usize> = repeats.twin_by_fold.iter().map(|share| share.rows).collect();
            assert_eq!(by_fold, [562, 610, 598, 617, 603]);
            let overlap = repeats.test.as_ref().unwrap();
            assert_eq!(overlap.distinct_texts, 1597);
            assert_eq!(overlap.distinct_in_train, distinct_in_train);
            assert_eq!(
                (overlap.rows_in_train.rows, overlap.rows_in_train.of),
                (rows_in_train, 1707)
            );
            assert_eq!(overlap.train_rows_in_test.rows, train_rows_in_test);
        }
        let share = stratified.normalized.twin_in_another_fold.share;
        assert!((0.42..0.44).contains(&share), "{share}");

        let grouped = report(Split::Grouped);
        assert_eq!(grouped.normalized.twin_in_another_fold.rows, 0);
        assert_eq!(grouped.verbatim.twin_in_another_fold.rows, 0);
        assert_eq!(grouped.normalized.test, stratified.normalized.test);
    }
}
