//! A teacher and its students, from first to last, and what is refused.

use std::fs;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::Folder;
use super::training::trained;

const DISTIL: &str =
    "distil --run run --model mini --epochs 1 --threads 2 --device cpu --output student";

/// Two new texts, one of them twice, and a row of the training file in other letters.
const TEXTS: &str = "nr,text\nx,a quiet evening\ny,\"A Lovely, a lovely and number 0\"\n\
                     z,\"Quiet, evening\"\nw,a  QUIET evening\n";
const MORE: &str = "a quiet evening\n\nthe shadow of a cake\n";

fn folder() -> Folder {
    let folder = trained();
    folder.write("texts.csv", TEXTS);
    folder.write("more.txt", MORE);
    folder
}

fn distilled(more: &str) -> Folder {
    let folder = folder();
    let said = folder.run(&format!("{DISTIL} {more}"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    folder
}

fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    fs::read(folder.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn changed(folder: &Folder, file: &str) -> SystemTime {
    fs::metadata(folder.path().join(file)).unwrap().modified().unwrap()
}

#[test]
fn a_dry_run_prints_what_each_model_learns_from() {
    let folder = folder();
    let plan = format!("{DISTIL} --texts texts.csv more.txt --baseline --dry-run");
    let said = folder.run(&plan);
    let (_, teaching) = said.split_once("\nteacher ").unwrap();
    let (teaching, stderr) = teaching.split_once("--- stderr\n").unwrap();
    let (_, table) = teaching.split_once('\n').unwrap();
    insta::assert_snapshot!(table, @r"
    an answer counts 0.7 beside a label, at a temperature of 1

    model         rows  left out  texts  steps
    student 0       30         0      3      3
    student 1       30         0      3      3
    final           60         0      3      4
    no teacher 0    30         0      0      2
    no teacher 1    30         0      0      2
    ");
    insta::assert_snapshot!(stderr, @r"
    6 texts in 2 files: 3 to learn from
      2 texts left out, as an equal one came before
      1 text left out, as an equal one is in the training file: it is learned with its labels, or held out
    42 tensors initialised, none loaded
    ");
    assert!(!folder.path().join("student").exists());
}

#[test]
fn a_student_learns_from_its_teacher_and_leaves_an_ordinary_run() {
    let folder = folder();
    let line = format!("{DISTIL} --texts texts.csv more.txt --test-csv test.csv --baseline");
    let said = folder.run(&line);
    assert!(
        said.starts_with("exit code: 0\n--- stdout\nmacro-F1 over 60 out-of-fold rows"),
        "{said}"
    );
    for words in [
        "\nteacher (mini)",
        "\nstudents (mini)",
        "\nno teacher (mini)",
        "\nfinal: learned from the whole ensemble on 63 rows and texts",
        "6 texts in 2 files: 3 to learn from\n",
        "  2 texts left out, as an equal one came before\n",
        "  1 text left out, as an equal one is in the training file",
        "fold 0 of the teacher answers\n",
        "fold 1 of the teacher answers\n",
    ] {
        assert!(said.contains(words), "`{words}` in {said}");
    }
    insta::assert_snapshot!(without_digests(&folder.read("student/distil.toml")), @r#"
    teacher = "run"
    texts = ["texts.csv", "more.txt"]
    alpha = 0.7
    temperature = 1.0
    baseline = true
    teacher-place = "../run"
    text-places = ["../texts.csv", "../more.txt"]
    "#);
    for file in [
        "final/model.safetensors",
        "baseline/fold-1/model.safetensors",
        "oof.csv",
        "submission.csv",
    ] {
        assert!(folder.path().join("student").join(file).is_file(), "{file}");
    }
    assert_eq!(folder.read("student/folds.csv"), folder.read("run/folds.csv"));
    // 30 rows and 3 texts are three steps of 16, all 63 are four; no row is left to validate the final model on.
    let steps = |file: &str| {
        let log = folder.read(file);
        log.lines().filter(|line| line.starts_with("{\"step\"")).count()
    };
    assert_eq!(steps("student/fold-0/metrics.jsonl"), 3);
    assert_eq!(steps("student/baseline/fold-0/metrics.jsonl"), 2);
    assert_eq!(steps("student/final/metrics.jsonl"), 4);
    assert!(!folder.read("student/final/metrics.jsonl").contains("validation"));

    let summary: serde_json::Value =
        serde_json::from_str(&folder.read("student/summary.json")).unwrap();
    let distillation = &summary["distillation"];
    let teacher: serde_json::Value =
        serde_json::from_str(&folder.read("run/summary.json")).unwrap();
    assert_eq!(distillation["teacher_scores"], teacher["cross_validation"]);
    assert_eq!(distillation["texts"]["used"], 3);
    assert!(distillation["baseline"]["macro_f1_at_half"].is_number());
    let honest = &summary["cross_validation"]["macro_f1_cross_fitted"];
    assert_eq!(&distillation["final"]["expected_macro_f1"], honest);

    // What can be done with a run can be done with this one.
    let predicted = folder.run("predict --run student --input test.csv --output out.csv --quiet");
    assert!(predicted.starts_with("exit code: 0\n"), "{predicted}");
    assert_eq!(folder.read("out.csv"), folder.read("student/submission.csv"));
    let inspected = folder.run("inspect student");
    assert!(inspected.contains("  beside them a final model of all rows"), "{inspected}");
    assert!(inspected.contains("  learned from `run`, whose macro-F1 at 0.5 is "), "{inspected}");
    let inspected = folder.run("inspect student/final --text lovely");
    assert!(inspected.contains("[CLS]"), "{inspected}");
    let next =
        "train --model student/final --train-csv train.csv --folds 2 --output next --dry-run";
    assert!(folder.run(next).starts_with("exit code: 0\n"));
    let again = folder.run("distil --resume --output student");
    assert!(again.contains("this run is finished: nothing is left to train"), "{again}");
}

#[test]
fn the_final_model_is_exported_alone() {
    let folder = distilled("--quiet");
    let said =
        folder.run("export --run student --output bundle --only final --encoding f32 --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    assert!(said.contains("\n  the final model as f32: "), "{said}");
    assert!(said.contains("every text was seen in training"), "{said}");
    let manifest: serde_json::Value =
        serde_json::from_str(&folder.read("bundle/manifest.json")).unwrap();
    assert_eq!(manifest["provenance"]["final_model"], true);
    let summary: serde_json::Value =
        serde_json::from_str(&folder.read("student/summary.json")).unwrap();
    assert_eq!(
        manifest["scores"]["macro_f1_cross_fitted"],
        summary["cross_validation"]["macro_f1_cross_fitted"]
    );
    // The weights are those of RUN/final, to the bit.
    assert!(manifest["verification"]["logit_difference"].as_f64().unwrap() < 1e-5);
    let inspected = folder.run("inspect bundle");
    assert!(
        inspected.contains("  a final model beside the folds of 2, trained from mini"),
        "{inspected}"
    );

    insta::assert_snapshot!(folder.run("export --run run --output other --only final"), @r"
    exit code: 2
    --- stderr
    error: `run` has no final model
    hint: `distil` trains one; `--soup` averages the folds of any run
    ");
    let both = folder.run("export --run student --output other --only final --soup");
    assert!(both.starts_with("exit code: 2\n"), "{both}");
}

fn manifest(folder: &Folder, bundle: &str) -> Value {
    serde_json::from_str(&folder.read(&format!("{bundle}/manifest.json"))).unwrap()
}

#[test]
fn folds_and_final_model_are_exported_together_and_verified() {
    let folder = distilled("--quiet");
    let said = folder.run("export --run student --output both --encoding f32 --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    assert!(said.contains("\n  2 folds and the final model as f32: "), "{said}");
    let beginning = "\n  a page answers by the final model at first, which is ";
    assert!(said.contains(beginning) && said.contains(", and asks before it loads the 2 folds: "));
    assert!(said.contains("\n  the final model:\n    probabilities differ"), "{said}");
    let both = manifest(&folder, "both");
    assert_eq!((&both["folds"], both["provenance"].get("final_model")), (&json!([0, 1]), None));
    for verification in [&both["verification"], &both["final_model"]["verification"]] {
        // The weights are those of the run, to the bit.
        assert!(verification["logit_difference"].as_f64().unwrap() < 1e-5, "{verification}");
    }
    let inspected = folder.run("inspect both");
    assert!(
        inspected.contains("  folds 0, 1 and a final model of 2, trained from mini"),
        "{inspected}"
    );

    // Each half alone is what it is beside the other.
    folder.run("export --run student --output alone --only final --encoding f32 --quiet");
    assert_eq!(manifest(&folder, "alone")["verification"], both["final_model"]["verification"]);
    let said =
        folder.run("export --run student --output folds --only folds --encoding f32 --quiet");
    assert!(said.contains("\n  2 folds as f32: ") && !said.contains("final model"), "{said}");
    let folds = manifest(&folder, "folds");
    assert!(folds.get("final_model").is_none());
    assert_eq!(folds["verification"], both["verification"]);
}

#[test]
fn an_encoding_is_chosen_for_folds_and_final_model_together() {
    let folder = distilled("--quiet");
    let said = folder.run(
        "export --run student --output bundle --encoding auto --candidates int16,int4 \
         --max-f1-drop 1 --quiet",
    );
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let found = manifest(&folder, "bundle");
    let moved = |found: &Value| found["mean_fold_probability_difference"].as_f64().unwrap();
    assert!(moved(&found["verification"]) <= 0.02, "{found}");
    assert!(moved(&found["final_model"]["verification"]) <= 0.02, "{found}");
    let deltas = "export --run student --output deltas --encoding int8+4/4 --quiet";
    assert!(folder.run(deltas).starts_with("exit code: 0\n"));
    let found = &manifest(&folder, "deltas")["final_model"]["verification"];
    assert!(moved(found) < 0.02, "{found}");
}

#[test]
fn a_final_model_that_cannot_be_used_is_named_and_can_be_left_out() {
    let folder = distilled("--quiet");
    let config = folder.read("student/final/config.json");
    folder.write(
        "student/final/config.json",
        config.replace("\"layer_norm_eps\": 1e-7", "\"layer_norm_eps\": 1e-6"),
    );
    insta::assert_snapshot!(folder.run("export --run student --output bundle --quiet"), @r"
    exit code: 2
    --- stderr
    error: `student/final/config.json` is damaged: it is not the config of fold 0
    hint: `--only folds` exports the run without its final model
    ");
    let said = folder.run("export --run student --output bundle --only folds --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let both = "export --run student --output bundle --only final --folds 0";
    insta::assert_snapshot!(folder.run(both), @r"
    exit code: 2
    --- stderr
    error: `--only final` exports no folds, but `--folds` names some
    hint: leave one of them out
    ");
}

/// With a weight of 0 the teacher says nothing, so its students are those that never had one.
#[test]
fn a_teacher_that_counts_nothing_teaches_nothing() {
    let folder = distilled("--alpha 0 --baseline --quiet");
    for file in ["fold-0/model.safetensors", "fold-1/model.safetensors", "fold-1/metrics.jsonl"] {
        let student = bytes(&folder, &format!("student/{file}"));
        assert!(student == bytes(&folder, &format!("student/baseline/{file}")), "{file}");
        assert!(student == bytes(&folder, &format!("run/{file}")), "{file}");
    }
    let taught = distilled("--alpha 1 --temperature 2 --quiet");
    let model = "student/fold-0/model.safetensors";
    assert!(bytes(&taught, model) != bytes(&folder, model));
}

#[test]
fn answers_are_computed_once() {
    let folder = distilled("--texts more.txt --quiet");
    let answers = "student/teacher/fold-1/00000.safetensors";
    let (before, model) = (changed(&folder, answers), "student/fold-1/model.safetensors");
    let (whole, trained) = (bytes(&folder, answers), bytes(&folder, model));
    for lost in ["fold-1/model.safetensors", "fold-1/metrics.jsonl", "summary.json"] {
        fs::remove_file(folder.path().join("student").join(lost)).unwrap();
    }
    let said = folder.run("distil --resume --output student");
    assert!(
        said.contains("fold 0 is trained already") && !said.contains("teacher answers"),
        "{said}"
    );
    assert_eq!(changed(&folder, answers), before);
    assert!(bytes(&folder, model) == trained);

    // What is cut off, or of another model, is computed again, to the same bits.
    folder.write(answers, &whole[..whole.len() - 4]);
    fs::copy(
        folder.path().join(answers),
        folder.path().join("student/teacher/fold-0/00000.safetensors"),
    )
    .unwrap();
    fs::remove_file(folder.path().join("student/summary.json")).unwrap();
    let said = folder.run("distil --resume --output student");
    assert!(said.contains("fold 0 of the teacher answers"), "{said}");
    assert!(bytes(&folder, answers) == whole);
    assert!(bytes(&folder, model) == trained);
}

#[test]
fn a_run_goes_on_with_what_it_began_with() {
    let folder = distilled("--texts more.txt --quiet");
    fs::remove_file(folder.path().join("student/summary.json")).unwrap();
    insta::assert_snapshot!(
        folder.run("distil --resume --output student --alpha 0.5 --temperature 2 --quiet"), @r"
        exit code: 2
        --- stderr
        error: `student` was begun with other settings:
          alpha: was 0.7, now 0.5
          temperature: was 1, now 2
        hint: leave these settings out to continue the run, or distil into another `--output`
        ");
    insta::assert_snapshot!(
        folder.run("distil --resume --output student --lr 0.5 --quiet"), @r"
        exit code: 2
        --- stderr
        error: `student` was begun with other settings:
          lr: was 0.0005, now 0.5
        hint: leave these settings out to continue the run, or train into another `--output`
        ");
    insta::assert_snapshot!(
        folder.run("distil --resume --output student --texts texts.csv --quiet"), @r"
        exit code: 2
        --- stderr
        error: the texts of `--texts` are not those from which the students of `student` began to learn
        hint: pass the same files as `--texts`, or distil into another `--output`
        ");
    insta::assert_snapshot!(folder.run("train --resume --output student --quiet"), @r"
    exit code: 2
    --- stderr
    error: `student` was begun by `distil`
    hint: `native-train distil --resume --output student` continues it
    ");
    insta::assert_snapshot!(folder.run("distil --resume --output run --quiet"), @r"
    exit code: 2
    --- stderr
    error: `run` was begun by `train`, not by `distil`
    hint: `native-train train --resume --output run` continues it
    ");
    insta::assert_snapshot!(folder.run(&format!("{DISTIL} --quiet")), @r"
    exit code: 2
    --- stderr
    error: `student` already holds a run
    hint: pass `--resume` to continue it, or another `--output`
    ");

    // All inputs moved, and are given anew.
    for (from, to) in [("run", "old"), ("more.txt", "old.txt"), ("train.csv", "old.csv")] {
        fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    }
    let resume = "distil --resume --output student --run old --texts old.txt --train-csv old.csv";
    // The comparison may be wanted later.
    let said = folder.run(&format!("{resume} --baseline"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    assert!(said.contains("\nno teacher (mini)"), "{said}");

    // Another teacher of the same rows is not this one.
    let other = "train --model mini --folds 2 --epochs 1 --threads 2 --output other --train-csv old.csv --seed 7";
    folder.run(&format!("{other} --quiet"));
    fs::copy(
        folder.path().join("other/fold-1/model.safetensors"),
        folder.path().join("old/fold-1/model.safetensors"),
    )
    .unwrap();
    fs::remove_file(folder.path().join("student/summary.json")).unwrap();
    insta::assert_snapshot!(folder.run("distil --resume --output student --quiet"), @r"
    exit code: 2
    --- stderr
    error: fold 1 of the teacher `old` is not the model from which the students of `student` began to learn
    hint: pass the same teacher as `--run`, or distil into another `--output`
    ");
}

#[test]
fn mistakes_are_said_before_anything_is_written() {
    let folder = folder();
    for (flag, words) in [
        ("--folds 3", "error: `--folds` is decided by the teacher"),
        ("--split stratified", "error: `--split` is decided by the teacher"),
        ("--labels joy", "error: `--labels` is decided by the teacher"),
        ("--text-column text", "error: `--text-column` is decided by the teacher"),
        ("--id-column id", "error: `--id-column` is decided by the teacher"),
        ("--delimiter comma", "error: `--delimiter` is decided by the teacher"),
        ("--label-list-column l", "error: `--label-list-column` is decided by the teacher"),
        ("--skip-unlabelled", "error: `--skip-unlabelled` is decided by the teacher"),
        ("--soft-labels", "error: `--soft-labels` is decided by the teacher"),
        ("--only-fold 0", "error: `--only-fold` is not for `distil`"),
        ("--alpha 1.5", "error: `alpha` is 1.5, but must be between 0 and 1\n"),
        ("--temperature 0", "error: `temperature` is 0, but must be above 0\n"),
        ("--texts none.csv", "error: cannot open `none.csv`: no such file\n"),
        ("--train-csv texts.csv", "error: "),
    ] {
        let said = folder.run(&format!("{DISTIL} {flag} --quiet"));
        assert!(said.starts_with("exit code: 2\n") && said.contains(words), "{flag}: {said}");
        assert!(said.contains("\nhint: "), "{flag}: {said}");
    }
    insta::assert_snapshot!(folder.run("distil --output student --model mini --quiet"), @r"
    exit code: 2
    --- stderr
    error: `run` is not set
    hint: pass the folder of the teacher, a run that `train` wrote, as `--run TEACHER`
    ");
    insta::assert_snapshot!(folder.run("distil --output student --run run --quiet"), @r"
    exit code: 2
    --- stderr
    error: `model` is not set
    hint: pass the model that is to be taught as `--model mini`, a folder or a hub id
    ");
    insta::assert_snapshot!(folder.run(&format!("{DISTIL} --folds 3 --quiet")), @r"
    exit code: 2
    --- stderr
    error: `--folds` is decided by the teacher, whose rows and folds its students have
    hint: leave `--folds` out
    ");
    folder.write("other.csv", folder.read("train.csv").replacen("lovely", "lively", 1));
    insta::assert_snapshot!(folder.run(&format!("{DISTIL} --train-csv other.csv --quiet")), @r"
    exit code: 2
    --- stderr
    error: the training file holds other rows than the teacher `run` was trained on
    hint: pass the file that the teacher was trained on as `--train-csv FILE`
    ");
    fs::remove_file(folder.path().join("run/fold-1/model.safetensors")).unwrap();
    insta::assert_snapshot!(folder.run(&format!("{DISTIL} --quiet")), @r"
    exit code: 2
    --- stderr
    error: these folds of the teacher `run` are not trained: 1
    hint: `native-train train --resume --output run` trains them
    ");
    assert!(!folder.path().join("student").exists());
}

/// Its rows are read as it read them, and its texts may have another column.
#[test]
fn a_teacher_may_have_learned_soft_labels_from_a_file_of_another_form() {
    let folder = folder();
    let csv = folder.read("train.csv").replace(",1,", ",0.9,").replace("id,text,", "id,tweet,");
    folder.write("soft.csv", csv);
    let train = "train --model mini --folds 2 --epochs 1 --threads 2 --output soft --train-csv soft.csv \
                 --soft-labels --text-column tweet --quiet";
    let said = folder.run(train);
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let distil = "distil --run soft --model mini --epochs 1 --threads 2 --texts texts.csv --output student --quiet";
    let said = folder.run(distil);
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let config = folder.read("student/config.toml");
    assert!(
        config.contains("soft-labels = true\n") && config.contains("text-column = \"tweet\"\n")
    );
}

/// Its labels stand in lists.
#[test]
fn a_teacher_may_have_learned_from_lists_of_labels() {
    let folder = folder();
    let rows = folder.read("train.csv");
    let lists = rows.lines().skip(1).map(|row| {
        let (rest, fear) = row.rsplit_once(',').unwrap();
        let (id_and_text, joy) = rest.rsplit_once(',').unwrap();
        let labels = [("joy", joy), ("fear", fear)].into_iter().filter(|(_, on)| *on == "1");
        let labels: Vec<String> = labels.map(|(name, _)| format!("\"\"{name}\"\"")).collect();
        format!("{id_and_text},\"[{}]\"\n", labels.join(", "))
    });
    folder.write("lists.txt", "id,text,labels\n".to_owned() + &lists.collect::<String>());
    let train = "train --model mini --folds 2 --epochs 1 --threads 2 --output lists --train-csv lists.txt \
                 --format csv --label-list-column labels --quiet";
    let said = folder.run(train);
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    let distil = "distil --run lists --model mini --epochs 1 --threads 2 --output student --quiet";
    let said = folder.run(distil);
    assert!(said.starts_with("exit code: 0\n"), "{said}");
}

fn without_digests(toml: &str) -> String {
    let kept =
        toml.lines().filter(|line| !line.contains("digest") && !line.starts_with("teacher-folds"));
    kept.collect::<Vec<_>>().join("\n")
}
