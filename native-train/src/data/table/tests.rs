//! The same rows come out of every format, and mistakes in them are said in words.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use polars::prelude::{
    Column, DataFrame, IntoColumn, ListChunked, NamedFrom, ParquetWriter, Series,
};

use super::*;
use crate::data::testing::printed;
use crate::data::{Dataset, FileOptions, LabelChoice, Loaded, TextStream, Texts, Unlabelled};

/// A folder with one file.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn parquet(columns: Vec<Column>, group_rows: usize) -> Vec<u8> {
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).with_row_group_size(Some(group_rows));
    writer.finish(&mut frame).unwrap();
    bytes
}

fn lists(name: &str, lists: &[Option<&[&str]>]) -> Column {
    let lists: ListChunked =
        lists.iter().map(|list| list.map(|labels| Series::new("".into(), labels))).collect();
    lists.with_name(name.into()).into_column()
}

/// The error about a file, in which it is called `FILE`.
fn refusal(name: &str, bytes: &[u8], options: &FileOptions) -> String {
    let (_folder, path) = file(name, bytes);
    let read = Dataset::read(&path, options, LabelChoice::Find);
    printed(read).replace(&path.display().to_string(), "FILE")
}

fn json(text: &str) -> String {
    refusal("a.jsonl", text.as_bytes(), &FileOptions::default())
}

fn load(name: &str, bytes: &[u8], options: &FileOptions) -> Loaded {
    let (_folder, path) = file(name, bytes);
    Dataset::read(&path, options, LabelChoice::Find).unwrap()
}

fn with_lists(column: &str) -> FileOptions {
    FileOptions { label_list_column: Some(column.to_owned()), ..FileOptions::default() }
}

fn said(loaded: &Loaded) -> Vec<String> {
    let said = loaded.warnings.iter().map(ToString::to_string);
    // Behind the name of the file.
    said.map(|line| line.split_once("`: ").map_or(line.clone(), |(_, what)| what.to_owned()))
        .collect()
}

const CSV: &str = "id,text,joy,fear\n7,\"a \"\"b\"\", c\",1,0\n08,,0,TRUE\nx,two\tparts,1,1\n";

#[test]
fn a_file_is_the_same_in_every_format() {
    let expected = load("a.csv", CSV.as_bytes(), &FileOptions::default());
    assert_eq!(expected.dataset.texts, ["a \"b\", c", "", "two\tparts"]);
    assert_eq!(
        said(&expected),
        ["1 row without a text, used as the empty text (the first on line 3)"]
    );

    let tsv = "id\ttext\tjoy\tfear\n7\t\"a \"\"b\"\", c\"\t1\t0\n08\t\t0\tTRUE\nx\t\"two\tparts\"\t1\t1\n";
    // Numbers as strings and as numbers, booleans, null, a key that is missing, keys in another order.
    let json = concat!(
        "\u{feff}{\"id\": 7, \"text\": \"a \\\"b\\\", c\", \"joy\": 1, \"fear\": 0}\r\n",
        "{\"fear\": true, \"joy\": \"0\", \"text\": null, \"id\": \"08\"}\r\n",
        "{\"id\": \"x\", \"text\": \"two\\tparts\", \"joy\": 1.0, \"fear\": \"1\"}\r\n",
    );
    let columns = || -> Vec<Column> {
        vec![
            Column::new("id".into(), ["7", "08", "x"]),
            Column::new("text".into(), [Some("a \"b\", c"), None, Some("two\tparts")]),
            Column::new("joy".into(), [true, false, true]),
            Column::new("fear".into(), [0i8, 1, 1]),
        ]
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let cases: [(&str, Vec<u8>, Option<Format>); 8] = [
        ("a.tsv", tsv.into(), None),
        ("a.tsv.gz", gzip(tsv.as_bytes()), None),
        ("a.jsonl", json.into(), None),
        ("a.ndjson.gz", gzip(json.as_bytes()), None),
        ("a.data", json.into(), Some(Format::JsonLines)),
        ("a.parquet", parquet(columns(), 100), None),
        ("a.PQ", parquet(columns(), 1), None),
        ("a.csv", parquet(columns(), 2), Some(Format::Parquet)),
    ];
    for (name, bytes, format) in cases {
        let found = load(name, &bytes, &FileOptions { format, ..FileOptions::default() });
        assert_eq!(found.dataset, expected.dataset, "{name}");
        let (texts, _) = {
            let (_folder, path) = file(name, &bytes);
            let options = FileOptions { format, ..FileOptions::default() };
            Texts::read(&path, &options).unwrap()
        };
        assert_eq!((&texts.ids, &texts.texts), (&found.dataset.ids, &found.dataset.texts));
        let place = match name {
            _ if format == Some(Format::Parquet) || name.to_lowercase().contains(".p") => {
                "in row 2"
            }
            _ if name.contains("tsv") => "on line 3",
            _ => "on line 2",
        };
        let empty = format!("1 row without a text, used as the empty text (the first {place})");
        assert!(said(&found).contains(&empty), "{name}: {:?}", said(&found));
    }
}

/// A row group is read in slices, and a slice ends with its group.
#[test]
fn rows_of_many_groups_and_slices_stay_in_order() {
    let rows = 20_000;
    let texts: Vec<String> = (0..rows).map(|row| format!("text {row}")).collect();
    let ids: Vec<u32> = (0..rows).collect();
    let labels: Vec<String> = (0..rows).map(|row| format!("label {}", row % 3)).collect();
    let labels: Vec<[&str; 1]> = labels.iter().map(|label| [label.as_str()]).collect();
    let labels: Vec<Option<&[&str]>> = labels.iter().map(|label| Some(&label[..])).collect();
    for group in [17_000, 20_000, 333] {
        let columns = vec![
            Column::new("id".into(), &ids),
            Column::new("text".into(), &texts),
            lists("labels", &labels),
        ];
        let (_folder, path) = file("a.parquet", &parquet(columns, group));
        let loaded = Dataset::read(&path, &with_lists("labels"), LabelChoice::Find).unwrap();
        let dataset = loaded.dataset;
        assert_eq!(dataset.texts, texts);
        assert!(dataset.ids.iter().enumerate().all(|(row, id)| *id == row.to_string()));
        let on = |row: usize| dataset.targets.row(row).iter().position(|&value| value == 1);
        assert!((0..rows as usize).all(|row| on(row) == Some(row % 3)));
        let mut stream = TextStream::open(&path, &FileOptions::default()).unwrap();
        let mut sizes = Vec::new();
        while let Some(chunk) = stream.next_chunk(4096).unwrap() {
            sizes.push(chunk.len());
        }
        // Chunks are those of any other format, on which the results of `predict --part` depend.
        assert_eq!(sizes, [4096, 4096, 4096, 4096, 3616]);
    }
}

#[test]
fn lists_of_labels_are_the_same_in_every_format() {
    let csv = "id,text,labels\n1,a,\"[\"\"joy\"\", \"\"fear\"\"]\"\n2,b,[]\n3,c,\"fear,anger\"\n4,d,joy\n5,e,\n";
    let json = concat!(
        "{\"id\": \"1\", \"text\": \"a\", \"labels\": [\"joy\", \"fear\"]}\n",
        "{\"id\": \"2\", \"text\": \"b\", \"labels\": []}\n",
        "{\"id\": \"3\", \"text\": \"c\", \"labels\": [\"fear\", \"anger\", \"fear\"]}\n",
        "{\"id\": \"4\", \"text\": \"d\", \"labels\": \"joy\"}\n",
        "{\"id\": \"5\", \"text\": \"e\", \"labels\": null}\n",
    );
    let all: [Option<&[&str]>; 5] =
        [Some(&["joy", "fear"]), Some(&[]), Some(&["fear", "anger"]), Some(&["joy"]), None];
    let columns = vec![
        Column::new("id".into(), [1u16, 2, 3, 4, 5]),
        Column::new("text".into(), ["a", "b", "c", "d", "e"]),
        lists("labels", &all),
    ];
    let options = FileOptions { unlabelled: Unlabelled::Skipped, ..with_lists("Labels") };
    let files: [(&str, Vec<u8>, &str); 3] = [
        ("a.csv", csv.into(), "on line 6"),
        ("a.jsonl", json.into(), "on line 5"),
        ("a.parquet", parquet(columns, 3), "in row 5"),
    ];
    for (name, bytes, place) in files {
        let loaded = load(name, &bytes, &options);
        let dataset = &loaded.dataset;
        assert_eq!(dataset.labels.names(), ["anger", "fear", "joy"], "{name}");
        let rows: Vec<&[u8]> = dataset.targets.rows().collect();
        assert_eq!(rows, [[0, 1, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1]], "{name}");
        assert_eq!(dataset.ids, ["1", "2", "3", "4"]);
        let skipped =
            format!("1 row in which every label is blank or -1 left out (the first {place})");
        assert!(said(&loaded).contains(&skipped), "{name}: {:?}", said(&loaded));

        let (_folder, path) = file(name, &bytes);
        let named = ["joy".to_owned(), "anger".to_owned()];
        let loaded = Dataset::read(&path, &options, LabelChoice::Named(&named)).unwrap();
        let rows: Vec<&[u8]> = loaded.dataset.targets.rows().collect();
        assert_eq!(rows, [[1, 0], [0, 0], [0, 1], [1, 0]], "{name}");
        let left_out = "lists in `labels` hold labels that `--labels` does not name, and nothing is learned from \
                        them: `fear` (2 rows)";
        assert!(said(&loaded).contains(&left_out.to_owned()), "{:?}", said(&loaded));

        let of_run = Dataset::read(&path, &options, LabelChoice::OfRun(&named));
        let message = printed(of_run).replace(&path.display().to_string(), "FILE");
        let place = if name == "a.parquet" {
            "row 1"
        } else if name == "a.csv" {
            "line 2"
        } else {
            "line 1"
        };
        let expected = format!(
            "error: `FILE`, {place}, column `labels`: `fear` is no label of the run (it has `joy`, `anger`)\n\
             hint: correct the list, or leave the row out"
        );
        assert_eq!(message, expected);
    }
}

/// ClassLabels of Hugging Face's data sets are integers.
#[test]
fn labels_that_are_integers_are_sorted_as_numbers() {
    let json = "{\"text\": \"a\", \"label\": 10}\n{\"text\": \"b\", \"label\": [9, 2]}\n";
    let loaded = load("a.jsonl", json.as_bytes(), &with_lists("label"));
    assert_eq!(loaded.dataset.labels.names(), ["2", "9", "10"]);
    let columns =
        vec![Column::new("text".into(), ["a", "b"]), Column::new("label".into(), [10i64, 9])];
    let loaded = load("a.parquet", &parquet(columns, 9), &with_lists("label"));
    assert_eq!(loaded.dataset.labels.names(), ["9", "10"]);
}

#[test]
fn refuses_lists_that_hold_no_labels() {
    let lists = |cell: &str| {
        let json = format!(
            "{{\"text\": \"a\", \"labels\": [\"joy\"]}}\n{{\"text\": \"b\", \"labels\": {cell}}}\n"
        );
        refusal("a.jsonl", json.as_bytes(), &with_lists("labels"))
    };
    assert_snapshot!(lists("null"), @r"
    error: `FILE`, line 2, column `labels`: an empty value is no list of labels
    hint: write `[]` where a text has no label; `--skip-unlabelled` leaves out rows without a list
    ");
    assert_snapshot!(lists("[\"joy\", 0.5]"), @r#"
    error: `FILE`, line 2, column `labels`: `0.5` is no label
    hint: write a list as JSON does, such as `["joy", "fear"]`, or names separated by commas
    "#);
    assert_snapshot!(lists("\"['joy']\""), @r#"
    error: `FILE`, line 2, column `labels`: `['joy']` is no list of labels
    hint: write a list as JSON does, such as `["joy", "fear"]`, or names separated by commas
    "#);
    assert_snapshot!(refusal("a.jsonl", b"{\"text\": \"a\", \"tags\": [\"joy\"]}\n", &FileOptions::default()), @r"
    error: no label column in `FILE` (found: `text`, `tags`)
    hint: a label column holds only 0 and 1; name them with `--labels`, or, if `tags` holds lists of labels, pass `--label-list-column tags`
    ");
    assert_snapshot!(refusal("a.jsonl", b"{\"text\": \"a\", \"tags\": []}\n", &with_lists("tags")), @r"
    error: `FILE`, column `tags`: no list holds a label
    hint: pass `--label-list-column` with the column that holds lists of labels
    ");
    assert_snapshot!(refusal("a.jsonl", b"{\"text\": \"a\"}\n", &with_lists("text")), @r"
    error: `FILE`, column `text`: it holds texts or ids, not labels
    hint: pass `--label-list-column` with the column that holds lists of labels
    ");
}

#[test]
fn refuses_lines_that_are_no_objects() {
    assert_snapshot!(json("{\"text\": \"a\", \"joy\": 1}\n\n{\"text\": \"b\", \"joy\" 1}\n"), @r#"
    error: `FILE`, line 3: not an object of JSON: expected `:`, at byte 21
    hint: each line is an object, such as `{"id": "7", "text": "what a day"}`
    "#);
    assert_snapshot!(json("[{\"text\": \"a\"},\n{\"text\": \"b\"}]\n"), @r"
    error: `FILE`, line 1: not an object of JSON: invalid type: sequence, expected an object, at byte 0
    hint: write each object of the list on a line of its own (`jq -c '.[]'` does it)
    ");
    assert_snapshot!(json("{\n  \"text\": \"a\"\n}\n"), @r"
    error: `FILE`, line 1: not an object of JSON: EOF while parsing an object, at byte 1
    hint: write each object on one line (`jq -c .` does it); the last one may be cut off
    ");
    assert_snapshot!(json("text,joy\na,1\n"), @r#"
    error: `FILE`, line 1: not an object of JSON: expected ident, at byte 2
    hint: each line is an object, such as `{"id": "7", "text": "what a day"}`
    "#);
    assert_snapshot!(json("{\"text\": \"a\", \"joy\": 1, \"text\": \"b\"}\n"), @r"
    error: `FILE`, line 1: two values of the key `text`
    hint: remove or rename one of them
    ");
    assert_snapshot!(json("\n \n"), @r#"
    error: `FILE`: the file holds no object with a key
    hint: each line is an object, such as `{"id": "7", "text": "what a day"}`
    "#);
    assert_snapshot!(refusal("a.jsonl", b"{\"text\": \"caf\xE9\"}\n", &FileOptions::default()), @r"
    error: `FILE`, line 1: not UTF-8 text
    hint: save the file as UTF-8
    ");
    let long = format!("{{\"text\": \"{}\"}}\n", "a".repeat(17 << 20));
    assert_snapshot!(json(&long), @r"
    error: `FILE`, line 1: a line of over 16 MiB
    hint: check that the file is JSON Lines
    ");
}

#[test]
fn refuses_values_that_are_no_texts_ids_or_labels() {
    assert_snapshot!(json("{\"text\": \"a\", \"joy\": 1}\n{\"text\": [\"b\"], \"joy\": 1}\n"), @r"
    error: `FILE`, line 2, column `text`: a list is not a text
    hint: write texts as strings, or name another column with `--text-column`
    ");
    assert_snapshot!(json("{\"id\": 12345678901234567890123, \"text\": \"a\", \"joy\": 1}\n"), @r"
    error: `FILE`, line 1, column `id`: a number that is not kept digit by digit is not an id
    hint: write ids as strings or integers, or name another column with `--id-column`
    ");
    assert_snapshot!(json("{\"text\": \"a\", \"joy\": 1}\n{\"text\": \"b\"}\n{\"text\": \"c\", \"joy\": 0}\n"), @r"
    error: `FILE`, line 2, column `joy`: an empty value is not 0 or 1
    hint: correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1
    ");
    assert_snapshot!(json("{\"tweet\": \"what a day it was\", \"joy\": 1}\n"), @r"
    error: column `text` not found in `FILE` (found: `tweet`, `joy`)
    hint: pass `--text-column tweet`
    ");
}

#[test]
fn a_key_that_comes_late_is_told() {
    let mut lines = "{\"text\": \"a\", \"joy\": 1}\n".repeat(9000);
    lines +=
        "{\"text\": \"b\", \"joy\": 0, \"fear\": 1}\n{\"fear\": 0, \"text\": \"b\", \"joy\": 0}\n";
    let loaded = load("a.jsonl", lines.as_bytes(), &FileOptions::default());
    assert_eq!(loaded.dataset.labels.names(), ["joy"]);
    assert_eq!(loaded.dataset.len(), 9002);
    let late = "keys that the first lines of the file lack are not used: `fear` (line 9001); a first line with every \
                key makes them columns";
    assert!(said(&loaded).contains(&late.to_owned()), "{:?}", said(&loaded));
}

fn parquet_refusal(columns: Vec<Column>) -> String {
    refusal("a.parquet", &parquet(columns, 2), &FileOptions::default())
}

#[test]
fn refuses_columns_of_other_types_by_their_type() {
    let texts = || Column::new("text".into(), ["a", "b", "c"]);
    let joy = || Column::new("joy".into(), [1i64, 0, 0]);
    assert_snapshot!(parquet_refusal(vec![Column::new("text".into(), [1.5f64, 2.0, 0.1]), joy()]), @r"
    error: `FILE`, column `text`: it holds floating-point numbers, not texts
    hint: convert the column to strings, or name another one with `--text-column`
    ");
    assert_snapshot!(parquet_refusal(vec![Column::new("id".into(), [1f32, 2.0, 3.0]), texts(), joy()]), @r"
    error: `FILE`, column `id`: it holds floating-point numbers, not ids
    hint: convert the column to strings or integers, or name another one with `--id-column`
    ");
    let bytes = Column::new("joy".into(), [b"1".as_slice(), b"0", b"1"]);
    let (_folder, path) = file("a.parquet", &parquet(vec![texts(), bytes], 9));
    let named =
        Dataset::read(&path, &FileOptions::default(), LabelChoice::Named(&["joy".to_owned()]));
    assert_snapshot!(printed(named).replace(&path.display().to_string(), "FILE"), @r"
    error: `FILE`, column `joy`: it holds bytes, not 0 and 1
    hint: convert the column to booleans, integers or strings, or name other columns with `--labels`
    ");
    assert_snapshot!(parquet_refusal(vec![texts(), Column::new("joy".into(), ["1", "x", "0"])]), @r"
    error: `FILE`, row 2, column `joy`: `x` is not 0 or 1
    hint: correct the value, or name other columns with `--labels`
    ");
    assert_snapshot!(parquet_refusal(vec![Column::new("tweet".into(), ["a b c", "d e f", "g h"]), joy()]), @r"
    error: column `text` not found in `FILE` (found: `tweet`, `joy`)
    hint: pass `--text-column tweet`
    ");
    let empty = vec![Column::new("text".into(), [""; 0]), Column::new("joy".into(), [0i32; 0])];
    assert_snapshot!(parquet_refusal(empty), @r"
    error: `FILE`: the file has columns, but no rows
    hint: add rows
    ");
}

#[test]
fn a_column_that_cannot_be_read_is_no_label_and_is_told() {
    let columns = vec![
        Column::new("text".into(), ["a", "b"]),
        Column::new("picture".into(), [b"1".as_slice(), b"0"]),
        Column::new("joy".into(), [true, false]),
    ];
    let loaded = load("a.parquet", &parquet(columns, 9), &FileOptions::default());
    assert_eq!(loaded.dataset.labels.names(), ["joy"]);
    let unread = "these columns hold neither texts nor numbers and are not read: `picture` (bytes)";
    assert!(said(&loaded).contains(&unread.to_owned()), "{:?}", said(&loaded));
}

#[test]
fn refuses_a_file_of_another_format_by_its_name() {
    let columns = vec![Column::new("text".into(), ["a"]), Column::new("joy".into(), [1i32])];
    let bytes = parquet(columns, 9);
    let plain = FileOptions::default();
    assert_snapshot!(refusal("a.csv", &bytes, &plain), @r"
    error: `FILE`: the file is in the format Parquet, not CSV
    hint: pass `--format parquet`, or give the file a name that ends in `.parquet`
    ");
    assert_snapshot!(refusal("a.csv", b"{\"text\": \"a\", \"joy\": 1}\n", &plain), @r"
    error: `FILE`: the file is JSON, not CSV
    hint: pass `--format jsonl` if each line is an object, or give the file a name that ends in `.jsonl`
    ");
    assert_snapshot!(refusal("a.parquet", b"text,joy\na,1\nb,0\n", &plain), @r"
    error: `FILE` is no Parquet file, or damaged: parquet: File out of specification: The file must end with PAR1
    hint: copy or download the file again, or name its format with `--format`
    ");
    let jsonl = FileOptions { format: Some(Format::JsonLines), ..FileOptions::default() };
    assert!(refusal("a", &bytes, &jsonl).contains("format"));
}

/// Wherever a file is cut off, it is refused.
#[test]
fn parquet_that_is_cut_off_is_refused() {
    let all: Vec<Option<&[&str]>> = vec![Some(&["joy", "fear"]), None, Some(&[])];
    let columns = vec![
        Column::new("id".into(), [1i64, 2, 3]),
        Column::new("text".into(), [Some("some text"), None, Some("other")]),
        lists("labels", &all),
        Column::new("joy".into(), [Some(true), None, Some(false)]),
    ];
    let whole = parquet(columns, 2);
    let (_folder, path) = file("a.parquet", &whole);
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        TextStream::open(&path, &FileOptions::default()).and_then(Texts::collect)
    };
    assert_eq!(read(&whole).unwrap().0.texts, ["some text", "", "other"]);
    for length in 0..whole.len() {
        let message = printed(read(&whole[..length]));
        assert!(message.contains("is no Parquet file, or damaged: "), "{length}: {message}");
    }
    // Without its beginning, its columns lie elsewhere.
    for begin in 1..whole.len() {
        assert!(read(&whole[begin..]).is_err(), "{begin}");
    }
}

#[test]
fn json_lines_are_read_little_further_than_the_rows_that_are_handed_out() {
    let line = "{\"id\": 17, \"text\": \"what a day\"}\n";
    let source = Box::new(Cursor::new(line.repeat(8192) + "broken"));
    let mut table = Table::of_json_lines("endless".to_owned(), source).unwrap();
    for _ in 0..8 {
        assert_eq!(table.next_chunk(1024).unwrap().unwrap().len(), 1024);
    }
    assert!(table.next_chunk(1).is_err());
    assert!(!Path::new("endless").exists());
}
