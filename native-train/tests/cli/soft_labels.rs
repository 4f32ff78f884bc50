//! Labels that are probabilities, from the prediction that wrote them to the run that learned them.

use super::training::trained;
use super::{Folder, sentences};

const TRAIN: &str = "train --model mini --folds 2 --epochs 1 --threads 2 --output soft";

#[test]
fn what_predict_writes_is_what_train_reads() {
    let folder = trained();
    let predict =
        "predict --run run --input train.csv --output soft.csv --probabilities --with-text";
    assert_eq!(folder.run(&format!("{predict} --quiet")), "exit code: 0\n");
    let written = folder.read("soft.csv");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines[0], "id,text,joy,fear");
    assert!(lines[1].starts_with("r0,\"a lovely, a lovely and number 0\",0."), "{}", lines[1]);

    let said = folder.run(&format!("{TRAIN} --train-csv soft.csv --soft-labels --device cpu"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    for words in [
        "labels are the columns that hold only probabilities from 0 to 1: joy, fear\n",
        "  if one of them is no label, name those that are with `--labels`\n",
        "labels are probabilities: folds, thresholds and scores take 0.5 and more as 1\n",
    ] {
        assert!(said.contains(words), "`{words}` in {said}");
    }
    assert!(folder.read("soft/config.toml").contains("\nsoft-labels = true\n"));
    assert_eq!(ids(&folder.read("soft/folds.csv"), 1), ids(&folder.read("run/folds.csv"), 1));
    assert_eq!(folder.read("soft/oof.csv").lines().next(), Some("id,joy,fear"));
    // Each label is counted where its probability is 0.5 or more.
    let summary: serde_json::Value =
        serde_json::from_str(&folder.read("soft/summary.json")).unwrap();
    for (label, column) in [(0, 2), (1, 3)] {
        let on = lines[1..].iter().filter(|line| {
            let cells: Vec<&str> = line.rsplit(',').collect();
            cells[3 - column].parse::<f64>().unwrap() >= 0.5
        });
        assert_eq!(summary["per_label"][label]["support"], on.count());
    }

    // What a run was trained on, it is also scored on; another run asks for the flag.
    let evaluated = folder.run("evaluate --run soft --input soft.csv --quiet");
    assert!(evaluated.starts_with("exit code: 0\n--- stdout\n60 rows\n"), "{evaluated}");
    let evaluated = folder.run("evaluate --run run --input soft.csv --quiet");
    assert!(evaluated.contains(
        "hint: correct the value, or, if labels are probabilities here: `evaluate --soft-labels`"
    ));
    let evaluated = folder.run("evaluate --run run --input soft.csv --soft-labels --quiet");
    assert!(evaluated.starts_with("exit code: 0\n--- stdout\n60 rows\n"), "{evaluated}");
    let exported = folder.run("export --run soft --output bundle --quiet");
    assert!(exported.starts_with("exit code: 0\n"), "{exported}");
}

#[test]
fn a_soft_label_that_changed_is_noticed_when_a_run_is_resumed() {
    let csv = sentences(60).replace(",1,", ",0.9,").replace(",0\n", ",0.2\n");
    let folder = Folder::with(&[("train.csv", &csv)]);
    let train = format!("{TRAIN} --train-csv train.csv --soft-labels --quiet");
    let said = folder.run(&format!("{train} --only-fold 0"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    folder.write("train.csv", csv.replacen(",0.9,", ",0.8,", 1));
    insta::assert_snapshot!(folder.run(&format!("{train} --resume")), @r"
    exit code: 2
    --- stderr
    error: the ids, texts or labels of `train.csv` are not those that the training of `soft` began with
    hint: pass the same content as `--train-csv`, or train into another `--output`
    ");
    folder.write("train.csv", &csv);
    let said = folder.run("train --resume --output soft --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
}

/// The second column of folds.csv.
fn ids(csv: &str, column: usize) -> Vec<String> {
    csv.lines().map(|line| line.split(',').nth(column).unwrap().to_owned()).collect()
}
