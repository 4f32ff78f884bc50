//! A small training from first to last, and what can be done with the run it leaves.
//!
//! Figures are not compared here: they may differ in the last digit from machine to machine.

use std::{fs, process::Stdio};

use super::{Folder, sentences, told, without_host};

const TRAIN: &str = "train --model mini --folds 2 --epochs 1 --threads 2 --output run \
                     --train-csv train.csv --test-csv test.csv";

/// Awkward but whole: a byte-order mark, quotes, commas, newlines, no text at all, no id.
const TEST: &str = "\u{feff}text,id\n\"said \"\"hi\"\", left\",z\n\"two\nlines\",a\n,m\nplain,b\n";

fn folder() -> Folder {
    Folder::with(&[("train.csv", &sentences(60)), ("test.csv", TEST)])
}

pub fn trained() -> Folder {
    let folder = folder();
    let output = folder.run(&format!("{TRAIN} --quiet"));
    assert!(output.starts_with("exit code: 0\n"), "{output}");
    folder
}

fn copy_fold(folder: &Folder, from: &str, to: &str) {
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let folder = folder();
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --dry-run --quiet")), @r"
    exit code: 0
    --- stdout
    train.csv: 60 rows
    test.csv: 4 rows
    60 distinct training texts; 0 rows have their text in another fold too (0.0%)
    0 test rows are also in the training file (0.0%)

    model mini: 2 layers x 256, 1,268,226 parameters, 61 token ids
    about 106 MB of memory

    training texts have 9.9 tokens on average, 10 at most
    0 of them are longer than 128 tokens and would be truncated
    0 of the test texts would be truncated

    2 folds to train, each in 1 epoch of 2 steps of 16 texts
    2 steps a fold, the first 0 of them warm-up to a learning rate of 5e-4

    fold  rows    joy   fear
    0       30  73.3%  73.3%
    1       30  76.7%  73.3%
    all     60  75.0%  73.3%
    --- stderr
    warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
    ");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_run_holds_what_it_should_and_tells_how_it_went() {
    let folder = folder();
    let output = folder.command(TRAIN).output().unwrap();
    let (code, stderr) = (output.status.code(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("macro-F1 over 60 out-of-fold"));
    // A log whose lines may lie among those of other processes.
    let host = native_train::run::lease::host();
    for fold in 0..2 {
        let line = format!("\n[{host} fold-{fold}] ({} of 2) epoch 1/1: loss 0.", fold + 1);
        assert!(stderr.contains(&line), "{stderr}");
    }
    assert!(stderr.lines().all(|line| line.starts_with(&format!("[{host}"))), "{stderr}");
    assert!(stderr.chars().all(|c| c == '\n' || !c.is_control()), "{stderr:?}");
    let stderr = without_host(&stderr);
    assert!(stderr.contains("warning: `test.csv`: 1 row without a text"), "{stderr}");
    if cfg!(not(feature = "cuda")) {
        let why = "no CUDA device: this build has no CUDA; training on the CPU\n";
        assert!(stderr.starts_with(why), "{stderr}");
    }

    for file in ["fold-0/model.safetensors", "fold-1/tokenizer.json", "summary.json"] {
        assert!(folder.path().join("run").join(file).is_file(), "{file}");
    }
    assert_eq!(folder.read("run/folds.csv").lines().count(), 61);
    assert_eq!(folder.read("run/oof.csv").lines().next(), Some("id,joy,fear"));
    let submission = folder.read("run/submission.csv");
    let ids: Vec<&str> = submission.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ids, ["id", "z", "a", "m", "b"]);
    insta::assert_snapshot!(folder.read("run/config.toml"), @r#"
    train-csv = "train.csv"
    output = "run"
    test-csv = "test.csv"
    model = "mini"
    max-len = 128
    labels = ["joy", "fear"]
    skip-unlabelled = false
    soft-labels = false
    folds = 2
    split = "grouped"
    epochs = 1
    batch-size = 16
    grad-accumulation = 1
    lr = 0.0005
    warmup-ratio = 0.1
    weight-decay = 2.0
    max-grad-norm = 1.0
    no-shuffle = false
    seed = 42
    device = "cpu"
    precision = "f32"
    parallel-folds = "auto"
    checkpoint-seconds = 0
    tensorboard = false
    threads = 2
    "#);

    // What was decided when the run ended is decided again from its files.
    let predicted = folder.run("predict --run run --input test.csv --output out.csv --quiet");
    insta::assert_snapshot!(predicted, @r"
    exit code: 0
    --- stderr
    warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
    ");
    assert_eq!(folder.read("out.csv"), submission);
}

#[test]
fn quiet_leaves_warnings_on_stderr() {
    let folder = folder();
    let output = folder.command(&format!("{TRAIN} --quiet")).output().unwrap();
    insta::assert_snapshot!(without_host(&String::from_utf8(output.stderr).unwrap()), @r"
    warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
    ");
}

#[test]
fn a_finished_run_is_neither_overwritten_nor_trained_again() {
    let folder = trained();
    let summary = folder.read("run/summary.json");
    insta::assert_snapshot!(without_host(&folder.run(&format!("{TRAIN} --device cpu"))), @r"
    exit code: 2
    --- stderr
    labels are the columns that hold only 0 and 1: joy, fear
    warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
    error: `run` already holds a run
    hint: pass `--resume` to continue it, or another `--output`
    ");
    insta::assert_snapshot!(
        without_host(&folder.run("train --resume --output run --lr 0.5 --dropout 0.3 --quiet")), @r"
        exit code: 2
        --- stderr
        warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
        error: `run` was begun with other settings:
          dropout: was not set, now 0.3
          lr: was 0.0005, now 0.5
        hint: leave these settings out to continue the run, or train into another `--output`
        "
    );
    let again = folder.run("train --resume --output run");
    assert!(again.starts_with("exit code: 0\n--- stdout\nmacro-F1 over 60 out-of-fold"), "{again}");
    assert!(again.ends_with("this run is finished: nothing is left to train\n"), "{again}");
    assert_eq!(folder.read("run/summary.json"), summary);

    folder.write("train.csv", sentences(61));
    insta::assert_snapshot!(without_host(&folder.run("train --resume --output run --quiet")), @r"
    exit code: 2
    --- stderr
    warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
    error: the ids, texts or labels of `train.csv` are not those that the training of `run` began with
    hint: pass the same content as `--train-csv`, or train into another `--output`
    ");
}

#[test]
fn folds_may_be_trained_one_by_one() {
    let folder = folder();
    let first = folder.run(&format!("{TRAIN} --only-fold 1 --quiet"));
    assert!(first.contains("(1 of 2 folds, grouped split)"), "{first}");
    insta::assert_snapshot!(folder.run("predict --run run --input test.csv --output out.csv"), @r"
    exit code: 2
    --- stderr
    error: these of the 2 folds of `run` are not trained: 0
    hint: `native-train train --resume --output run` trains them; `predict` and `evaluate` do without them by `--allow-missing-folds`
    ");
    let allowed =
        "predict --run run --input test.csv --output out.csv --allow-missing-folds --quiet";
    insta::assert_snapshot!(folder.run(allowed), @r"
    exit code: 0
    --- stderr
    warning: fold 0 is not trained: its vote is missing
    warning: `test.csv`: 1 row without a text, used as the empty text (the first on line 5)
    ");

    let second = folder.run("train --resume --output run");
    assert!(second.contains("fold 1 is trained already"), "{second}");
    assert!(second.contains("(2 of 2 folds, grouped split)"), "{second}");

    let whole = trained();
    for file in ["oof.csv", "thresholds.json", "fold-0/model.safetensors"] {
        let file = format!("run/{file}");
        let read = |folder: &Folder| fs::read(folder.path().join(&file)).unwrap();
        assert!(read(&folder) == read(&whole), "{file} depends on the order of training");
    }
}

#[test]
fn test_texts_that_come_later_are_for_gather_alone() {
    let folder = folder();
    let without = TRAIN.replace(" --test-csv test.csv", "");
    folder.run(&format!("{without} --quiet"));
    let said = folder.run("train --resume --output run --test-csv test.csv --quiet");
    assert!(said.contains("test-csv: was not set, now \"test.csv\""), "{said}");
    assert!(!folder.path().join("run/submission.csv").exists());
    let said = folder.run("gather --run run --test-csv test.csv --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let whole = trained();
    assert_eq!(folder.read("run/submission.csv"), whole.read("run/submission.csv"));
    // The run is as it began.
    let said = folder.run("train --resume --output run");
    assert!(said.contains("this run is finished"), "{said}");
}

#[test]
fn folds_side_by_side_become_what_they_become_one_after_another() {
    let folder = folder();
    let three = TRAIN.replace("--folds 2", "--folds 3");
    for (run, at_once) in [("apart", 1), ("together", 3)] {
        let train = three.replace("--output run", &format!("--output {run}"));
        let output = folder.run(&format!("{train} --parallel-folds {at_once}"));
        assert!(output.starts_with("exit code: 0\n"), "{output}");
        for fold in 0..3 {
            assert!(output.contains(&format!(" fold-{fold}] ({} of 3) epoch 1/1", fold + 1)));
        }
    }
    let read = |run: &str, file: &str| fs::read(folder.path().join(run).join(file)).unwrap();
    for file in ["oof.csv", "submission.csv", "thresholds.json", "fold-1/metrics.jsonl"] {
        assert!(read("apart", file) == read("together", file), "{file}");
    }
    for fold in 0..3 {
        let model = format!("fold-{fold}/model.safetensors");
        assert!(read("apart", &model) == read("together", &model), "{model}");
    }
}

#[test]
fn parts_of_a_file_are_the_whole_put_together() {
    let folder = trained();
    folder.write("long.csv", sentences(9000));
    let predict = "predict --run run --input long.csv --probabilities --quiet";
    assert_eq!(folder.run(&format!("{predict} --output whole.csv")), "exit code: 0\n");
    let mut together = String::new();
    for part in 0..4 {
        let line = format!("{predict} --output part.csv --part {part}/4");
        assert_eq!(folder.run(&line), "exit code: 0\n");
        together += &folder.read("part.csv");
    }
    assert!(together == folder.read("whole.csv"));
    let said = folder.run(&format!("{predict} --output part.csv --part 4/4"));
    assert!(said.contains("use I/N with I from 0 to N - 1, such as 0/8"), "{said}");
}

#[test]
fn predictions_keep_the_input_s_order_and_pieces_do_not_show() {
    let folder = trained();
    folder.write("long.csv", sentences(5000));
    let line = "predict --run run --input long.csv --output out.csv --probabilities --quiet";
    assert_eq!(folder.run(line), "exit code: 0\n");
    let out = folder.read("out.csv");
    let ids: Vec<String> =
        out.lines().skip(1).map(|l| l.split(',').next().unwrap().into()).collect();
    assert_eq!(ids, (0..5000).map(|row| format!("r{row}")).collect::<Vec<_>>());

    // The last row, of the second piece, has the probabilities that it has alone.
    let last = sentences(5000).lines().last().unwrap().to_owned();
    folder.write("last.csv", format!("id,text,joy,fear\n{last}\n"));
    folder.run("predict --run run --input last.csv --output alone.csv --probabilities");
    let numbers = |csv: &str| -> Vec<f32> {
        csv.lines().last().unwrap().split(',').skip(1).map(|cell| cell.parse().unwrap()).collect()
    };
    for (together, alone) in numbers(&out).into_iter().zip(numbers(&folder.read("alone.csv"))) {
        // Matrix products of another size may add in another order.
        assert!((together - alone).abs() < 1e-6, "{together} {alone}");
    }
}

#[test]
fn evaluation_needs_the_labels_and_gives_a_table_or_json() {
    let folder = trained();
    let table = folder.run("evaluate --run run --input train.csv --quiet");
    assert!(table.starts_with("exit code: 0\n--- stdout\n60 rows\n\nlabel  threshold"), "{table}");
    let json = folder.command("evaluate --run run --input train.csv --json --quiet").output();
    let json: serde_json::Value = serde_json::from_slice(&json.unwrap().stdout).unwrap();
    assert_eq!(json["rows"], 60);
    assert_eq!(json["per_label"][1]["label"], "fear");
    assert!(json["macro"]["tuned"]["f1"].as_f64().unwrap() > 0.0, "{json}");
    insta::assert_snapshot!(folder.run("evaluate --run run --input test.csv --quiet"), @r"
    exit code: 2
    --- stderr
    error: `test.csv` has no column for these labels of the run: `joy`, `fear` (found: `text`, `id`)
    hint: add a column of 0 and 1 for each label of the run; `predict` needs none
    ");
}

#[test]
fn a_run_that_is_none_or_damaged_is_said_to_be() {
    let folder = trained();
    insta::assert_snapshot!(folder.run("predict --run none --input test.csv --output out.csv"), @r"
    exit code: 2
    --- stderr
    error: `none` is not a run: it has no config.toml
    hint: pass the folder that was given to `train --output`
    ");
    let line = "predict --run run --input test.csv --output out.csv --quiet";
    folder.write("out.csv", "precious");

    copy_fold(&folder, "run/thresholds.json", "thresholds.json");
    insta::assert_snapshot!(folder.run(line), @r"
    exit code: 2
    --- stderr
    error: `run/thresholds.json` does not exist
    hint: the run may be unfinished: `train --resume` continues a training that was stopped
    ");
    copy_fold(&folder, "thresholds.json", "run/thresholds.json");

    let model = folder.path().join("run/fold-1/model.safetensors");
    let bytes = fs::read(&model).unwrap();
    fs::write(&model, &bytes[..bytes.len() - 4]).unwrap();
    insta::assert_snapshot!(folder.run(line), @r"
    exit code: 2
    --- stderr
    error: `run/fold-1/model.safetensors` is truncated or damaged: its header asks for 5077640 bytes, it has 5077636
    hint: remove `fold-1` and pass `train --resume`: it will be trained again
    ");
    fs::write(&model, bytes).unwrap();

    folder.write("run/fold-1/tokenizer.json", "{}");
    insta::assert_snapshot!(folder.run(line), @r"
    exit code: 2
    --- stderr
    error: `run/fold-1/tokenizer.json` is damaged: it is not the tokenizer of fold 0
    hint: remove `fold-1` and pass `train --resume`: it will be trained again
    ");
    assert_eq!(folder.read("out.csv"), "precious");
}

#[test]
fn a_config_file_repeats_a_run() {
    let folder = trained();
    let again = folder.run("train --config run/config.toml --output again --quiet");
    assert!(again.starts_with("exit code: 0\n"), "{again}");
    assert_eq!(folder.read("run/oof.csv"), folder.read("again/oof.csv"));
    let other = folder.run("train --config run/config.toml --output other --seed 7 --quiet");
    assert!(other.starts_with("exit code: 0\n"), "{other}");
    assert_ne!(folder.read("run/oof.csv"), folder.read("other/oof.csv"));
}

#[test]
fn nobody_listening_to_stderr_does_not_end_a_training() {
    let folder = folder();
    let mut child =
        folder.command(TRAIN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert!(told(&output).starts_with("exit code: 0\n--- stdout\nmacro-F1"), "{}", told(&output));
}

/// A label that no row has, and one that three rows have: bad figures are told, also with `--quiet`.
#[test]
fn labels_without_rows_are_warned_of_and_never_predicted_by_chance() {
    let mut csv = String::new();
    for (line, text) in sentences(60).lines().enumerate() {
        let more = match line {
            0 => "few,never",
            10 | 20 | 30 => "1,0",
            _ => "0,0",
        };
        csv += &format!("{text},{more}\n");
    }
    let folder = Folder::with(&[("train.csv", &csv), ("test.csv", TEST)]);
    let said = folder.run(&format!("{TRAIN} --quiet"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    for words in [
        "warning: label `never` is 0 in every row",
        "warning: thresholds and scores are uncertain for labels that fewer than 8 of 60 scored rows have: `few` (3)",
        "warning: none of 60 scored rows has these labels, so their thresholds are set where they are not predicted \
         by chance: `never` (0.90)",
        "? uncertain: fewer than 8 rows have the label",
    ] {
        assert!(said.contains(words), "`{words}` in {said}");
    }
    let thresholds: serde_json::Value =
        serde_json::from_str(&folder.read("run/thresholds.json")).unwrap();
    assert_eq!(thresholds["thresholds"][3], 0.9, "{thresholds}");
    let summary: serde_json::Value =
        serde_json::from_str(&folder.read("run/summary.json")).unwrap();
    let basis = |label: usize| summary["per_label"][label]["threshold_basis"].clone();
    assert_eq!((basis(2), basis(3)), ("few_positives".into(), "no_positives".into()), "{summary}");
    assert_eq!(basis(0), "tuned");

    let submission = folder.read("run/submission.csv");
    assert_eq!(submission.lines().next(), Some("id,joy,fear,few,never"));
    assert!(submission.lines().skip(1).all(|row| row.ends_with(",0")), "{submission}");
    // A finished run says it again.
    let again = folder.run("train --output run --resume --quiet");
    assert!(again.contains("`few` (3)") && again.contains("`never` (0.90)"), "{again}");
}
