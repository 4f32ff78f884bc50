//! `report`, `audit` and `compare`: a run as a page, what it says of its data, and two runs beside each other.

use super::Folder;
use super::training::trained;

const OTHER: &str = "train --model mini --folds 2 --epochs 1 --threads 2 --quiet";

#[test]
fn a_training_leaves_a_report_that_asks_for_nothing() {
    let folder = trained();
    let report = folder.read("run/report.html");
    for words in ["<h1>run</h1>", "id=\"scores\"", "<h3>joy</h3>", "<h3>fear</h3>", "id=\"times\""]
    {
        assert!(report.contains(words), "`{words}` in {report}");
    }
    assert!(report.contains("Each of these rows was judged by one model"), "{report}");
    // For each of two labels three pictures, and for all: scores, calibration, five curves, two tables, lengths.
    assert_eq!(report.matches("<svg role=\"img\"").count(), 2 * 3 + 1 + 1 + 5 + 2 + 1);
    assert_eq!(report.matches("<svg").count(), report.matches("<summary>Values</summary>").count());
    for never in ["<script", "http:", "https:", "src=", "@import", "NaN"] {
        assert!(!report.contains(never), "`{never}` in {report}");
    }
    let said = folder.run("report --run run");
    assert_eq!(said, "exit code: 0\n--- stderr\nthe report is `run/report.html`\n");
    assert_eq!(folder.read("run/report.html"), report, "the same as the training wrote");

    let card = folder.read("run/fold-1/README.md");
    let header = card.split("---\n").nth(1).unwrap();
    for words in
        ["- name: \"run, fold 1\"\n", "      name: \"train.csv\"\n", "library_name: transformers\n"]
    {
        assert!(header.contains(words), "`{words}` in {header}");
    }
    let summary: serde_json::Value =
        serde_json::from_str(&folder.read("run/summary.json")).unwrap();
    let honest = summary["cross_validation"]["macro_f1_cross_fitted"].as_f64().unwrap();
    assert!(header.contains(&format!("value: {honest:.4}\n")), "{header}");
    assert!(card.contains("thresholds = {\"joy\": "), "{card}");

    // Texts are data, not markup.
    let csv = folder.read("train.csv") + "evil,\"<script>alert(1)</script> & so on\",1,1\n";
    folder.write("evil.csv", csv);
    folder.run(&format!("{OTHER} --train-csv evil.csv --output evil"));
    assert!(!folder.read("evil/report.html").contains("<script"));
}

#[test]
fn a_report_on_a_file_counts_rows_that_were_trained_on_and_tells_how_far_models_agree() {
    let folder = trained();
    let before = folder.read("run/report.html");
    // Three rows of the training file, one of them in other letters, and others.
    let train = folder.read("train.csv");
    let known: Vec<&str> = train.lines().skip(1).take(3).collect();
    let shouted = known[2].to_uppercase();
    let held = format!(
        "id,text,joy,fear\n{}\n{}\n{shouted}\na,a lovely cake,1,0\nb,a dark creak,0,1\nc,a chair,0,0\nd,so lovely,1,0\n",
        known[0], known[1]
    );
    folder.write("held.csv", held);
    let said = folder.run("report --run run --input held.csv");
    assert_eq!(said, "exit code: 0\n--- stderr\nthe report is `run/report-held.html`\n");
    let report = folder.read("run/report-held.html");
    for words in [
        "<h1>run on held.csv</h1>",
        "3 of 7 rows have the text of a training row, which the models have learned, so the scores are too good",
        "<dt>In the training file</dt><dd>the texts of 3 rows (42.9%)</dd>",
        "<dt>Judged by</dt><dd>the mean of 2 folds, at the run's thresholds</dd>"
            .replace('\'', "&#39;")
            .as_str(),
    ] {
        assert!(report.contains(words), "`{words}` in {report}");
    }
    for absent in ["id=\"learning\"", "id=\"times\"", "without one fold", "NaN", "<script", "http:"]
    {
        assert!(!report.contains(absent), "`{absent}` in {report}");
    }
    assert_eq!(report.matches("<svg role=\"img\"").count(), 2 * 3 + 1 + 1 + 2 + 1 + 1);
    assert_eq!(folder.read("run/report.html"), before);

    // The scores are those of `evaluate`, on all rows and on those that are new.
    let evaluated = |file: &str| {
        let json = folder.run(&format!("evaluate --run run --input {file} --json --quiet"));
        let json = json.strip_prefix("exit code: 0\n--- stdout\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        ["at_half", "tuned"].map(|way| format!("{:.4}", json["macro"][way]["f1"].as_f64().unwrap()))
    };
    let told = |way: &str| {
        let row = format!("<th scope=\"row\">{way}</th><td>").replace('\'', "&#39;");
        report.split(&row).nth(1).unwrap_or_else(|| panic!("{way}"))[..6].to_owned()
    };
    assert_eq!([told("at 0.5"), told("run's thresholds")], evaluated("held.csv"));
    let lines: Vec<String> = folder.read("held.csv").lines().map(str::to_owned).collect();
    folder.write("new.csv", [&lines[..1], &lines[4..]].concat().join("\n"));
    assert_eq!(
        [told("new texts, at 0.5"), told("new texts, run's thresholds")],
        evaluated("new.csv")
    );

    // One a row and label.
    let decisions = ["2 of 2", "1 of 2"].map(|models| {
        let row = report.split(&format!("<th scope=\"row\">{models}</th><td>")).nth(1);
        row.map_or(0, |row| row.split('<').next().unwrap().parse::<u32>().unwrap())
    });
    assert_eq!(decisions.iter().sum::<u32>(), 14, "{decisions:?}");

    let said = folder.run("report --run run --input new.csv --output new.html --quiet");
    assert_eq!(said, "exit code: 0\n");
    let report = folder.read("new.html");
    assert!(report.contains("the texts of 0 rows (0.0%)"), "{report}");
    assert!(!report.contains("new texts") && !report.contains("of a training row"), "{report}");
    let said = folder.run("report --run run --output new.html");
    assert!(said.starts_with("exit code: 2\n") && said.contains("--input <FILE>"), "{said}");
}

#[test]
fn an_audit_names_labels_that_contradict_each_other() {
    let folder = trained();
    // Equal but for case, and nearly equal; both with other labels.
    let mut csv = folder.read("train.csv");
    csv += "twin,\"A lovely, a LOVELY and number 0\",0,0\nnear,\"a lovely, a lovely and number 0!\",1,1\n";
    folder.write("more.csv", &csv);
    let said = folder.run(&format!("{OTHER} --train-csv more.csv --output more"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");

    let said = folder.run("audit --run more --output findings.csv --quiet");
    assert!(
        said.starts_with("exit code: 0\n--- stdout\n62 rows by models that have not"),
        "{said}"
    );
    for words in ["1 label in which equal texts", "in which nearly equal texts do", "missed: "] {
        assert!(said.contains(words), "`{words}` in {said}");
    }
    let findings = folder.read("findings.csv");
    let mut lines = findings.lines();
    assert_eq!(lines.next(), Some("found_by,id,text,label,given,suggested,score,other_id"));
    let equal: Vec<&str> = findings.lines().filter(|line| line.starts_with("equal_text")).collect();
    assert_eq!(equal.len(), 1, "{findings}");
    assert!(equal[0].contains(",joy,") && equal[0].contains("0.5,"), "{}", equal[0]);
    let near: Vec<&str> = findings.lines().filter(|line| line.starts_with("near_text")).collect();
    assert!(near.iter().any(|line| line.contains(",fear,")), "{findings}");

    let json = folder.run("audit --run more --json --quiet");
    let json = json.strip_prefix("exit code: 0\n--- stdout\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["rows"], 62);
    assert_eq!(json["findings"].as_array().unwrap().len(), findings.lines().count() - 1);
}

#[test]
fn what_an_audit_needs_is_asked_for() {
    let folder = trained();
    std::fs::rename(folder.path().join("train.csv"), folder.path().join("moved.csv")).unwrap();
    insta::assert_snapshot!(folder.run("audit --run run"), @r"
    exit code: 2
    --- stderr
    error: `train.csv` is not there
    hint: pass the file that the run was trained on as `--train-csv FILE`
    ");
    let said = folder.run("audit --run run --train-csv moved.csv --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    std::fs::remove_file(folder.path().join("run/summary.json")).unwrap();
    insta::assert_snapshot!(folder.run("audit --run run --train-csv moved.csv"), @r"
    exit code: 2
    --- stderr
    error: `run/summary.json` does not exist
    hint: the run may be unfinished: `train --resume` continues a training that was stopped
    ");
}

#[test]
fn an_output_replaces_nothing_that_is_read_nor_a_file_of_the_run() {
    let folder = trained();
    folder.write("new.csv", "id,text,joy,fear\na,a cake,1,0\nb,a dark creak,0,1\n");
    for (command, refused) in [
        ("audit --run run --output train.csv", "is the file that `--train-csv` reads"),
        ("audit --run run --output run/oof.csv", "is a file of the run"),
        ("report --run run --input new.csv --output new.csv", "is the file that `--input` reads"),
        (
            "report --run run --input new.csv --output train.csv",
            "is the file that `--train-csv` reads",
        ),
        (
            "predict --run run --input new.csv --output run/fold-0/model.safetensors",
            "is a file of the run",
        ),
        (
            "cluster slurm predict --run run --input new.csv --output new.csv",
            "is the file that `--input` reads",
        ),
    ] {
        let said = folder.run(command);
        assert!(said.starts_with("exit code: 2\n") && said.contains(refused), "{command}: {said}");
    }
    // A dot in the name is not its end.
    let said = folder.run("report --run run --input new.csv --quiet");
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    folder.write("new.v2.csv", folder.read("new.csv"));
    let said = folder.run("report --run run --input new.v2.csv");
    assert!(said.contains("the report is `run/report-new.v2.html`\n"), "{said}");
}

#[test]
fn folds_that_the_run_does_not_have_are_damage() {
    let folder = trained();
    let folds = folder.read("run/folds.csv").replacen(",0\n", ",9\n", 1);
    folder.write("run/folds.csv", folds);
    for command in ["audit --run run", "report --run run", "export --run run --output bundle"] {
        let said = folder.run(command);
        assert!(
            said.contains("`run/folds.csv` is damaged: it has more folds than the run"),
            "{said}"
        );
    }
}

/// The scores of a run are those of the labels that it learned.
#[test]
fn a_training_file_that_was_changed_is_refused() {
    let folder = trained();
    let csv = folder.read("train.csv");
    let report = folder.read("run/report.html");
    let corrected = csv.replacen(",1,0\n", ",0,1\n", 1);
    let (header, rows) = csv.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    let turned = format!("{header}\n{}\n", rows.join("\n"));
    for changed in [corrected, turned] {
        assert_ne!(changed, csv);
        folder.write("train.csv", &changed);
        for command in ["report --run run", "audit --run run", "compare run run"] {
            let said = folder.run(command);
            let refused = "exit code: 2\n--- stderr\n\
                           error: the ids, texts or labels of `train.csv` are not those that `run` was trained on\n";
            assert!(said.starts_with(refused), "{command}: {said}");
        }
        assert_eq!(folder.read("run/report.html"), report);
    }
}

#[test]
fn two_runs_are_compared_on_the_same_rows() {
    let folder = trained();
    let other = |more: &str| {
        let said = folder.run(&format!("{OTHER} {more}"));
        assert!(said.starts_with("exit code: 0\n"), "{said}");
    };
    let same = folder.run("compare run run --quiet");
    assert!(same.ends_with("run and run decide the same on all 60 distinct texts.\n"), "{same}");

    other("--seed 7 --train-csv train.csv --output other");
    let said = folder.run("compare run other --quiet --top 3");
    for words in
        ["A: run\nB: other\n60 rows, 60 distinct texts\n", "\nmacro ", "rows that moved most:\n"]
    {
        assert!(said.contains(words), "`{words}` in {said}");
    }
    let json = folder.run("compare run other --json --quiet");
    let json = json.strip_prefix("exit code: 0\n--- stdout\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["per_label"][1]["label"], "fear");
    assert!(said.ends_with(&format!("{}\n", json["conclusion"].as_str().unwrap())), "{said}");

    // The same labels in another order, of a file that neither has seen.
    folder.write("new.csv", "text,fear,joy\na cake and a smile,0,1\na dark creak,1,0\n");
    let said = folder.run("compare run other --input new.csv --quiet");
    assert!(said.contains("2 rows, 2 distinct texts"), "{said}");
}

#[test]
fn runs_on_other_rows_or_labels_are_told_apart() {
    let folder = trained();
    let rows: Vec<String> = folder.read("train.csv").lines().map(str::to_owned).collect();
    folder.write("part.csv", rows[..41].join("\n") + "\n");
    let mut other = rows[..41].join("\n").replace("id,text,joy,fear", "id,text,joy,dread");
    other += "\n";
    folder.write("dread.csv", other);
    for name in ["part", "dread"] {
        let said = folder.run(&format!("{OTHER} --train-csv {name}.csv --output {name}"));
        assert!(said.starts_with("exit code: 0\n"), "{said}");
    }
    insta::assert_snapshot!(folder.run("compare run part"), @r"
    exit code: 2
    --- stderr
    error: the runs have scored other rows: 40 rows in common, of 60 of `run` and 40 of `part`
    hint: pass `--shared-rows` to compare on the rows in common, or a labelled file that neither was trained on as `--input FILE`
    ");
    let said = folder.run("compare run part --shared-rows");
    assert!(said.contains("compared on 40 rows that both runs have held out\n"), "{said}");
    insta::assert_snapshot!(folder.run("compare run dread"), @r"
    exit code: 2
    --- stderr
    error: the runs have other labels: only `run` has fear; only `dread` has dread
    hint: compare runs with the same labels
    ");
    insta::assert_snapshot!(Folder::new().run("compare run other"), @r"
    exit code: 2
    --- stderr
    error: `run` is not a run: it has no config.toml
    hint: pass the folder that was given to `train --output`
    ");
}
