//! A small run becomes a bundle; what goes wrong leaves the folder as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::{Folder, sentences, training::trained};

const EXPORT: &str = "export --run run --output out/bundle --quiet";

/// The files of a folder by name.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect()
}

fn bundle(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    contents(&folder.path().join("out/bundle"))
}

fn manifest(folder: &Folder) -> Value {
    serde_json::from_str(&folder.read("out/bundle/manifest.json")).unwrap()
}

/// The names that the manifest gives, sorted, and its own.
fn named(manifest: &Value) -> Vec<String> {
    let shards = manifest["shards"].as_array().unwrap().iter();
    let names = shards.map(|shard| format!("{}.safetensors", shard["sha256"].as_str().unwrap()));
    let mut names: Vec<String> = names.chain(["manifest.json".to_owned()]).collect();
    names.sort();
    names
}

#[test]
fn a_bundle_holds_what_it_says_and_inspect_tells_it() {
    let folder = trained();
    for encoding in ["f32", "f16", "int16", "int12", "int8", "int8/int4", "int4"] {
        let line = format!("{EXPORT} --encoding {encoding} --title Moods --license MIT");
        let said = folder.run(&line);
        assert!(said.starts_with("exit code: 0\n--- stdout\nbundle `out/bundle`\n"), "{said}");
        assert!(said.contains(&format!("2 folds as {encoding}: ")), "{said}");
        assert!(said.contains("macro-F1 at the thresholds, on 60 held-out rows: 0."), "{said}");

        let manifest = manifest(&folder);
        let files: Vec<String> = bundle(&folder).into_keys().collect();
        assert_eq!(files, named(&manifest), "what older bundles had is gone");
        assert_eq!((&manifest["title"], &manifest["license"]), (&"Moods".into(), &"MIT".into()));
        assert_eq!(manifest["encoding"], encoding);
        assert_eq!(manifest["provenance"]["model"], "mini");
        let summary: Value = serde_json::from_str(&folder.read("run/summary.json")).unwrap();
        let tuned = &summary["cross_validation"]["macro_f1_tuned"];
        assert_eq!(&manifest["scores"]["macro_f1_tuned"], tuned);
        let verification = &manifest["verification"];
        assert_eq!(verification["rows"], 60);
        let difference = verification["probability_difference"].as_f64().unwrap();
        assert_eq!(difference == 0.0, encoding == "f32", "{difference}");
        assert!(difference <= verification["tolerance"].as_f64().unwrap());
        // Both are scored on the very rows and thresholds of the summary.
        let of_run = verification["macro_f1_run"].as_f64().unwrap();
        assert!((of_run - tuned.as_f64().unwrap()).abs() < 1e-9, "{of_run} {tuned}");

        let told = folder.run("inspect out/bundle");
        assert!(
            told.starts_with("exit code: 0\n--- stdout\nbundle `out/bundle`: Moods\n"),
            "{told}"
        );
        for words in ["folds 0, 1 of 2, trained from mini, seed 42", "license: MIT", "joy 0."] {
            assert!(told.contains(words), "{told}");
        }
    }
}

#[test]
fn the_same_run_gives_the_same_bytes_and_other_files_are_let_be() {
    let folder = trained();
    folder.run(EXPORT);
    let first = bundle(&folder);
    assert_eq!(first.len(), named(&manifest(&folder)).len());
    let left_by_a_killed_export = format!("{}.safetensors", "a".repeat(64));
    folder.write(&format!("out/bundle/{left_by_a_killed_export}"), "half");
    folder.write(&format!("out/bundle/.{left_by_a_killed_export}.7.tmp"), "less");
    folder.write("out/bundle/README.md", "ours");
    folder.write("out/bundle/model.safetensors", "ours");
    folder.run(EXPORT);
    let mut second = bundle(&folder);
    assert_eq!(second.remove("README.md").unwrap(), b"ours");
    assert_eq!(second.remove("model.safetensors").unwrap(), b"ours");
    assert!(first == second);
}

/// Folds that come from one model, in `near`.
fn related() -> Folder {
    let folder = trained();
    let line = "train --model run/fold-0 --folds 2 --epochs 1 --lr 1e-5 --threads 2 --output near";
    let said = folder.run(&format!("{line} --train-csv train.csv --quiet"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    folder
}

#[test]
fn deltas_are_from_the_model_that_the_run_began_with() {
    let folder = related();
    let export = "export --run near --output out/bundle --quiet --encoding";
    let bytes = |encoding: &str| {
        let said = folder.run(&format!("{export} {encoding}"));
        assert!(said.starts_with("exit code: 0\n"), "{said}");
        assert!(!said.contains("warning"), "{said}");
        assert_eq!(manifest(&folder)["encoding"], encoding);
        bundle(&folder).values().map(Vec::len).sum::<usize>()
    };
    // A seventh of the two folds' numbers is the tokenizer's and the vectors', which no encoding makes smaller.
    let (whole, deltas) = (bytes("int8"), bytes("int8+1/1"));
    assert!(deltas * 4 < whole * 3, "{deltas} bytes, whole {whole}");
    let difference = manifest(&folder)["verification"]["mean_probability_difference"].as_f64();
    assert!(difference.unwrap() < 0.01, "folds that hardly moved: {difference:?}");

    fs::rename(folder.path().join("run"), folder.path().join("moved")).unwrap();
    let said = folder.run(&format!("{export} int8+1/1"));
    assert!(said.contains("warning: the folds' mean is the base of their deltas"), "{said}");
    let said = folder.run(&format!("{export} int8+1/1 --base-model moved/fold-0"));
    assert!(!said.contains("warning"), "{said}");
    let said = folder.run(&format!("{export} int8+1/1 --base-model run/fold-0/none"));
    assert!(said.starts_with("exit code: 2\n"), "{said}");
}

#[test]
fn auto_takes_the_smallest_that_is_hardly_worse() {
    let folder = related();
    let auto = "export --run near --output out/bundle --quiet --encoding auto";
    let said = folder.run(&format!("{auto} --candidates int16,int8,int8+1/1 --max-f1-drop 1"));
    let table: Vec<&str> = said.lines().skip(2).take(4).collect();
    assert!(table[0].starts_with("encoding  "), "{said}");
    for (line, start) in table[1..].iter().zip(["int16  ", "int8  ", "int8+1/1 *  "]) {
        assert!(line.starts_with(start), "{said}");
    }
    let manifest = manifest(&folder);
    assert_eq!(manifest["encoding"], "int8+1/1");
    let files: Vec<String> = bundle(&folder).into_keys().collect();
    assert_eq!(files, named(&manifest), "of the other candidates nothing is left");
    let verification = &manifest["verification"];
    assert_eq!(verification["folds"].as_array().unwrap().len(), 2);
    assert_eq!(verification["ensemble"]["seen_in_training"], true);
    assert!(verification["ensemble"]["macro_f1_bundle"].is_f64());

    // Folds that began with random numbers have no base.
    let said = folder.run("export --run run --output other --encoding auto --max-f1-drop nan");
    assert!(said.contains("`max-f1-drop` is NaN, but must be 0 or more"), "{said}");
    let said = folder.run("export --run run --output other --encoding auto --max-f1-drop 1");
    assert!(said.contains("deltas are not measured: without the model that the run began with"));
    assert!(said.contains("\nint4 *  ") && !said.contains("+1"), "{said}");
    // What is larger than int8, which came first and will do, was written only.
    let row = |encoding: &str| said.lines().find(|line| line.starts_with(encoding)).unwrap();
    assert!(row("int16 ").ends_with("  -") && row("int8 ").ends_with('%'), "{said}");
    assert!(said.contains("int16: larger than one that will do, not compared"), "{said}");
    assert!(said.contains("more to measure, in at most about "), "{said}");
}

#[test]
fn auto_publishes_nothing_where_nothing_will_do() {
    let folder = trained();
    take_the_poolers_range(&folder);
    let auto = "export --run run --output out --quiet --encoding auto";
    insta::assert_snapshot!(folder.run(&format!("{auto} --candidates int9")), @r"
    exit code: 2
    --- stderr
    error: invalid value 'int9' for '--candidates <ENCODINGS>': use for example f32, f16, int16, int12, int8, int4, int8/int4 or int8+2/1

    For more information, try '--help'.
    ");
    let said = folder.run(&format!("{auto} --candidates int8,int4 --max-f1-drop 0"));
    let error =
        "exit code: 2\n--- stderr\nerror: every candidate lowers macro-F1 by more than 0 or moves ";
    assert!(said.starts_with(error), "{said}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_soup_is_one_model_that_says_what_it_is() {
    let folder = related();
    folder.write("unseen.csv", sentences(23));
    let soup = "export --run near --output out/bundle --quiet --soup --encoding int8";
    let said = folder.run(&format!("{soup} --test-csv unseen.csv"));
    assert!(said.contains("the averaged weights of 2 folds as int8: 1 shard, "), "{said}");
    assert!(said.contains("every text was seen in training, so this says nothing"), "{said}");
    assert!(
        said.contains("as the run's ensemble does, on 23 other texts; macro-F1 there 0."),
        "{said}"
    );
    let manifest = manifest(&folder);
    assert_eq!(manifest["folds"], serde_json::json!([0]));
    assert_eq!(manifest["provenance"]["averaged_folds"], serde_json::json!([0, 1]));
    let ensemble = &manifest["verification"]["ensemble"];
    assert_eq!((&ensemble["rows"], &ensemble["seen_in_training"]), (&23.into(), &false.into()));
    let told = folder.run("inspect out/bundle");
    assert!(told.contains("the averaged weights of folds 0, 1 of 2, trained from "), "{told}");

    folder.write("texts.csv", "text\none text\nanother\n");
    let said = folder.run(&format!("{soup} --test-csv texts.csv"));
    assert!(said.trim_end().ends_with("as the run's ensemble does, on 2 other texts"), "{said}");
}

#[test]
fn some_folds_make_a_bundle() {
    let folder = trained();
    fs::rename(folder.path().join("run/fold-0"), folder.path().join("fold-0")).unwrap();
    insta::assert_snapshot!(folder.run(EXPORT), @r"
    exit code: 2
    --- stderr
    error: of `run` these folds are not trained: 0
    hint: `native-train train --resume --output run` trains them; `--folds 1` does without
    ");
    assert!(!folder.path().join("out").exists());
    let said = folder.run(&format!("{EXPORT} --folds 1"));
    assert!(said.contains("1 fold as int12: 1 shard, "), "{said}");
    let manifest = manifest(&folder);
    assert_eq!(manifest["folds"], serde_json::json!([1]));
    assert_eq!(manifest["verification"]["rows"], 30, "those that fold 1 held out");
}

#[test]
fn word_embeddings_may_come_in_two_parts() {
    let folder = trained();
    let said = folder.run(&format!("{EXPORT} --hot-rows 30"));
    assert!(said.contains("; texts with an id from 30 on wait for the rest"), "{said}");
    let parted = manifest(&folder);
    assert_eq!(parted["hot_rows"], 30);
    let shards = parted["shards"].as_array().unwrap();
    let cold: Vec<bool> = shards.iter().map(|shard| shard["cold"] == true).collect();
    assert!(cold.is_sorted() && cold.contains(&true), "{cold:?}");
    // Both parts were loaded, and say what the run says.
    assert_eq!(parted["verification"]["rows"], 60);
    let said = folder.run("inspect out/bundle");
    assert!(said.contains("; texts with an id from 30 on wait for the rest"), "{said}");

    for flags in ["", "--hot-rows auto", "--hot-rows all"] {
        folder.run(&format!("{EXPORT} {flags}"));
        assert!(manifest(&folder).get("hot_rows").is_none(), "so few come together");
    }
    for (flags, expected) in [
        ("--hot-rows 0", "use auto, all or a number of rows above 0"),
        ("--hot-rows most", "use auto, all or a number of rows above 0"),
        ("--hot-rows 1000000", "word embeddings, no more"),
        ("--hot-rows 30 --encoding f32", "error: f32 can have no cold rows"),
    ] {
        let said = folder.run(&format!("export --run run --output other --quiet {flags}"));
        assert!(said.starts_with("exit code: 2\n") && said.contains(expected), "{said}");
        assert!(!folder.path().join("other").exists());
    }
}

#[test]
fn mistakes_are_said_and_leave_nothing() {
    let folder = trained();
    insta::assert_snapshot!(folder.run("export --run none --output out"), @r"
    exit code: 2
    --- stderr
    error: `none` is not a run: it has no config.toml
    hint: pass the folder that was given to `train --output`
    ");
    insta::assert_snapshot!(folder.run(&format!("{EXPORT} --folds 0,2")), @r"
    exit code: 2
    --- stderr
    error: `run` has no fold 2
    hint: its folds are 0 to 1
    ");
    insta::assert_snapshot!(folder.run(&format!("{EXPORT} --folds one")), @r"
    exit code: 2
    --- stderr
    error: invalid value 'one' for '--folds <FOLDS>': use `all`, or numbers separated by commas

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(folder.run("export --run run --output run"), @r"
    exit code: 2
    --- stderr
    error: `run` is a run
    hint: pass another folder as `--output`
    ");
    insta::assert_snapshot!(folder.run("export --run run --output train.csv"), @r"
    exit code: 2
    --- stderr
    error: `train.csv` is a file, not a folder
    hint: pass another `--output`
    ");
    folder.write("other.csv", sentences(59));
    insta::assert_snapshot!(folder.run(&format!("{EXPORT} --train-csv other.csv")), @r"
    exit code: 2
    --- stderr
    error: the ids, texts or labels of `other.csv` are not those that `run` was trained on
    hint: put the file back as it was; `report`, `audit` and `export` take it from elsewhere with `--train-csv FILE`
    ");
    fs::rename(folder.path().join("train.csv"), folder.path().join("moved.csv")).unwrap();
    insta::assert_snapshot!(folder.run(EXPORT), @r"
    exit code: 2
    --- stderr
    error: `train.csv` is not there
    hint: pass the file that the run was trained on as `--train-csv FILE`
    ");
    assert!(!folder.path().join("out").exists());
    let said = folder.run(&format!("{EXPORT} --train-csv moved.csv"));
    assert!(said.starts_with("exit code: 0\n"), "{said}");
}

/// Weights that no training makes: the pooler's rows begin with a number so large that whole numbers have no range left
/// for the others, and the run does not notice, as what it is multiplied with is always zero.
fn take_the_poolers_range(folder: &Folder) {
    const NORM: &str = "deberta.encoder.layer.1.output.LayerNorm";
    let first = |tensor: &Tensor, value: f32| {
        let mut values = tensor.to_vec1::<f32>().unwrap();
        values[0] = value;
        Tensor::new(values, &Device::Cpu).unwrap()
    };
    for fold in 0..2 {
        let path = folder.path().join(format!("run/fold-{fold}/model.safetensors"));
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        for name in [format!("{NORM}.weight"), format!("{NORM}.bias")] {
            let changed = first(&tensors[&name], 0.0);
            tensors.insert(name, changed);
        }
        let pooler = &tensors["pooler.dense.weight"];
        let rows: Vec<Tensor> =
            (0..pooler.dim(0).unwrap()).map(|row| first(&pooler.get(row).unwrap(), 1e4)).collect();
        tensors.insert("pooler.dense.weight".to_owned(), Tensor::stack(&rows, 0).unwrap());
        candle_core::safetensors::save(&tensors, path).unwrap();
    }
}

#[test]
fn what_differs_by_too_much_is_not_published() {
    let folder = trained();
    folder.run(&format!("{EXPORT} --encoding f32"));
    let before = bundle(&folder);
    assert!(!before.is_empty());
    take_the_poolers_range(&folder);
    let said = folder.run(EXPORT);
    assert!(
        said.starts_with("exit code: 1\n--- stderr\nerror: the bundle differs from the run: a"),
        "{said}"
    );
    assert!(said.ends_with("and int12 allows 5e-3; nothing was published\n"), "{said}");
    let said = folder.run(&format!("{EXPORT} --encoding int16"));
    assert!(said.ends_with("and int16 allows 1e-4; nothing was published\n"), "{said}");
    assert!(bundle(&folder) == before, "an older bundle is as it was");

    let said = folder.run("export --run run --output new --encoding int8 --quiet");
    assert!(said.starts_with("exit code: 1\n"), "{said}");
    assert!(!folder.path().join("new").exists(), "a new folder is gone again");
}

#[test]
fn a_damaged_model_is_found_and_not_published() {
    let folder = trained();
    let model = folder.path().join("run/fold-1/model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&model, &bytes).unwrap();
    insta::assert_snapshot!(folder.run(EXPORT), @r"
    exit code: 2
    --- stderr
    error: `run/fold-1/model.safetensors` is damaged: its values are not those that were written
    hint: remove `fold-1` and pass `train --resume`: it will be trained again
    ");
    fs::write(&model, &bytes[..last]).unwrap();
    let said = folder.run(EXPORT);
    assert!(said.contains("remove `fold-1` and pass `train --resume`"), "{said}");
    assert!(!folder.path().join("out/bundle").exists());
}

#[test]
fn inspect_finds_a_damaged_shard_and_a_damaged_manifest() {
    let folder = trained();
    folder.run(EXPORT);
    let shard = named(&manifest(&folder)).remove(0);
    let path = folder.path().join("out/bundle").join(&shard);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let said = folder.run("inspect out/bundle");
    assert!(said.starts_with("exit code: 2\n"), "{said}");
    assert!(said.contains("its sha256 is not the one in the manifest"), "{said}");
    assert!(said.contains("hint: copy the file again, or export the run again"), "{said}");
    // An export puts it right.
    folder.run(EXPORT);
    assert!(folder.run("inspect out/bundle").starts_with("exit code: 0\n"));

    folder.write("out/bundle/manifest.json", r#"{"format": "quintet-bundle", "version": 7}"#);
    insta::assert_snapshot!(folder.run("inspect out/bundle"), @r"
    exit code: 2
    --- stderr
    error: `out/bundle/manifest.json`: bundle: the manifest has version 7, but this program reads version 1
    ");
}

/// Exports to a real, tiny file system in a mount namespace of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_the_older_bundle() {
    const SCRIPT: &str = r#"
set -e
mkdir out
mount -t tmpfs -o size=$SIZE none out
cp -r old out/bundle
code=0
"$PROGRAM" export --run run --output out/bundle --encoding f32 --quiet 2> said || code=$?
echo "exit $code" >> said
cp -r out/bundle left
"#;
    let folder = trained();
    folder.run("export --run run --output old --encoding int8 --quiet");
    let mounted = |script: &str| {
        std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .current_dir(folder.path())
            .env("PROGRAM", env!("CARGO_BIN_EXE_native-train"))
            .env("SIZE", "8m")
            .output()
    };
    if !mounted("mount -t tmpfs none /tmp").is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system lets us mount no file system to fill");
        return;
    }
    let output = mounted(SCRIPT).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = folder.read("said");
    assert!(said.contains("error: the disk is full: `out/bundle/"), "{said}");
    assert!(said.ends_with("exit 1\n"), "{said}");
    assert!(contents(&folder.path().join("left")) == contents(&folder.path().join("old")));
}
