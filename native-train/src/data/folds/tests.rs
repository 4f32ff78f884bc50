//! Stratified folds against scikit-learn's own; grouped ones by what they promise.

use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::data::testing::{dataset, kaggle, printed, shared_file};
use crate::data::text_key::text_key;
use crate::data::{FileOptions, LabelChoice};
use crate::grid::Targets;

fn kaggle_train() -> Option<Dataset> {
    let file = kaggle("train.csv")?;
    Some(Dataset::read(&file, &FileOptions::default(), LabelChoice::Find).unwrap().dataset)
}

/// Depends on every fold and its place.
fn checksum(folds: &Folds) -> u64 {
    folds.fold_of().iter().fold(0, |sum: u64, &fold| sum.wrapping_mul(31) + fold as u64 + 1)
}

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    n_splits: usize,
    shuffle: bool,
    random_state: Option<u32>,
    y: Vec<usize>,
    test_fold: Vec<usize>,
}

#[test]
fn stratified_folds_equal_scikit_learn_s() {
    let Some(file) = shared_file("fixtures/sklearn_stratifiedkfold_fixtures.json") else { return };
    let fixtures: Fixtures = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(!fixtures.cases.is_empty());
    for case in fixtures.cases {
        let columns = Targets::new(1, case.y.iter().map(|&class| class as u8).collect());
        let classes = combinations(&columns);
        let mut rng = Mt19937::new(case.random_state.unwrap_or(0));
        let found = stratified::assign(&classes, case.n_splits, |folds| {
            if case.shuffle {
                rng.shuffle(folds);
            }
        });
        assert_eq!(found, case.test_fold, "{}", case.name);
    }
}

/// Made with scikit-learn 1.9.1 and NumPy 2.4.6: `y` the label rows joined to strings, `f` the
/// folds of `StratifiedKFold(folds, shuffle=True, random_state=seed)`, then
/// `h = (h * 31 + fold + 1) % 2**64` over `f`, from 0.
#[test]
fn stratified_folds_of_the_competition_s_file_equal_scikit_learn_s() {
    let Some(dataset) = kaggle_train() else { return };
    for (seed, folds, expected) in [
        (42, 5, 0xdff6_1277_c809_e920),
        (42, 7, 0xf05f_d6b9_f2c1_26b9),
        (0, 3, 0x5ccd_383b_8068_84b3),
        (1, 2, 0x1542_a773_7893_6f28),
        (12345, 5, 0x504f_2fc9_33bb_8fbe),
        (u64::from(u32::MAX), 5, 0xfe2c_1ccd_9284_a588),
    ] {
        let (found, warnings) = assign(&dataset, Split::Stratified, folds, seed).unwrap();
        assert_eq!(checksum(&found), expected, "seed {seed}, {folds} folds");
        assert_eq!(warnings, [Warning::RareCombination { rows: 1, folds }]);
    }
    let (found, _) = assign(&dataset, Split::Stratified, 5, 42).unwrap();
    assert_eq!(found.sizes(), [1366, 1366, 1365, 1365, 1365]);
    assert_eq!(found.fold_of()[..10], [2, 1, 3, 0, 3, 1, 0, 2, 2, 3]);
}

#[test]
fn grouped_folds_of_the_competition_s_file_are_as_even_as_stratified_ones() {
    let Some(dataset) = kaggle_train() else { return };
    for (seed, folds) in [(42, 5), (0, 5), (7, 3), (1, 10)] {
        let (grouped, warnings) = assign(&dataset, Split::Grouped, folds, seed).unwrap();
        let (stratified, _) = assign(&dataset, Split::Stratified, folds, seed).unwrap();
        assert_eq!(warnings, []);
        assert_one_fold_a_text(&dataset, &grouped);
        let even = dataset.len() as f64 / folds as f64;
        for fold in 0..folds {
            let rows = grouped.validation_rows(fold);
            let off = (rows.len() as f64 - even).abs() / even;
            assert!(off < 0.01, "seed {seed}, fold {fold} of {folds} is off by {off}");
            let ours = label_shares(&dataset, &rows);
            let theirs = label_shares(&dataset, &stratified.validation_rows(fold));
            for (label, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                assert!((ours - theirs).abs() < 0.01, "label {label}: {ours}, not {theirs}");
            }
        }
    }
}

/// `grouped` warns where `stratified` does, and names the label.
#[test]
fn labels_that_folds_lack_are_named_for_both_splits() {
    let texts: Vec<String> = (0..12).map(|row| format!("text {row}")).collect();
    let rows: Vec<(&str, &[u8])> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| -> (&str, &[u8]) {
            match row {
                0..2 => (text, &[1, 1, 0]),
                _ if row % 2 == 0 => (text, &[1, 0, 0]),
                _ => (text, &[0, 0, 0]),
            }
        })
        .collect();
    // Two rows for three folds; the last label is constant, which is another warning.
    let expected =
        Warning::LabelsMissingInFolds { labels: vec![("label-1".to_owned(), 2, 2)], folds: 3 };
    for split in [Split::Grouped, Split::Stratified] {
        let (_, warnings) = assign(&dataset(&rows), split, 3, 42).unwrap();
        assert!(warnings.contains(&expected), "{split}: {warnings:?}");
        let (_, warnings) = assign(&dataset(&rows), split, 2, 42).unwrap();
        let is_missing =
            |warning: &Warning| matches!(warning, Warning::LabelsMissingInFolds { .. });
        assert!(!warnings.iter().any(is_missing), "{split}: {warnings:?}");
    }
}

/// Enough rows for the folds, but all of one text, which stays in one fold.
#[test]
fn a_label_of_one_repeated_text_is_in_one_fold() {
    let texts: Vec<String> = (0..12).map(|row| format!("text {row}")).collect();
    let plain = texts.iter().map(|text| -> (&str, &[u8]) { (text, &[0]) });
    let rows: Vec<(&str, &[u8])> =
        plain.chain((0..4).map(|_| -> (&str, &[u8]) { ("again", &[1]) })).collect();
    let (_, warnings) = assign(&dataset(&rows), Split::Grouped, 3, 42).unwrap();
    let labels = vec![("label-0".to_owned(), 4, 1)];
    assert!(warnings.contains(&Warning::LabelsMissingInFolds { labels, folds: 3 }), "{warnings:?}");
}

fn label_shares(dataset: &Dataset, rows: &[usize]) -> Vec<f64> {
    let targets = dataset.targets.select(rows);
    (0..targets.columns())
        .map(|label| targets.column(label).map(f64::from).sum::<f64>() / rows.len() as f64)
        .collect()
}

fn assert_one_fold_a_text(dataset: &Dataset, folds: &Folds) {
    let mut fold_of_text = BTreeMap::new();
    for (text, fold) in dataset.texts.iter().zip(folds.fold_of()) {
        assert_eq!(fold_of_text.entry(text_key(text)).or_insert(fold), &fold, "{text:?}");
    }
}

/// Rows of few texts, so that many are equal, some only once normalised.
fn small_dataset() -> impl Strategy<Value = Dataset> {
    let text = prop::sample::select(vec![
        "a",
        "A",
        " a ",
        "b  c",
        "b c",
        "ß",
        "SS",
        "\u{fb01}n",
        "fin",
        "d",
        "e",
        "f",
        "g",
        "",
    ]);
    let row = (text, prop::collection::vec(0..2_u8, 3));
    prop::collection::vec(row, 2..60).prop_map(|rows| {
        let rows: Vec<(&str, &[u8])> = rows.iter().map(|row| (row.0, row.1.as_slice())).collect();
        dataset(&rows)
    })
}

proptest! {
    #[test]
    fn folds_partition_the_rows(
        dataset in small_dataset(),
        split in prop::sample::select(vec![Split::Grouped, Split::Stratified]),
        folds in 2..6_usize,
        seed in 0..1000_u64,
    ) {
        let Ok((found, _)) = assign(&dataset, split, folds, seed) else { return Ok(()) };
        let mut seen = BTreeSet::new();
        for fold in 0..folds {
            let (train, validation) = (found.train_rows(fold), found.validation_rows(fold));
            prop_assert!(!validation.is_empty());
            prop_assert!(validation.is_sorted() && train.is_sorted());
            let both: BTreeSet<usize> = train.iter().chain(&validation).copied().collect();
            prop_assert_eq!(train.len() + validation.len(), dataset.len());
            prop_assert_eq!(both.len(), dataset.len());
            seen.extend(validation);
        }
        prop_assert_eq!(seen.len(), dataset.len());
        prop_assert_eq!(assign(&dataset, split, folds, seed).unwrap().0, found);
    }

    #[test]
    fn equal_texts_share_a_fold(dataset in small_dataset(), folds in 2..6_usize, seed: u32) {
        match assign(&dataset, Split::Grouped, folds, seed.into()) {
            Ok((found, _)) => assert_one_fold_a_text(&dataset, &found),
            Err(_) => {
                let texts: BTreeSet<String> = dataset.texts.iter().map(|t| text_key(t)).collect();
                prop_assert!(texts.len() < folds || dataset.check_classes().is_err());
            }
        }
    }

    /// Without repeats nothing hinders an even deal.
    #[test]
    fn distinct_texts_are_dealt_evenly(
        labels in prop::collection::vec(prop::collection::vec(0..2_u8, 2), 40..200),
        folds in 2..6_usize,
    ) {
        let texts: Vec<String> = (0..labels.len()).map(|row| format!("text {row}")).collect();
        let rows: Vec<(&str, &[u8])> =
            texts.iter().zip(&labels).map(|(text, row)| (text.as_str(), row.as_slice())).collect();
        let dataset = dataset(&rows);
        prop_assume!(dataset.check_classes().is_ok());
        let (found, _) = assign(&dataset, Split::Grouped, folds, 42).unwrap();
        let sizes = found.sizes();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 2, "{:?}", sizes);
    }
}

#[test]
fn another_seed_gives_other_folds() {
    let texts: Vec<String> = (0..40).map(|row| format!("text {row}")).collect();
    let rows: Vec<(&str, &[u8])> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| (text.as_str(), if row % 3 == 0 { [1_u8].as_slice() } else { &[0] }))
        .collect();
    let dataset = dataset(&rows);
    for split in [Split::Grouped, Split::Stratified] {
        let folds = |seed| assign(&dataset, split, 4, seed).unwrap().0;
        assert_ne!(folds(1), folds(2));
        assert_eq!(folds(1), folds(1));
    }
}

#[test]
fn refuses_what_cannot_be_shared_out() {
    let small = dataset(&[("a", &[1, 0]), ("A", &[1, 1]), ("b", &[0, 1])]);
    let refusal = |split, folds, seed| printed(assign(&small, split, folds, seed));
    assert_snapshot!(refusal(Split::Grouped, 1, 42), @r"
    error: cross-validation needs 2 folds or more, not 1
    hint: pass a larger `--folds`, such as `--folds 5`
    ");
    assert_snapshot!(refusal(Split::Grouped, 4, 42), @r"
    error: 3 rows cannot fill 4 folds
    hint: pass fewer `--folds`, or add rows
    ");
    assert_snapshot!(refusal(Split::Grouped, 3, 42), @r"
    error: 2 distinct texts cannot fill 3 folds
    hint: pass fewer `--folds`: equal texts stay in one fold (`--split grouped`)
    ");
    assert_snapshot!(refusal(Split::Stratified, 2, 42), @r"
    error: no combination of labels has a row for each of 2 folds
    hint: pass fewer `--folds`, or `--split grouped`, which does not need that
    ");
    assert_snapshot!(refusal(Split::Grouped, 2, 1 << 32), @r"
    error: seed 4294967296 is too large
    hint: pass `--seed` 0 to 4294967295
    ");
}

#[test]
fn a_text_that_fills_more_than_a_fold_is_warned_of() {
    let rows: Vec<(&str, &[u8])> = ["a", "a", "a", "a", "a", "a", "b", "c", "d"]
        .iter()
        .zip([[0_u8].as_slice(), &[1]].into_iter().cycle())
        .map(|(text, labels)| (*text, labels))
        .collect();
    let (folds, warnings) = assign(&dataset(&rows), Split::Grouped, 3, 42).unwrap();
    let sizes: BTreeSet<usize> = folds.sizes().into_iter().collect();
    assert_eq!(sizes, BTreeSet::from([1, 2, 6]));
    let labels = vec![("label-0".to_owned(), 4, 2)];
    let missing = Warning::LabelsMissingInFolds { labels, folds: 3 };
    assert_eq!(warnings, [missing, Warning::UnevenFolds { smallest: 1, largest: 6 }]);
}
