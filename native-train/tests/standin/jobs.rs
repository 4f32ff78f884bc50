//! Whole jobs on a card beside the CPU's.

use serde_json::Value;

use super::{Place, with_standin};

const TRAIN: &str =
    "train --model tiny --lr 5e-4 --batch-size 8 --threads 2 --train-csv train.csv --quiet";

/// The losses in a fold's log, in order.
fn losses(place: &Place, run: &str, fold: usize) -> Vec<f64> {
    let log = place.read(&format!("{run}/fold-{fold}/metrics.jsonl"));
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line["loss"].as_f64()).collect()
}

/// The numbers of a table of probabilities, without its first column.
fn numbers(csv: &str) -> Vec<f64> {
    let cells = csv.lines().skip(1).flat_map(|line| line.split(',').skip(1));
    cells.map(|cell| cell.parse().unwrap()).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    assert!(!found.is_empty(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / expected.abs().max(0.1);
        assert!(error < tolerance, "{what}: {found}, expected {expected}");
    }
}

/// Tolerances are those of the emulated trainings (`training/tests.rs`).
#[test]
fn a_card_trains_as_the_cpu_does() {
    with_standin(|| {
        let place = Place::new();
        place.runs(&format!("{TRAIN} --epochs 2 --folds 2 --device cpu --output cpu"));
        for (precision, tolerance) in [("f32", 1e-4), ("f16", 2e-3), ("bf16", 1e-2)] {
            place.runs(&format!(
                "{TRAIN} --epochs 2 --folds 2 --device cuda --precision {precision} --output {precision}"
            ));
            for fold in 0..2 {
                let expected = losses(&place, "cpu", fold);
                assert_close(&losses(&place, precision, fold), &expected, tolerance, precision);
            }
            let expected = numbers(&place.read("cpu/oof.csv"));
            let found = numbers(&place.read(&format!("{precision}/oof.csv")));
            assert_close(&found, &expected, 10.0 * tolerance, precision);
        }
    });
}

#[test]
fn five_folds_side_by_side_become_what_they_become_one_by_one() {
    with_standin(|| {
        let place = Place::new();
        let job = format!("{TRAIN} --epochs 1 --folds 5 --device cuda --precision bf16");
        place.runs(&format!("{job} --parallel-folds 1 --output one"));
        place.runs(&format!("{job} --parallel-folds 5 --output five"));
        assert_eq!(place.read("one/oof.csv"), place.read("five/oof.csv"));
        for fold in 0..5 {
            assert_eq!(losses(&place, "one", fold), losses(&place, "five", fold), "fold {fold}");
        }
    });
}

#[test]
fn a_card_predicts_and_evaluates_as_the_cpu_does() {
    with_standin(|| {
        let place = Place::new();
        place.runs(&format!("{TRAIN} --epochs 1 --folds 2 --device cpu --output run"));
        let answers = |device: &str| {
            place.runs(&format!(
                "predict --run run --input new.csv --probabilities --output {device}.csv --device {device} --quiet"
            ));
            let scores = place
                .runs(&format!("evaluate --run run --input train.csv --device {device} --quiet"));
            (numbers(&place.read(&format!("{device}.csv"))), scores.stdout)
        };
        let ((found, scores), (expected, scores_of_cpu)) = (answers("cuda"), answers("cpu"));
        assert_close(&found, &expected, 1e-4, "probabilities");
        assert_eq!(scores, scores_of_cpu);
    });
}

/// The other commands that train: a student of a run's answers, and a smaller encoder.
#[test]
fn a_card_distils_and_shrinks() {
    with_standin(|| {
        let place = Place::new();
        place.runs(&format!("{TRAIN} --epochs 1 --folds 2 --device cpu --output run"));
        for device in ["cpu", "cuda"] {
            place.runs(&format!(
                "distil --run run --model tiny --lr 5e-4 --epochs 1 --batch-size 8 --threads 2 --texts new.csv \
                 --device {device} --precision f32 --output {device} --quiet"
            ));
        }
        for fold in 0..2 {
            let expected = losses(&place, "cpu", fold);
            assert_close(&losses(&place, "cuda", fold), &expected, 1e-4, "a student");
        }
        place.runs(
            "shrink --teacher run/fold-0 --texts train.csv --output small --layers 1 --embedding-size 16 --epochs 1 \
             --threads 2 --device cuda --quiet",
        );
    });
}
