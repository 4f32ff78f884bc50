//! A user's mistakes end with exit code 2 and a remedy, before anything is written.

use super::Folder;

const TRAIN: &str = "train --model mini --threads 1 --quiet --output run --train-csv train.csv";

const CSV: &str = "\
id,text,joy,fear
1,a good day,1,0
2,what was that noise,0,1
3,nothing to say,0,0
4,so happy and so afraid,1,1
";

#[test]
fn an_unknown_instruction_set() {
    let folder = Folder::new();
    let run = |name: &str| {
        folder.command("inspect none").env("QUINTET_INSTRUCTIONS", name).output().unwrap()
    };
    let refused = run("sse9");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.starts_with("error: QUINTET_INSTRUCTIONS is `sse9`; it may be portable"),
        "{said}"
    );
    let allowed = String::from_utf8(run("portable").stderr).unwrap();
    assert!(!allowed.contains("QUINTET_INSTRUCTIONS"), "{allowed}");
}

/// A run's tables begin with a column of that name.
#[test]
fn a_label_cannot_be_named_id() {
    let csv = CSV.replace("id,text,joy,fear", "key,text,id,joy");
    let folder = Folder::with(&[("train.csv", &csv)]);
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --id-column key --labels id,joy --folds 2")), @r"
    exit code: 2
    --- stderr
    error: `id` cannot be a label: the run's tables have a column of that name
    hint: give the label another name in the training file
    ");
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_no_settings_can_hold() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::with(&[("train.csv", CSV)]);
    let mut command = folder.command("train --train-csv train.csv --model mini --output");
    let output = command.arg(std::ffi::OsStr::from_bytes(b"caf\xe9")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: `output` is `caf\u{fffd}`, which is not UTF-8\n"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn settings() {
    let folder = Folder::with(&[
        ("typo.toml", "# ours\nmodel = \"mini\"\nbatchsize = 8\n"),
        ("type.toml", "lr = \"fast\"\n"),
        ("broken.toml", "folds = \n"),
        ("range.toml", "dropout = 1.0\n"),
    ]);
    insta::assert_snapshot!(folder.run("train --output run"), @r"
    exit code: 2
    --- stderr
    error: `train-csv` is not set
    hint: pass `--train-csv FILE`, or set `train-csv` in a config file
    ");
    insta::assert_snapshot!(folder.run("train --config none.toml"), @r"
    exit code: 2
    --- stderr
    error: config file `none.toml` does not exist
    hint: check the path given as `--config`
    ");
    insta::assert_snapshot!(folder.run("train --config typo.toml"), @r"
    exit code: 2
    --- stderr
    error: `typo.toml`, line 3: unknown key `batchsize`
    hint: did you mean `batch-size`? The keys are the flags of `native-train train` without the leading dashes
    ");
    insta::assert_snapshot!(folder.run("train --config type.toml"), @r#"
    exit code: 2
    --- stderr
    error: `type.toml`, line 1, `lr = "fast"`: invalid type: string "fast", expected f64
    "#);
    insta::assert_snapshot!(folder.run("train --config broken.toml"), @r"
    exit code: 2
    --- stderr
    error: `broken.toml`, line 1, `folds =`: string values must be quoted, expected literal string
    ");
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --config range.toml")), @r"
    exit code: 2
    --- stderr
    error: `dropout` is 1, but must be 0 or more and below 1
    ");
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --folds 1")), @r"
    exit code: 2
    --- stderr
    error: `folds` is 1, but must be 2 or more
    ");
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --folds 3 --only-fold 3")), @r"
    exit code: 2
    --- stderr
    error: `only-fold` is 3, but must be below the number of folds, 3
    ");
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --labels joy,joy")), @r#"
    exit code: 2
    --- stderr
    error: `labels`: label names must be distinct and not empty, got ["joy", "joy"]
    "#);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn machines_that_are_not_there() {
    let folder = Folder::with(&[("train.csv", CSV)]);
    #[cfg(not(feature = "cuda"))]
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --device cuda:1")), @r"
    exit code: 2
    --- stderr
    error: device `cuda:1` was asked for, but this build has no CUDA
    hint: build with `--features cuda`, pass `--device cpu`, or leave `--device` out
    ");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn data() {
    let folder = Folder::with(&[
        ("train.csv", CSV),
        ("tweets.csv", "tweet,joy\nhello you,1\n"),
        ("value.csv", "text,joy\nfine,1\n\"two\nlines\",2\n"),
    ]);
    let with = |file: &str, more: &str| TRAIN.replace("train.csv", file) + " " + more;
    insta::assert_snapshot!(folder.run(&with("none.csv", "")), @r"
    exit code: 2
    --- stderr
    error: cannot open `none.csv`: no such file
    hint: check the path; a relative one starts at the current folder
    ");
    insta::assert_snapshot!(folder.run(&with("tweets.csv", "")), @r"
    exit code: 2
    --- stderr
    error: column `text` not found in `tweets.csv` (found: `tweet`, `joy`)
    hint: pass `--text-column tweet`
    ");
    insta::assert_snapshot!(folder.run(&with("train.csv", "--labels joy,anger")), @r"
    exit code: 2
    --- stderr
    error: column `anger` not found in `train.csv` (found: `id`, `text`, `joy`, `fear`)
    hint: pass `--labels` with the names of columns that hold 0 and 1
    ");
    insta::assert_snapshot!(folder.run(&with("value.csv", "--labels joy")), @r"
    exit code: 2
    --- stderr
    error: `value.csv`, line 3, column `joy`: `2` is not 0 or 1
    hint: correct the value, or name other columns with `--labels`
    ");
    insta::assert_snapshot!(folder.run(&with("train.csv", "--folds 5")), @r"
    exit code: 2
    --- stderr
    error: 4 rows cannot fill 5 folds
    hint: pass fewer `--folds`, or add rows
    ");
    assert!(!folder.path().join("run").exists());
}
