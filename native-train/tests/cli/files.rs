//! Files as people have them, through the whole program: the right rows and labels, or an error that leads on.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Folder, sentences, told, training::trained};

const PLAN: &str =
    "train --model mini --epochs 1 --folds 2 --threads 1 --output run --dry-run --train-csv";

/// The plan for a training file, and what is said about the file.
fn plan(file: &str, content: impl AsRef<[u8]>, more: &str) -> String {
    let folder = Folder::new();
    folder.write(file, content);
    let told = folder.run(&format!("{PLAN} {file} {more}"));
    assert!(!folder.path().join("run").exists());
    told
}

/// The table of folds at the end of a plan.
fn folds(plan: &str) -> &str {
    let begin = plan.find("\nfold  rows").unwrap_or_else(|| panic!("{plan}"));
    plan[begin..].split("--- stderr").next().unwrap()
}

#[test]
fn other_delimiters_encodings_and_first_lines_give_the_same_plan() {
    let csv = sentences(60).replace('"', "").replace(", a ", " and a ");
    let expected = plan("train.csv", &csv, "");
    let utf16: Vec<u8> =
        format!("\u{feff}{csv}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        (
            "semicolons.csv",
            csv.replace(',', ";").into_bytes(),
            "the columns are separated by semicolons",
        ),
        ("tabs.tsv", csv.replace(',', "\t").into_bytes(), "the columns are separated by tabs"),
        ("bars.txt", csv.replace(',', "|").into_bytes(), "the columns are separated by bars"),
        ("utf16.csv", utf16[2..].to_vec(), "the file is read as UTF-16 (little-endian)"),
        ("marked.csv", utf16, "the file is read as UTF-16 (little-endian)"),
        (
            "sep.csv",
            format!("sep=,\n{csv}").into_bytes(),
            "line 1 names the delimiter (`sep=`) and is skipped",
        ),
        (
            "comment.csv",
            format!("# exported today\n{csv}").into_bytes(),
            "1 comment line above the header skipped (the first is line 1)",
        ),
        ("spaces.csv", csv.replace("id,text,joy,fear", "ID , Text, Joy ,FEAR ").into_bytes(), ""),
    ];
    for (file, content, said) in cases {
        let found = plan(file, content, "--labels joy,fear");
        assert_eq!(folds(&found), folds(&expected), "{file}");
        assert!(said.is_empty() || found.contains(&format!("`{file}`: {said}\n")), "{found}");
    }
    let forced = plan("train.csv", csv.replace(',', ";"), "--delimiter ; --quiet");
    assert_eq!(folds(&forced), folds(&expected));
    assert!(plan("train.csv", &csv, "--delimiter tab").contains("column `text` not found"));
}

#[test]
fn a_sixth_emotion_is_named_even_when_quiet() {
    let mut csv = "id,text,anger,disgust,fear,joy,sadness,surprise\n".to_owned();
    for row in 0..20 {
        let on = |label: usize| usize::from(row % 6 == label);
        let labels: Vec<String> = (0..6).map(|label| on(label).to_string()).collect();
        csv += &format!("q{row},what a day {row},{}\n", labels.join(","));
    }
    let told = plan("train.csv", &csv, "--quiet");
    let said = "warning: `train.csv`: the labels are the five emotions; the column `disgust` holds only 0 and 1 \
                too, but nothing is learned from it (to take all: `--labels anger,fear,joy,sadness,surprise,disgust`)";
    assert!(told.contains(said), "{told}");
    let all = plan("train.csv", &csv, "--quiet --labels anger,fear,joy,sadness,surprise,disgust");
    assert!(all.contains("disgust\n") && !all.contains("warning"), "{all}");
}

/// Training and `--dry-run` end alike.
#[test]
fn a_blank_label_is_an_error_and_no_lost_label() {
    let csv = sentences(20).replace("6\",1,0\n", "6\",,0\n");
    assert_ne!(csv, sentences(20));
    let expected = "exit code: 2\n--- stderr\n\
         error: `train.csv`, line 8, column `joy`: an empty value is not 0 or 1\n\
         hint: correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1\n";
    assert_eq!(plan("train.csv", &csv, "--quiet"), expected);
    let folder = Folder::with(&[("train.csv", &csv)]);
    let train = format!("{PLAN} train.csv --quiet").replace("--dry-run", "");
    assert_eq!(folder.run(&train), expected);
    assert!(!folder.path().join("run").exists());
}

/// The header of a submission is that of the test file, as competitions ask for it.
#[test]
fn predictions_keep_the_name_of_the_id_column() {
    let folder = trained();
    assert!(folder.read("run/submission.csv").starts_with("id,joy,fear\n"));
    folder.write("new.csv", "comment_id,Comment_Text\n5000,a lovely cake\n");
    let told =
        folder.run("predict --run run --input new.csv --output out.csv --id-column comment_id");
    assert!(told.starts_with("exit code: 0\n"), "{told}");
    assert!(folder.read("out.csv").starts_with("comment_id,joy,fear\n5000,"));
    folder.write("new.csv", "Id,text\n5000,a lovely cake\n");
    folder.run("predict --run run --input new.csv --output out.csv");
    assert!(folder.read("out.csv").starts_with("Id,joy,fear\n5000,"));
    folder.write("new.csv", "tweet_id,text\n5000,a lovely cake\n");
    let told = folder.run("predict --run run --input new.csv --output out.csv");
    assert!(
        told.contains("rows are numbered from 0 (if `tweet_id` holds ids: `--id-column tweet_id`)")
    );
}

/// Integers answer nearly as f32 does, and how nearly is said and true.
#[test]
fn integers_state_their_difference() {
    let folder = trained();
    folder.write("new.csv", "id,text\n1,a lovely cake\n2,what was that noise\n3,nothing\n");
    let predict = "predict --run run --input new.csv --probabilities --device cpu --output";
    folder.run(&format!("{predict} f32.csv"));
    let numbers = |file: &str| -> Vec<f64> {
        let text = folder.read(file);
        let rows = text.lines().skip(1).flat_map(|row| row.split(',').skip(1));
        rows.map(|number| number.parse().unwrap()).collect()
    };
    let exact = numbers("f32.csv");
    for encoding in ["int8", "int12"] {
        let told = folder.run(&format!("{predict} out.csv --encoding {encoding}"));
        let start =
            format!("{encoding} beside f32, over the first 3 texts: a probability differs by ");
        let said = told.split(&start).nth(1).unwrap_or_else(|| panic!("{told}"));
        let said: f64 = said.split(' ').next().unwrap().parse().unwrap();
        let pairs = exact.iter().zip(numbers("out.csv"));
        let found = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(found > 0.0, "{encoding} rounds");
        // Both are rounded: to two digits, and to the eight of the files.
        assert!((found - said).abs() <= 0.06 * found + 2e-8, "{encoding}: {found}, said {said}");
    }
}

#[test]
fn an_output_never_replaces_its_input_or_the_run() {
    let folder = trained();
    let texts = "id,text\n1,a lovely cake\n";
    folder.write("new.csv", texts);
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::hard_link(folder.path().join("new.csv"), folder.path().join("hard.csv")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("new.csv", folder.path().join("soft.csv")).unwrap();
    for output in ["new.csv", "./deep/../new.csv", "hard.csv", "soft.csv"] {
        let told = folder.run(&format!("predict --run run --input new.csv --output {output}"));
        let expected = format!(
            "exit code: 2\n--- stderr\nerror: `--output {output}` is the file that `--input` reads\n\
             hint: give `--output` another name\n"
        );
        assert_eq!(told, expected);
        assert_eq!(folder.read("new.csv"), texts);
    }
    let before = folder.read("run/oof.csv");
    let told = folder.run("predict --run run --input new.csv --output run/oof.csv");
    assert!(told.contains("error: `--output run/oof.csv` is a file of the run\n"), "{told}");
    assert_eq!(folder.read("run/oof.csv"), before);
}

/// A pipe can be read once.
#[cfg(unix)]
#[test]
fn evaluate_reads_its_input_once() {
    let folder = trained();
    let file = folder.run("evaluate --run run --input train.csv --quiet");
    let binary = env!("CARGO_BIN_EXE_native-train");
    let line = format!("{binary} evaluate --run run --quiet --input <(gzip -c train.csv)");
    let mut bash = Command::new("bash");
    bash.args(["-c", &line]).current_dir(folder.path()).stdin(Stdio::null());
    assert_eq!(told(&bash.output().unwrap()), file);
}

/// Output of the shell before and after stays, and so does a link to an open file.
#[cfg(target_os = "linux")]
#[test]
fn standard_output_by_its_path_is_gone_on_with() {
    let folder = trained();
    folder.write("some.csv", sentences(3));
    let predict = "predict --run run --input some.csv --quiet --output";
    folder.run(&format!("{predict} alone.csv"));
    std::os::unix::fs::symlink("/proc/self/fd/1", folder.path().join("link")).unwrap();
    let program = env!("CARGO_BIN_EXE_native-train");
    let script = format!("{{ echo before; {program} {predict} link; echo after; }} > all.csv");
    let mut shell = std::process::Command::new("bash");
    let status = shell.args(["-c", &script]).current_dir(folder.path()).status().unwrap();
    assert!(status.success());
    let expected = format!("before\n{}after\n", folder.read("alone.csv"));
    assert_eq!(folder.read("all.csv"), expected);
    assert!(folder.path().join("link").is_symlink());
}

/// Kaggle gives the labels of a test set with rows of -1 that were not scored.
#[test]
fn evaluate_leaves_unlabelled_rows_out_on_request() {
    let folder = trained();
    let csv = sentences(12);
    let scored = folder.run("evaluate --run run --input some.csv --quiet");
    assert!(scored.contains("cannot open `some.csv`"));
    folder.write("some.csv", &csv);
    let scored = folder.run("evaluate --run run --input some.csv --quiet");
    folder.write("some.csv", csv + "x1,not annotated,-1,-1\nx2,nor this,-1,-1\n");
    insta::assert_snapshot!(folder.run("evaluate --run run --input some.csv"), @r"
    exit code: 2
    --- stderr
    error: `some.csv`, line 14, column `joy`: `-1` is not 0 or 1
    hint: correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1
    ");
    let told = folder.run("evaluate --run run --input some.csv --quiet --skip-unlabelled");
    let said = "warning: `some.csv`: 2 rows in which every label is blank or -1 left out (the first on line 14)\n";
    assert_eq!(told, scored + "--- stderr\n" + said);
}

#[cfg(unix)]
#[test]
fn what_is_read_twice_is_no_pipe() {
    let folder = trained();
    let program = env!("CARGO_BIN_EXE_native-train");
    for command in
        ["compare run run --input", "predict --run run --output out.csv --part 0/1 --input"]
    {
        let script = format!("{program} {command} <(cat train.csv)");
        let mut shell = std::process::Command::new("bash");
        let output = shell.args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(" is a pipe, and "), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn evaluate_names_labels_that_are_missing() {
    let folder = trained();
    folder.write("two.csv", "id,text,joy,FEAR,Fear\n1,a cake,1,0,0\n");
    let told = folder.run("evaluate --run run --input two.csv");
    assert!(told.contains("column `fear` may be any of these: `FEAR`, `Fear`"), "{told}");
    folder.write("some.csv", "id,text,joy\n1,a cake,1\n");
    insta::assert_snapshot!(folder.run("evaluate --run run --input some.csv"), @r"
    exit code: 2
    --- stderr
    error: `some.csv` has no column for these labels of the run: `fear` (found: `id`, `text`, `joy`)
    hint: add a column of 0 and 1 for each label of the run; `predict` needs none
    ");
}

/// Situations that people met with other programs, from the shared folder of data.
#[test]
fn situations_met_elsewhere_end_as_they_should() {
    let Some(cases) = shared_folder("cases") else { return };
    let folder = Folder::new();
    for (file, more, code, said) in [
        ("01-sixth-emotion/train.csv", "--quiet", 0, "the column `disgust` holds only 0 and 1 too"),
        ("02-capital-id/train_ID_Tweet.csv", "", 2, "hint: pass `--text-column Tweet`"),
        ("02-capital-id/train_ID_Tweet.csv", "--text-column tweet", 0, "surprise"),
        (
            "03-submission-header/train.csv",
            "",
            0,
            "if `comment_id` holds ids: `--id-column comment_id`",
        ),
        ("05-utf16-export/utf16_bom.csv", "", 0, "the file is read as UTF-16 (little-endian)"),
        ("06-header-spaces/train.csv", "", 0, "surprise"),
        ("09-true-false/mixed_other_labels.csv", "", 0, "toxic, threat, insult"),
        ("10-one-blank-label/train.csv", "--quiet", 2, "an empty value is not 0 or 1"),
        ("10-one-blank-label/excel_blank_row.csv", "--quiet", 2, "an empty value is not 0 or 1"),
        ("13-minus-one-labels/train.csv", "", 2, "line 5, column `anger`: `-1` is not 0 or 1"),
        (
            "13-minus-one-labels/train.csv",
            "--skip-unlabelled",
            0,
            "every label is blank or -1 left out",
        ),
        ("17-odd-header-lines/comment_first.csv", "", 0, "1 comment line above the header skipped"),
        ("17-odd-header-lines/sep_line.csv", "", 0, "line 1 names the delimiter (`sep=`)"),
        ("22-other-delimiters/pipe.csv", "", 0, "the columns are separated by bars"),
        ("22-other-delimiters/semicolon.csv", "", 0, "the columns are separated by semicolons"),
        ("23-concatenated/cat_other_labels.csv", "", 2, ": the header comes again"),
    ] {
        let path = cases.join(file);
        let line = format!("{PLAN} {} {more}", path.display());
        let told = folder.run(&line);
        assert!(told.starts_with(&format!("exit code: {code}\n")), "{file}: {told}");
        assert!(told.contains(said), "{file}: {told}");
        // `ID` is an id column as well as `id`.
        assert!(!told.contains("there is no id column"), "{file}: {told}");
    }
}

/// A folder of the one that `QUINTET_SHARED` names, or of the one beside the workspace.
fn shared_folder(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let shared = std::env::var_os("QUINTET_SHARED").map_or_else(|| default.into(), PathBuf::from);
    let folder = shared.join(name).canonicalize().ok().filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("skipped: no {name} in {}", shared.display());
    }
    folder
}
