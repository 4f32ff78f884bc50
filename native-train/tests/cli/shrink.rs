//! A smaller encoder from a larger one, from first to last, and what is refused.

use super::Folder;
use super::training::trained;

const SHRINK: &str = "shrink --teacher run/fold-0 --texts train.csv --output small --layers 1 \
                      --embedding-size 32 --vocab-size 40 --epochs 2 --threads 2 --device cpu";

fn shrunk() -> Folder {
    let folder = trained();
    let said = folder.run(&format!("{SHRINK} --quiet"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    folder
}

#[test]
fn a_dry_run_prints_the_shape_and_writes_nothing() {
    let folder = trained();
    insta::assert_snapshot!(folder.run(&format!("{SHRINK} --dry-run")));
    assert!(!folder.path().join("small").exists());
}

#[test]
fn a_student_is_a_model_to_train() {
    let folder = shrunk();
    let losses: Vec<f64> = folder
        .read("small/metrics.jsonl")
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["validation_loss"].as_f64()
        })
        .collect();
    assert_eq!(losses.len(), 2);
    assert!(losses[1] < losses[0], "{losses:?}");
    for left in ["checkpoint", "projection"] {
        assert!(!folder.path().join("small").join(left).exists());
    }
    // A folder called `small` is `./small`: the name alone is the built-in model.
    let said = folder.run(
        "train --model small --train-csv train.csv --folds 2 --epochs 1 --threads 2 --output again --device cpu",
    );
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let said = folder.run(
        "train --model ./small --train-csv train.csv --folds 2 --epochs 1 --threads 2 --output more --device cpu",
    );
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    assert!(said.contains("initialised: classifier.bias"), "{said}");
}

#[test]
fn a_finished_student_is_left_as_it_is() {
    let folder = shrunk();
    let again = folder.run(SHRINK);
    assert!(again.contains("`small` already holds a student"), "{again}");
    let again = folder.run(&format!("{SHRINK} --resume"));
    assert!(again.contains("this student is finished"), "{again}");
    let other = folder.run(&format!("{SHRINK} --resume --lr 0.1"));
    assert!(other.contains("was begun with other settings"), "{other}");
    let more = format!("{}9999,one more text,0,1\n", folder.read("train.csv"));
    folder.write("train.csv", &more);
    let other = folder.run(&format!("{SHRINK} --resume"));
    assert!(other.contains("was begun with other texts or weights"), "{other}");
}

#[test]
fn what_cannot_be_shrunk_is_refused() {
    let folder = trained();
    for (flags, words) in [
        ("--teacher mini", "model `mini` has not learned anything yet"),
        (
            "--teacher run/fold-0 --layers 9",
            "`layers` is 9, but must be at least 1 and at most the teacher's, 2",
        ),
        (
            "--teacher run/fold-0 --hidden 100",
            "`hidden` is 100, but the teacher's attention heads have 64 columns",
        ),
        ("--teacher run/fold-0 --lr 0", "`lr` is 0, but must be above 0"),
    ] {
        let said = folder.run(&format!("shrink {flags} --texts train.csv --output small"));
        assert!(said.contains(words), "{flags}: {said}");
        assert!(!folder.path().join("small").exists(), "{flags}");
    }
}
