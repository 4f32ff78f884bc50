//! The page's probabilities, compared with those of `native-train predict`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use xtask::engines::Ability;
use xtask::shell::{self, Shell};
use xtask::site::{DATA, DELTAS, LIGHT};
use xtask::workspace::Workspace;

use crate::browser::can;
use crate::downloads::read_csv;
use crate::many_texts::write_csv;
use crate::visitor::{Visit, Visitor};

/// Other instructions and another order of sums change the last digits; a wrong token or weight changes far more.
const TOLERANCE: f64 = 1e-4;

/// The rounding of weights and activations to 12 bits and more; 2.4e-4 was measured.
const INT12_TOLERANCE: f64 = 1e-3;

/// The tolerance of `native-train export` for int8: 8 bits for weights, 12 and more for activations.
const INT8_TOLERANCE: f64 = 0.05;

/// The rounding of a base to 8 bits and of deltas to 4; 2.6e-3 was measured.
const TOLERANCE_OF_DELTAS: f64 = 0.01;

const TEXTS: usize = 200;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_in_f32_answers_like_native_train() {
    if !can(&[Ability::Time]) {
        return;
    }
    compare("f32", TOLERANCE);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_in_f16_answers_like_native_train() {
    if !can(&[Ability::Time]) {
        return;
    }
    compare("f16", TOLERANCE);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_in_int16_answers_like_native_train() {
    if !can(&[Ability::Time]) {
        return;
    }
    compare("int16", TOLERANCE);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_in_int12_answers_like_native_train_to_three_digits() {
    compare("int12", INT12_TOLERANCE);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_in_int8_answers_nearly_like_native_train() {
    if !can(&[Ability::Time]) {
        return;
    }
    compare("int8", INT8_TOLERANCE);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_bundle_of_deltas_answers_nearly_like_native_train() {
    if !can(&[Ability::Time]) {
        return;
    }
    compare(DELTAS, TOLERANCE_OF_DELTAS);
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn folds_beside_a_final_model_answer_nearly_like_native_train() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::ready_for(&Visit { encoding: LIGHT, ..Visit::default() });
    visitor.arrive();
    visitor.click("#load-folds");
    visitor.wait_for_all_folds();
    compare_with(visitor, LIGHT, INT8_TOLERANCE);
}

fn compare(encoding: &str, tolerance: f64) {
    let visitor = Visitor::ready_for(&Visit { encoding, ..Visit::default() });
    visitor.arrive();
    visitor.wait_for_all_folds();
    compare_with(visitor, encoding, tolerance);
}

/// Compares the table of a page whose folds are loaded with what `native-train predict` writes.
fn compare_with(visitor: Visitor, encoding: &str, tolerance: f64) {
    let texts = texts();
    let table = write_csv(&texts);
    visitor.choose_texts("texts.csv", &table);
    visitor.classify_them();
    let page = visitor.download_table();

    let input = visitor.file("texts-for-native.csv", &table);
    let output = visitor.file("probabilities.csv", "");
    let workspace = Workspace::find();
    let shell = Shell::new(&workspace);
    let mut predict = shell.command(workspace.program("native-train"));
    let site = &visitor.site;
    let run: &Path = match encoding {
        DELTAS => &site.related_run,
        LIGHT => &site.light_run,
        _ => &site.run,
    };
    predict.args(["predict", "--quiet", "--probabilities", "--run"]).arg(run);
    shell::run(predict.arg("--input").arg(&input).arg("--output").arg(&output), "").unwrap();
    let native = read_csv(&output);

    assert_eq!((page.len(), native.len()), (texts.len(), texts.len()));
    let mut largest = 0.0_f64;
    for ((page, native), text) in page.iter().zip(&native).zip(&texts) {
        for label in ["anger", "fear", "joy", "sadness", "surprise"] {
            let here: f64 = page[&format!("{label}_probability")].parse().unwrap();
            let there: f64 = native[label].parse().unwrap();
            largest = largest.max((here - there).abs());
            assert!((here - there).abs() <= tolerance, "{label}: {here} and {there} for {text:?}");
        }
    }
    eprintln!("{encoding}: {TEXTS} texts, largest difference to native-train {largest:.2e}");
    visitor.leave();
}

/// Texts of the real data set if it is there, else our own.
fn texts() -> Vec<String> {
    let root = Workspace::find().root;
    let shared =
        env::var_os("QUINTET_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let real = shared.join("data/kaggle-2025-sep-dl-genai/test.csv");
    let file = if fs::exists(&real).unwrap() {
        real
    } else {
        eprintln!("skipped: the real texts, as {} is missing; our own instead", real.display());
        root.join(DATA)
    };
    let mut rows = read_csv(&file);
    rows.truncate(TEXTS);
    rows.into_iter().map(|mut row| row.remove("text").unwrap()).collect()
}
