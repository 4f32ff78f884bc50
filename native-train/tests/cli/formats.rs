//! Tables in CSV, TSV, JSON Lines and Parquet, compressed or not: the same answers from each, and into each.

use std::fs::{self, File};
use std::io::{Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use polars::prelude::{
    AnyValue, Column, DataFrame, DataType, ParquetReader, ParquetWriter, SerReader,
};
use serde_json::Value;

use super::{Folder, sentences, training::trained};

/// The rows of `sentences`: id, text, joy, fear.
fn rows(count: usize) -> Vec<[String; 4]> {
    let csv = sentences(count);
    let row = |line: &str| {
        let (id, rest) = line.split_once(',').unwrap();
        let (text, labels) = rest.trim_start_matches('"').split_once("\",").unwrap();
        let (joy, fear) = labels.split_once(',').unwrap();
        [id, text, joy, fear].map(str::to_owned)
    };
    csv.lines().skip(1).map(row).collect()
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Writes the rows under the names of all formats; CSV is there under `rows.csv`.
fn write_all(folder: &Folder, rows: &[[String; 4]]) -> [&'static str; 5] {
    let csv: String = rows
        .iter()
        .map(|[id, text, joy, fear]| format!("{id},\"{text}\",{joy},{fear}\n"))
        .collect();
    folder.write("rows.csv", format!("id,text,joy,fear\n{csv}"));
    let tsv: String = rows.iter().map(|row| row.join("\t") + "\n").collect();
    let tsv = format!("id\ttext\tjoy\tfear\n{tsv}");
    let json: String = rows
        .iter()
        .map(|[id, text, joy, fear]| {
            let joy = *joy == "1";
            serde_json::json!({"text": text, "id": id, "joy": joy, "fear": fear}).to_string() + "\n"
        })
        .collect();
    folder.write("rows.csv.gz", gzip(&fs::read_to_string(folder.path().join("rows.csv")).unwrap()));
    folder.write("rows.tsv", &tsv);
    folder.write("rows.jsonl", &json);
    folder.write("rows.jsonl.gz", gzip(&json));
    let strings = |place: usize| rows.iter().map(|row| row[place].clone()).collect::<Vec<_>>();
    let on = |place: usize| rows.iter().map(|row| row[place] == "1").collect::<Vec<_>>();
    let mut frame = DataFrame::new_infer_height(vec![
        Column::new("id".into(), strings(0)),
        Column::new("text".into(), strings(1)),
        Column::new("joy".into(), on(2)),
        Column::new("fear".into(), on(3).into_iter().map(i64::from).collect::<Vec<_>>()),
    ])
    .unwrap();
    let file = File::create(folder.path().join("rows.parquet")).unwrap();
    ParquetWriter::new(file).with_row_group_size(Some(3000)).finish(&mut frame).unwrap();
    ["rows.csv.gz", "rows.tsv", "rows.jsonl", "rows.jsonl.gz", "rows.parquet"]
}

/// The cells of a Parquet file as CSV would have them, with its types.
fn of_parquet(folder: &Folder, name: &str) -> (String, Vec<DataType>) {
    let frame = ParquetReader::new(File::open(folder.path().join(name)).unwrap()).finish().unwrap();
    let names: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    let mut csv = names.join(",") + "\n";
    for row in 0..frame.height() {
        let cell = |column: &Column| match column.get(row).unwrap() {
            AnyValue::String(text) => text.to_owned(),
            AnyValue::Float32(number) => format!("{number:?}"),
            AnyValue::Int32(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        csv += &(frame.columns().iter().map(cell).collect::<Vec<_>>().join(",") + "\n");
    }
    (csv, frame.dtypes())
}

/// The objects of JSON Lines as CSV would have them.
fn of_json_lines(text: &str) -> String {
    let mut csv = String::new();
    for line in text.lines() {
        let names: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        if csv.is_empty() {
            // Names stand at even places of each pair of strings, values only of the first key.
            csv = format!("{},{},{}\n", names[0], names[2], names[3]);
        }
        let row: Value = serde_json::from_str(line).unwrap();
        let id = row["id"].as_str().unwrap();
        csv += &format!("{id},{},{}\n", row["joy"], row["fear"]);
    }
    csv
}

/// More rows than are labelled at a time and than a row group has, in every format.
#[test]
fn predictions_are_the_same_from_and_into_every_format() {
    let folder = trained();
    let inputs = write_all(&folder, &rows(4500));
    for cells in ["", " --probabilities"] {
        let predict = format!("predict --run run --quiet{cells}");
        let told = folder.run(&format!("{predict} --input rows.csv --output expected.csv"));
        assert_eq!(told, "exit code: 0\n");
        let expected = folder.read("expected.csv");
        assert_eq!(expected.lines().count(), 4501);
        for input in inputs {
            let told = folder.run(&format!("{predict} --input {input} --output out.csv"));
            assert_eq!(told, "exit code: 0\n", "{input}");
            assert!(folder.read("out.csv") == expected, "{input}{cells}");
        }
    }
    let expected = folder.read("expected.csv");
    let predict = "predict --run run --quiet --probabilities --input rows.parquet --output";
    for output in ["o.tsv", "o.jsonl", "o.csv.gz", "o.jsonl.gz", "o.parquet", "o.txt"] {
        assert_eq!(folder.run(&format!("{predict} {output}")), "exit code: 0\n", "{output}");
    }
    assert!(folder.read("o.txt") == expected, "another name is CSV");
    assert!(folder.read("o.tsv") == expected.replace(',', "\t"));
    let unpacked = |name: &str| {
        let mut text = String::new();
        let file = File::open(folder.path().join(name)).unwrap();
        MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    };
    assert!(unpacked("o.csv.gz") == expected);
    assert!(unpacked("o.jsonl.gz") == folder.read("o.jsonl"));
    let first = folder.read("o.jsonl").lines().next().unwrap().to_owned();
    assert!(first.starts_with(r#"{"id":"r0","joy":0."#), "{first}");
    assert!(of_json_lines(&folder.read("o.jsonl")) == expected);
    let (found, types) = of_parquet(&folder, "o.parquet");
    assert!(found == expected);
    assert_eq!(types, [DataType::String, DataType::Float32, DataType::Float32]);

    assert_eq!(folder.run(&format!("{predict} forced --output-format jsonl")), "exit code: 0\n");
    assert!(folder.read("forced") == folder.read("o.jsonl"));
    fs::copy(folder.path().join("rows.parquet"), folder.path().join("rows.data")).unwrap();
    let forced = predict.replace("rows.parquet", "rows.data --format parquet");
    assert_eq!(folder.run(&format!("{forced} forced.csv")), "exit code: 0\n");
    assert!(folder.read("forced.csv") == expected);
    let decided = predict.replace(" --probabilities", "");
    assert_eq!(folder.run(&format!("{decided} d.parquet")), "exit code: 0\n");
    let (found, types) = of_parquet(&folder, "d.parquet");
    assert_eq!(types, [DataType::String, DataType::Int32, DataType::Int32]);
    assert!(found.lines().skip(1).all(|line| line.ends_with(",0") || line.ends_with(",1")));
}

/// Parts have the same rows whatever the format of the input, and lines need only be put together.
#[test]
fn parts_of_every_format_are_the_whole_put_together() {
    let folder = trained();
    write_all(&folder, &rows(4500));
    let predict = "predict --run run --quiet --probabilities --input";
    for (input, output) in
        [("rows.parquet", "o.csv"), ("rows.csv", "o.jsonl"), ("rows.jsonl.gz", "o.tsv.gz")]
    {
        assert_eq!(
            folder.run(&format!("{predict} {input} --output whole-{output}")),
            "exit code: 0\n"
        );
        let mut together = Vec::new();
        for part in 0..2 {
            let told = folder.run(&format!("{predict} {input} --output {output} --part {part}/2"));
            assert_eq!(told, "exit code: 0\n");
            together.extend(fs::read(folder.path().join(output)).unwrap());
        }
        let whole = fs::read(folder.path().join(format!("whole-{output}"))).unwrap();
        let content = |bytes: Vec<u8>| {
            let mut content = Vec::new();
            match output.ends_with(".gz") {
                true => drop(MultiGzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap()),
                false => content = bytes,
            }
            content
        };
        assert!(content(together) == content(whole), "{output}");
    }
    // Each part of Parquet is a file of its own, also one without rows.
    let predict = "predict --run run --quiet --input rows.csv --output";
    folder.write("rows.csv", sentences(10));
    for part in 0..2 {
        let told = folder.run(&format!("{predict} part-{part}.parquet --part {part}/2"));
        assert_eq!(told, "exit code: 0\n");
    }
    assert_eq!(of_parquet(&folder, "part-0.parquet").0, "id,joy,fear\n");
    assert_eq!(of_parquet(&folder, "part-1.parquet").0.lines().count(), 11);
}

/// What a run learns is its rows, whichever file they come in: `--resume` goes on with another format.
#[test]
fn trainings_and_scores_are_the_same_from_every_format() {
    let folder = trained();
    let scores = folder.run("evaluate --run run --input train.csv --json --quiet");
    assert!(scores.starts_with("exit code: 0\n"), "{scores}");
    let oof = folder.read("run/oof.csv");
    for file in write_all(&folder, &rows(60)) {
        let told = folder.run(&format!("evaluate --run run --input {file} --json --quiet"));
        assert_eq!(told, scores, "{file}");
        let told = folder.run(&format!("train --resume --output run --train-csv {file}"));
        assert!(told.contains("this run is finished"), "{file}: {told}");
    }
    let train = "train --model mini --folds 2 --epochs 1 --threads 2 --device cpu --quiet";
    let told = folder.run(&format!("{train} --train-csv rows.parquet --output again"));
    assert!(told.starts_with("exit code: 0\n"), "{told}");
    assert!(folder.read("again/oof.csv") == oof);
}

#[test]
fn lists_of_labels_train_predict_and_are_scored() {
    let folder = trained();
    let lists: String = rows(60)
        .iter()
        .map(|[id, text, joy, fear]| {
            let labels: Vec<&str> = [("joy", joy), ("fear", fear)]
                .iter()
                .filter(|(_, on)| *on == "1")
                .map(|(name, _)| *name)
                .collect();
            serde_json::json!({"id": id, "text": text, "labels": labels}).to_string() + "\n"
        })
        .collect();
    folder.write("lists.jsonl", &lists);
    let train =
        "train --model mini --folds 2 --epochs 1 --threads 2 --device cpu --train-csv lists.jsonl";
    let told = folder.run(&format!("{train} --output lists --label-list-column labels"));
    assert!(told.starts_with("exit code: 0\n"), "{told}");
    let said = "labels are all that the lists in `labels` hold, sorted: fear, joy\n";
    assert!(told.contains(said), "{told}");
    assert!(folder.read("lists/config.toml").contains("label-list-column = \"labels\"\n"));
    // In the order of the other run, it is the same training.
    let told = folder.run(&format!(
        "{train} --output same --label-list-column labels --labels joy,fear --quiet"
    ));
    assert!(told.starts_with("exit code: 0\n"), "{told}");
    assert!(folder.read("same/oof.csv") == folder.read("run/oof.csv"));

    let scores = folder.run("evaluate --run same --input lists.jsonl --json --quiet");
    assert_eq!(scores, folder.run("evaluate --run run --input train.csv --json --quiet"));
    let told = folder
        .run("evaluate --run run --input lists.jsonl --label-list-column labels --json --quiet");
    assert_eq!(told, scores);
    let told = folder.run("evaluate --run same --input train.csv --json");
    assert!(told.starts_with(scores.trim_end()), "{told}");
    let said = "`train.csv`: no column is named `labels`, so each label is read from its own\n";
    assert!(told.contains(said), "{told}");

    folder.write(
        "odd.jsonl",
        lists + "{\"id\": \"x\", \"text\": \"ugh\", \"labels\": [\"disgust\"]}\n",
    );
    insta::assert_snapshot!(folder.run("evaluate --run same --input odd.jsonl --quiet"), @r"
    exit code: 2
    --- stderr
    error: `odd.jsonl`, line 61, column `labels`: `disgust` is no label of the run (it has `joy`, `fear`)
    hint: correct the list, or leave the row out
    ");
    insta::assert_snapshot!(folder.run(&format!("{train} --soft-labels --label-list-column labels --output no --quiet")), @r"
    exit code: 2
    --- stderr
    error: `--soft-labels` does not go with `--label-list-column`
    hint: a list only says which labels a text has; give each label a column of probabilities
    ");
}

/// A fault in the middle of a file leaves the earlier output as it was.
#[test]
fn nothing_is_written_by_halves() {
    let folder = trained();
    let line = "{\"id\": \"1\", \"text\": \"a lovely cake\"}\n";
    folder.write("broken.jsonl", line.repeat(9000) + "{\"id\": \"2\", \"text\": \"a love");
    for output in ["out.jsonl", "out.csv.gz", "out.parquet"] {
        folder.write(output, "earlier");
        let told = folder
            .run(&format!("predict --run run --input broken.jsonl --output {output} --quiet"));
        assert!(told.starts_with("exit code: 2\n"), "{told}");
        assert!(
            told.contains("error: `broken.jsonl`, line 9001: not an object of JSON: EOF"),
            "{told}"
        );
        assert_eq!(folder.read(output), "earlier");
        let left = fs::read_dir(folder.path()).unwrap();
        assert!(
            left.map(|entry| entry.unwrap().file_name())
                .all(|name| !name.to_string_lossy().ends_with(".tmp"))
        );
    }
    insta::assert_snapshot!(folder.run("predict --run run --input broken.jsonl --output broken.jsonl"), @r"
    exit code: 2
    --- stderr
    error: `--output broken.jsonl` is the file that `--input` reads
    hint: give `--output` another name
    ");
    insta::assert_snapshot!(folder.run("predict --run run --input broken.jsonl --output out.parquet.gz"), @r"
    exit code: 2
    --- stderr
    error: `--output out.parquet.gz`: Parquet is not compressed once more
    hint: leave `.gz` out of the name: the columns within the file are compressed
    ");
}

/// What `predict --with-text` writes, `train` reads, in each format.
#[test]
fn soft_labels_go_through_every_format() {
    let folder = trained();
    let predict =
        "predict --run run --input train.csv --probabilities --with-text --quiet --output";
    let train = "train --model mini --folds 2 --epochs 1 --threads 2 --device cpu --soft-labels --quiet --train-csv";
    let mut first = None;
    for file in ["soft.csv", "soft.tsv.gz", "soft.jsonl", "soft.parquet"] {
        assert_eq!(folder.run(&format!("{predict} {file}")), "exit code: 0\n");
        let run = format!("of-{file}");
        let told = folder.run(&format!("{train} {file} --output {run}"));
        assert!(told.starts_with("exit code: 0\n"), "{told}");
        let oof = folder.read(&format!("{run}/oof.csv"));
        assert!(*first.get_or_insert_with(|| oof.clone()) == oof, "{file}");
    }
}

#[cfg(unix)]
#[test]
fn parquet_is_not_read_from_a_pipe_and_json_lines_are() {
    let folder = trained();
    write_all(&folder, &rows(20));
    let binary = env!("CARGO_BIN_EXE_native-train");
    let run = |line: &str| {
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", &format!("{binary} predict --run run --quiet {line}")]);
        super::told(&bash.current_dir(folder.path()).output().unwrap())
    };
    let told = run("--format jsonl --input <(cat rows.jsonl.gz) --output /dev/stdout");
    assert!(told.starts_with("exit code: 0\n--- stdout\nid,joy,fear\nr0,"), "{told}");
    let told = run("--format parquet --input <(cat rows.parquet) --output out.csv");
    assert!(
        told.contains(
            "is a pipe, and a Parquet file is read from its end\nhint: save it as a file first"
        ),
        "{told}"
    );
    let told = run("--input rows.csv --output-format parquet --output /dev/stdout | wc -c");
    let size: usize = told.trim().rsplit('\n').next().unwrap().trim().parse().unwrap();
    assert!(size > 200, "{told}");
}
