//! Columns and labels are found by the rules, and mistakes in them said in words.

use insta::assert_snapshot;

use super::*;
use crate::data::LabelValues;
use crate::data::chunk::{Place, Unit};
use crate::data::columns::EMOTIONS;
use crate::data::label_columns::NotALabel;
use crate::data::testing::{dataset, kaggle, printed, reader};

const LINE_2: Place = Place { unit: Unit::Line, number: 2 };

fn load(file: &str, options: &FileOptions, labels: Option<&[&str]>) -> Result<Loaded> {
    let labels: Option<Vec<String>> =
        labels.map(|names| names.iter().map(ToString::to_string).collect());
    let choice = labels.as_deref().map_or(LabelChoice::Find, LabelChoice::Named);
    let stream = TextStream::new(reader(file.as_bytes())?, options)?;
    Dataset::collect(stream, options, choice)
}

fn load_plain(file: &str) -> Result<Loaded> {
    load(file, &FileOptions::default(), None)
}

fn evaluate(file: &str, labels: &[&str]) -> Result<Loaded> {
    let stream = TextStream::new(reader(file.as_bytes())?, &FileOptions::default())?;
    let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
    Dataset::collect(stream, &FileOptions::default(), LabelChoice::OfRun(&labels))
}

fn choice(text: Option<&str>, id: Option<&str>) -> FileOptions {
    let (text_column, id_column) = (text.map(str::to_owned), id.map(str::to_owned));
    FileOptions { text_column, id_column, ..FileOptions::default() }
}

fn said(loaded: &Loaded) -> String {
    let said: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    said.join("\n")
}

#[test]
fn the_five_emotions_are_the_labels_if_all_are_columns() {
    let file = "id,joy,text,anger,fear,sadness,surprise,other\n\
                x,1,hi,0,0.0,0,1.0,7\n\
                y,0,ho,1,1,0,0,1\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.label_rule, LabelRule::Emotions { others: vec![] });
    let dataset = loaded.dataset;
    assert_eq!(dataset.labels.names(), EMOTIONS);
    assert_eq!(dataset.targets.row(0), [0, 0, 1, 0, 1]);
    assert_eq!(dataset.targets.row(1), [1, 1, 0, 0, 0]);
    assert_eq!((dataset.ids, dataset.texts), (strings(["x", "y"]), strings(["hi", "ho"])));
    assert_eq!((loaded.text_column.as_str(), loaded.id_column.as_deref()), ("text", Some("id")));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn labels_beside_the_five_emotions_are_named() {
    let file = "id,text,anger,disgust,fear,joy,sadness,surprise,my trust,stars\n\
                x,a,1,0,0,0,0,0,1,5\n";
    let loaded = load_plain(file).unwrap();
    let others = strings(["disgust", "my trust"]);
    assert_eq!(loaded.label_rule, LabelRule::Emotions { others });
    assert_snapshot!(said(&loaded), @"`train.csv`: the labels are the five emotions; the columns `disgust`, `my trust` hold only 0 and 1 too, but nothing is learned from them (to take all: `--labels 'anger,fear,joy,sadness,surprise,disgust,my trust'`)");
    let all = ["anger", "fear", "joy", "sadness", "surprise", "disgust", "my trust"];
    let loaded = load(file, &FileOptions::default(), Some(&all)).unwrap();
    assert_eq!(
        (loaded.dataset.labels.names(), said(&loaded)),
        (&all.map(str::to_owned)[..], String::new())
    );
}

#[test]
fn columns_are_found_in_upper_and_lower_case() {
    let file = "ID,Text,Anger,FEAR,Joy,Sadness,Surprise\nx,a,1,0,0,0,0\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.label_rule, LabelRule::Emotions { others: vec![] });
    assert_eq!(loaded.dataset.labels.names(), ["Anger", "FEAR", "Joy", "Sadness", "Surprise"]);
    assert_eq!((loaded.dataset.ids, loaded.dataset.texts), (strings(["x"]), strings(["a"])));
    // Named by the user or a run, they keep the names that they were asked for.
    let loaded = load(file, &choice(Some("TEXT"), Some("id")), Some(&["joy", "anger"])).unwrap();
    assert_eq!(loaded.dataset.labels.names(), ["joy", "anger"]);
    assert_eq!(evaluate(file, &["anger", "joy"]).unwrap().dataset.targets.row(0), [1, 0]);
    let twins = "text,joy,Joy\na,1,0\n";
    assert_snapshot!(printed(load(twins, &FileOptions::default(), Some(&["JOY"]))), @r"
    error: `train.csv`: column `JOY` may be any of these: `joy`, `Joy`
    hint: write the name as the file has it
    ");
    assert_snapshot!(printed(load(file, &FileOptions::default(), Some(&["joy", "JOY"]))), @r"
    error: `--labels` names `JOY` twice
    hint: name each label once
    ");
}

#[test]
fn the_absence_of_an_id_column_is_said() {
    let loaded = load_plain("text,joy\na,1\n").unwrap();
    assert_snapshot!(said(&loaded), @"`train.csv`: there is no id column, so rows are numbered from 0");
    let loaded = load_plain("tweet_id,text,joy\n77,a,1\n").unwrap();
    assert_snapshot!(said(&loaded), @"`train.csv`: no column is named `id`, so rows are numbered from 0 (if `tweet_id` holds ids: `--id-column tweet_id`)");
    let loaded =
        load("tweet_id,text,joy\n77,a,1\n", &choice(None, Some("tweet_id")), None).unwrap();
    assert_eq!(
        (loaded.dataset.ids.as_slice(), said(&loaded)),
        (&strings(["77"])[..], String::new())
    );
}

#[test]
fn true_and_false_are_labels_and_spaces_are_not() {
    let file = "id,text,toxic,threat\nx,a, 1 ,FALSE\ny,b,0,True\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.dataset.labels.names(), ["toxic", "threat"]);
    assert_eq!(loaded.dataset.targets.rows().collect::<Vec<_>>(), [[1, 0], [0, 1]]);
}

/// A column that is a label in most rows is one in all: the other rows are mistakes.
#[test]
fn a_label_is_not_lost_to_one_value() {
    for (value, what) in [("", "an empty value"), ("x", "`x`"), ("2", "`2`"), ("-1", "`-1`")] {
        let file = format!("id,text,toxic,threat\n1,a,1,0\n2,b,0,1\n3,c,{value},0\n4,d,1,0\n");
        let refused = printed(load_plain(&file));
        let line = format!("error: `train.csv`, line 4, column `toxic`: {what} is not 0 or 1\n");
        assert!(refused.starts_with(&line), "{refused}");
        assert_eq!(evaluate(&file, &["threat"]).unwrap().dataset.len(), 4);
    }
    assert_snapshot!(printed(load_plain("text,toxic,threat\na,1,0\nb,x,1\nc,0,1\n")), @r"
    error: `train.csv`, line 3, column `toxic`: `x` is not 0 or 1
    hint: correct the value, or leave the column out: `--labels threat`
    ");
    // A header in the middle, with columns in another order.
    assert_snapshot!(printed(load_plain("text,toxic,threat\na,1,0\nb,0,1\nthreat,toxic,text\nc,0,1\n")), @r"
    error: `train.csv`, line 4, column `toxic`: `toxic` is not 0 or 1
    hint: remove this line if it is a header again; files that are joined keep only the first
    ");
}

#[test]
fn rows_that_no_one_labelled_are_left_out_on_request() {
    let file = "id,text,joy,anger,note\nx,a,1,0,5\ny,b,-1,-1,\nz,c,,,8\nw,d,0,1,9\n";
    assert_snapshot!(printed(load_plain(file)), @r"
    error: no label column in `train.csv` (found: `id`, `text`, `joy`, `anger`, `note`)
    hint: a label column holds only 0 and 1; name them with `--labels`
    ");
    assert_snapshot!(printed(evaluate(file, &["joy", "anger"])), @r"
    error: `train.csv`, line 3, column `joy`: `-1` is not 0 or 1
    hint: correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1
    ");
    let skip = FileOptions { unlabelled: Unlabelled::Skipped, ..FileOptions::default() };
    let loaded = load(file, &skip, Some(&["joy", "anger"])).unwrap();
    assert_eq!(loaded.dataset.ids, ["x", "w"]);
    assert_eq!(loaded.dataset.targets.rows().collect::<Vec<_>>(), [[1, 0], [0, 1]]);
    assert_snapshot!(said(&loaded), @"`train.csv`: 2 rows in which every label is blank or -1 left out (the first on line 3)");
    // Nobody named the labels, and no row that is skipped has one.
    let source = "id,text,joy,anger,source\nx,a,1,0,web\ny,b,-1,-1,web\nz,c,,,app\nw,d,0,1,web\n";
    assert_eq!(load(source, &skip, None).unwrap().dataset.ids, ["x", "w"]);
    // A label that the user named is one, whatever it holds.
    let odd = "text,joy,anger\na,-1,?\nb,-1,?\nc,1,0\nd,0,1\n";
    assert!(printed(load(odd, &skip, Some(&["joy", "anger"]))).contains("line 2, column `joy`"));
    let half = "text,joy,anger\na,1,0\nb,-1,0\n";
    assert!(printed(load(half, &skip, Some(&["joy", "anger"]))).contains("line 3, column `joy`"));
}

#[test]
fn else_every_column_of_zeros_and_ones_is_a_label() {
    let file = ",id,sentence,kind,score,mean\n0,0,a,1,2,0\n1,1,b,0,1,1.0\n";
    let loaded = load_plain(file).unwrap();
    assert_eq!(loaded.dataset.labels.names(), ["kind", "mean"]);
    assert_eq!(loaded.dataset.targets.rows().collect::<Vec<_>>(), [[1, 0], [0, 1]]);
    let score = NotALabel { column: "score".to_owned(), place: LINE_2, value: "2".to_owned() };
    assert_eq!(score.to_string(), "`score` (`2` on line 2)");
    assert_eq!(loaded.label_rule, LabelRule::ByValues { left_out: vec![score] });
}

#[test]
fn given_labels_keep_their_order() {
    let file = "text,joy,anger,fear\na,1,0,0\nb,0,1,0\n";
    let loaded = load(file, &FileOptions::default(), Some(&["anger", "joy"])).unwrap();
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
    assert_snapshot!(said(&loaded), @r"
    `train.csv`: 1 blank line skipped (the first is line 4)
    `train.csv`: 2 rows without a text, used as the empty text (the first on line 2)
    `train.csv`: 2 rows with the id of an earlier row (the first is `a`)
    ");
}

#[test]
fn refuses_files_without_a_text_column() {
    assert_snapshot!(printed(load_plain("id,tweet,joy\n1,oh no,1\n")), @r"
    error: column `text` not found in `train.csv` (found: `id`, `tweet`, `joy`)
    hint: pass `--text-column tweet`
    ");
    let tweet = choice(Some("tweet"), None);
    assert_snapshot!(printed(load("id,text,joy\n1,a,1\n", &tweet, None)), @r"
    error: column `tweet` not found in `train.csv` (found: `id`, `text`, `joy`)
    hint: pass `--text-column text`
    ");
    assert_snapshot!(printed(load_plain("ID,my Tweet,joy\n2018-En-01,what a day,1\n")), @r"
    error: column `text` not found in `train.csv` (found: `ID`, `my Tweet`, `joy`)
    hint: pass `--text-column 'my Tweet'`
    ");
    assert_snapshot!(printed(load_plain("id,joy\n1,1\n")), @r"
    error: column `text` not found in `train.csv` (found: `id`, `joy`)
    hint: add a column that holds the texts, and name it `text`
    ");
    assert_snapshot!(printed(load_plain("what a day\nand a night\n")), @r"
    error: column `text` not found in `train.csv` (found: `what a day`)
    hint: add a first line `text`, or, if the first line is a name, pass `--text-column 'what a day'`
    ");
}

#[test]
fn refuses_unknown_id_and_label_columns() {
    let file = "id,text,joy\n1,a,1\n";
    assert_snapshot!(printed(load(file, &choice(None, Some("key")), None)), @r"
    error: column `key` not found in `train.csv` (found: `id`, `text`, `joy`)
    hint: pass `--id-column` with one of these, or leave it out
    ");
    assert_snapshot!(printed(load(file, &FileOptions::default(), Some(&["joy", "jay"]))), @r"
    error: column `jay` not found in `train.csv` (found: `id`, `text`, `joy`)
    hint: pass `--labels` with the names of columns that hold 0 and 1
    ");
    assert_snapshot!(printed(load(file, &FileOptions::default(), Some(&["joy", "joy"]))), @r"
    error: `--labels` names `joy` twice
    hint: name each label once
    ");
}

#[test]
fn refuses_labels_that_are_not_0_or_1() {
    let file = "text,joy,anger\na,1,0\n\"b\nb\",0,2\nc,,1\n";
    let read = |labels: &[&str]| printed(load(file, &FileOptions::default(), Some(labels)));
    assert_snapshot!(read(&["joy", "anger"]), @r"
    error: `train.csv`, line 3, column `anger`: `2` is not 0 or 1
    hint: correct the value, or name other columns with `--labels`
    ");
    assert_snapshot!(read(&["joy"]), @r"
    error: `train.csv`, line 5, column `joy`: an empty value is not 0 or 1
    hint: correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1
    ");
    assert_snapshot!(read(&["text"]), @r"
    error: `train.csv`, line 2, column `text`: `a` is not 0 or 1
    hint: correct the value, or name other columns with `--labels`
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
    let warning = Warning::ConstantLabel { label: "label-0".to_owned(), value: "1".to_owned() };
    assert_eq!(half.check_classes().unwrap(), [warning]);
}

fn soft() -> FileOptions {
    FileOptions { label_values: LabelValues::Probabilities, ..FileOptions::default() }
}

#[test]
fn soft_labels_are_learned_as_they_are_and_scored_by_their_half() {
    let file = "id,text,joy,fear,stars\nx,a,0.5,1e-3,4\ny,b,0.49999,TRUE,1\nz,c,1,.75,3\n";
    let loaded = load(file, &soft(), None).unwrap();
    let Dataset { labels, targets, soft_targets, .. } = &loaded.dataset;
    assert_eq!(labels.names(), ["joy", "fear"]);
    let soft_targets: Vec<&[f32]> = soft_targets.as_ref().unwrap().rows().collect();
    assert_eq!(soft_targets, [[0.5, 1e-3], [0.49999, 1.0], [1.0, 0.75]]);
    assert_eq!(targets.rows().collect::<Vec<_>>(), [[1, 0], [0, 1], [1, 1]]);
    let stars = NotALabel { column: "stars".to_owned(), place: LINE_2, value: "4".to_owned() };
    assert_eq!(loaded.label_rule, LabelRule::ByValues { left_out: vec![stars] });
    assert_eq!(loaded.dataset.check_classes().unwrap(), []);

    let hard = load("text,joy\na,1\nb,0\n", &FileOptions::default(), None).unwrap().dataset;
    assert_eq!(hard.soft_targets, None);
}

#[test]
fn values_that_are_no_soft_labels_are_refused_with_a_remedy() {
    let refused = |value: &str| {
        let file = format!("text;joy;fear\na;0.3;0\nb;{value};1\nc;0.5;1\n");
        printed(load(&file, &soft(), None))
    };
    assert_snapshot!(refused("1.2"), @r"
    error: `train.csv`, line 3, column `joy`: `1.2` is not a probability from 0 to 1
    hint: correct the value, or leave the column out: `--labels fear`
    ");
    assert_snapshot!(refused("0,3"), @r"
    error: `train.csv`, line 3, column `joy`: `0,3` is not a probability from 0 to 1
    hint: write a point instead of the comma in numbers
    ");
    for value in ["-0.1", "NaN", "inf", "often"] {
        let line = format!("line 3, column `joy`: `{value}` is not a probability from 0 to 1");
        assert!(refused(value).contains(&line), "{value}");
    }
    assert!(refused("").contains("line 3, column `joy`: an empty value is not a probability"));
}

#[test]
fn probabilities_are_hard_labels_only_on_request() {
    let file = "text,joy,fear\na,0,1\nb,0.3,0\nc,1,0\n";
    assert_snapshot!(printed(load_plain(file)), @r"
    error: `train.csv`, line 3, column `joy`: `0.3` is not 0 or 1
    hint: correct the value, or, if labels are probabilities here, pass `--soft-labels`
    ");
    assert_snapshot!(printed(evaluate(file, &["joy"])), @r"
    error: `train.csv`, line 3, column `joy`: `0.3` is not 0 or 1
    hint: correct the value, or, if labels are probabilities here: `evaluate --soft-labels` counts 0.5 and more as 1
    ");
    assert_snapshot!(printed(load_plain("text,joy,fear\na,0.2,0.9\nb,0.3,0.1\n")), @r"
    error: no label column in `train.csv` (found: `text`, `joy`, `fear`)
    hint: a label column holds only 0 and 1; name them with `--labels`, or, if labels are probabilities here, pass `--soft-labels`
    ");
}

#[test]
fn soft_labels_that_do_not_differ_or_only_on_one_side_are_warned_of() {
    let file = "text,id,joy,fear,weight\na,x,0.2,0.9,0.5\nb,y,0.3,0.1,0.5\n";
    let warnings = load(file, &soft(), None).unwrap().dataset.check_classes().unwrap();
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_snapshot!(warnings.join("\n"), @r"
    label `weight` is 0.5 in every row, so nothing can be learned about it
    label `joy` is below 0.5 in every row, so scores take it as 0 everywhere and say nothing about it
    ");
}

#[test]
fn reads_the_competition_s_file() {
    let (Some(train), Some(test)) = (kaggle("train.csv"), kaggle("test.csv")) else { return };
    let loaded = Dataset::read(&train, &FileOptions::default(), LabelChoice::Find).unwrap();
    assert_eq!(loaded.label_rule, LabelRule::Emotions { others: vec![] });
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.dataset.len(), 6827);
    // Counted with Python's `csv` and `collections`.
    let on = |label| loaded.dataset.targets.column(label).filter(|&value| value == 1).count();
    assert_eq!([0, 1, 2, 3, 4].map(on), [808, 3860, 1660, 2171, 1999]);
    let (texts, warnings) = Texts::read(&test, &FileOptions::default()).unwrap();
    assert_eq!((texts.len(), warnings.len()), (1707, 0));
    assert_eq!(texts.texts[1], "anyway, back to tuesday.");
}

fn strings<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).to_vec()
}
