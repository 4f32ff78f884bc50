//! Columns and labels are found by the rules, and mistakes in them said in words.

use insta::assert_snapshot;

use super::*;
use crate::data::testing::{dataset, kaggle, printed, reader};

fn load(file: &str, choice: &ColumnChoice, labels: Option<&[&str]>) -> Result<Loaded> {
    let labels: Option<Vec<String>> =
        labels.map(|names| names.iter().map(ToString::to_string).collect());
    let stream = TextStream::new(reader(file.as_bytes())?, choice)?;
    Dataset::collect(stream, labels.as_deref())
}

fn load_plain(file: &str) -> Result<Loaded> {
    load(file, &ColumnChoice::default(), None)
}

fn choice(text: Option<&str>, id: Option<&str>) -> ColumnChoice {
    ColumnChoice { text: text.map(str::to_owned), id: id.map(str::to_owned) }
}

#[test]
fn the_five_emotions_are_the_labels_if_all_are_columns() {
    let file = "id,joy,text,anger,fear,sadness,surprise,other\n\
                x,1,hi,0,0.0,0,1.0,0\n\
                y,0,ho,1,1,0,0,1\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.label_rule, LabelRule::Emotions);
    let dataset = loaded.dataset;
    assert_eq!(dataset.labels.names(), EMOTIONS);
    assert_eq!(dataset.targets.row(0), [0, 0, 1, 0, 1]);
    assert_eq!(dataset.targets.row(1), [1, 1, 0, 0, 0]);
    assert_eq!((dataset.ids, dataset.texts), (strings(["x", "y"]), strings(["hi", "ho"])));
    assert_eq!((loaded.text_column.as_str(), loaded.id_column.as_deref()), ("text", Some("id")));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn else_every_column_of_zeros_and_ones_is_a_label() {
    let file = ",id,sentence,kind,score,mean\n0,0,a,1,2,0\n1,1,b,0,1,1.0\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.dataset.labels.names(), ["kind", "mean"]);
    assert_eq!(loaded.dataset.targets.rows().collect::<Vec<_>>(), [[1, 0], [0, 1]]);
    let score = LeftOut { column: "score".to_owned(), line: 2, value: "2".to_owned() };
    assert_eq!(score.to_string(), "`score` (`2` on line 2)");
    assert_eq!(loaded.label_rule, LabelRule::OnlyZeroAndOne { left_out: vec![score] });
}

#[test]
fn given_labels_keep_their_order() {
    let file = "text,joy,anger,fear\na,1,0,0\nb,0,1,0\n";
    let loaded = load(file, &ColumnChoice::default(), Some(&["anger", "joy"])).unwrap();
    assert_eq!(loaded.label_rule, LabelRule::Given);
    assert_eq!(loaded.dataset.labels.names(), ["anger", "joy"]);
    assert_eq!(loaded.dataset.targets.row(0), [0, 1]);
}

#[test]
fn rows_without_ids_are_numbered_through_all_chunks() {
    let rows = CHUNK_ROWS + 3;
    let loaded = load_plain(&format!("text,joy\n{}", "a,1\n".repeat(rows))).unwrap();
    let expected: Vec<String> = (0..rows).map(|row| row.to_string()).collect();
    assert_eq!(loaded.id_column, None);
    assert_eq!(loaded.dataset.ids, expected);
    assert_eq!(loaded.dataset.targets.len(), rows);
}

#[test]
fn the_text_column_is_the_given_one_or_the_first_usual_one() {
    let file = "review,content,key,joy\nr,c,k,1\n";
    assert_eq!(load_plain(file).unwrap().dataset.texts, ["c"]);
    let loaded = load(file, &choice(Some("review"), Some("key")), Some(&["joy"])).unwrap();
    assert_eq!((loaded.dataset.texts, loaded.dataset.ids), (strings(["r"]), strings(["k"])));
}

#[test]
fn empty_texts_and_repeated_ids_are_kept_and_warned_of() {
    let file = "id,text,joy\na,,1\nb,\"\",0\n\na,x,1\nb,y,1\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.dataset.texts, ["", "", "x", "y"]);
    let said: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_snapshot!(said.join("\n"), @r"
    `train.csv`: 1 blank line skipped (the first is line 4)
    `train.csv`: 2 rows without a text, used as the empty text (the first on line 2)
    `train.csv`: 2 rows with the id of an earlier row (the first is `a`)
    ");
}

#[test]
fn refuses_files_without_a_text_column() {
    assert_snapshot!(printed(load_plain("id,tweet,joy\n1,a,1\n")), @r"
    error: column `text` not found in `train.csv` (found: `id`, `tweet`, `joy`)
    hint: pass `--text-column tweet`
    ");
    let tweet = choice(Some("tweet"), None);
    assert_snapshot!(printed(load("id,text,joy\n1,a,1\n", &tweet, None)), @r"
    error: column `tweet` not found in `train.csv` (found: `id`, `text`, `joy`)
    hint: pass `--text-column text`
    ");
    assert_snapshot!(printed(load_plain("id;text;joy\n1;a;1\n")), @r"
    error: column `text` not found in `train.csv` (found: `id;text;joy`)
    hint: separate the columns by commas
    ");
    assert_snapshot!(printed(load_plain("id,joy\n1,1\n")), @r"
    error: column `text` not found in `train.csv` (found: `id`, `joy`)
    hint: add a column that holds the texts
    ");
}

#[test]
fn refuses_unknown_id_and_label_columns() {
    let file = "id,text,joy\n1,a,1\n";
    assert_snapshot!(printed(load(file, &choice(None, Some("key")), None)), @r"
    error: column `key` not found in `train.csv` (found: `id`, `text`, `joy`)
    hint: pass `--id-column` with one of these, or leave it out
    ");
    assert_snapshot!(printed(load(file, &ColumnChoice::default(), Some(&["joy", "jay"]))), @r"
    error: column `jay` not found in `train.csv` (found: `id`, `text`, `joy`)
    hint: pass `--labels` with the names of columns that hold 0 and 1
    ");
    assert_snapshot!(printed(load(file, &ColumnChoice::default(), Some(&["joy", "joy"]))), @r"
    error: `--labels` names `joy` twice
    hint: name each label once
    ");
}

#[test]
fn refuses_labels_that_are_not_0_or_1() {
    let file = "text,joy,anger\na,1,0\n\"b\nb\",0,2\nc,,1\n";
    let read = |labels: &[&str]| printed(load(file, &ColumnChoice::default(), Some(labels)));
    assert_snapshot!(read(&["joy", "anger"]), @r"
    error: `train.csv`, line 5, column `joy`: an empty value is not 0 or 1
    hint: correct the value, or pass `--labels` without this column
    ");
    assert_snapshot!(read(&["joy"]), @r"
    error: `train.csv`, line 5, column `joy`: an empty value is not 0 or 1
    hint: correct the value, or pass `--labels` without this column
    ");
    assert_snapshot!(read(&["text"]), @r"
    error: `train.csv`, line 2, column `text`: `a` is not 0 or 1
    hint: correct the value, or pass `--labels` without this column
    ");
}

#[test]
fn refuses_a_file_without_labels() {
    assert_snapshot!(printed(load_plain("id,text,stars\n1,a,5\n")), @r"
    error: no label column in `train.csv` (found: `id`, `text`, `stars`)
    hint: a label column holds only 0 and 1; name them with `--labels`
    ");
}

#[test]
fn one_class_alone_cannot_be_learnt() {
    let same = dataset(&[("a", &[1, 0]), ("b", &[1, 0])]);
    assert_snapshot!(printed(same.check_classes()), @r"
    error: all 2 rows have the same labels
    hint: add rows with other labels: a label is learned from rows that have it and rows that do not
    ");
    let half = dataset(&[("a", &[1, 0]), ("b", &[1, 1])]);
    let warning = Warning::ConstantLabel { label: "label-0".to_owned(), value: 1 };
    assert_eq!(half.check_classes().unwrap(), [warning]);
}

#[test]
fn reads_the_competition_s_file() {
    let (Some(train), Some(test)) = (kaggle("train.csv"), kaggle("test.csv")) else { return };
    let loaded = Dataset::read(&train, &ColumnChoice::default(), None).unwrap();
    assert_eq!(loaded.label_rule, LabelRule::Emotions);
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.dataset.len(), 6827);
    // Counted with Python's `csv` and `collections`.
    let on = |label| loaded.dataset.targets.column(label).filter(|&value| value == 1).count();
    assert_eq!([0, 1, 2, 3, 4].map(on), [808, 3860, 1660, 2171, 1999]);
    let (texts, warnings) = Texts::read(&test, &ColumnChoice::default()).unwrap();
    assert_eq!((texts.len(), warnings.len()), (1707, 0));
    assert_eq!(texts.texts[1], "anyway, back to tuesday.");
}

fn strings<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).to_vec()
}
