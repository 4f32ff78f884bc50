//! The columns of a file that are labels, and their values.

use std::fmt;

use anyhow::Result;
use shared::LabelSet;
use shared::words::joined;

use super::columns::{EMOTIONS, InputColumns, find_label, index_of, quoted};
use super::csv::{Chunk, Reader};
use super::shell::flag;
use crate::error::UserError;
use crate::grid::Targets;

/// The choice of a file's labels.
#[derive(Debug, Clone, Copy)]
pub enum LabelChoice<'a> {
    /// They are found in the file.
    Find,
    /// The user names them.
    Named(&'a [String]),
    /// They are the labels of a trained run.
    OfRun(&'a [String]),
}

/// The rule by which the label columns were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// The user or a run names them.
    Given,
    /// Each of the five emotions is a column. `others` are the other columns that hold only 0 and 1.
    Emotions { others: Vec<String> },
    /// They are the columns, other than text and id, that hold only 0 and 1.
    OnlyZeroAndOne { left_out: Vec<NotALabel> },
}

/// The first value of a column that is neither 0 nor 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotALabel {
    pub column: String,
    pub line: usize,
    pub value: String,
}

/// The columns that may be labels, by the rows read so far.
pub struct LabelColumns {
    source: Source,
    file: String,
    columns: Vec<LabelColumn>,
    /// Beside the five emotions: the columns that may be labels as well.
    others: Vec<LabelColumn>,
}

/// The source of the columns' names.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Values,
    Emotions,
    User,
    Run,
}

struct LabelColumn {
    column: usize,
    name: String,
    values: Vec<u8>,
    not_labels: usize,
    first: Option<NotALabel>,
}

impl LabelColumns {
    /// Finds the columns that may be labels.
    ///
    /// # Errors
    /// If a named column is missing or named twice.
    pub fn new(reader: &Reader, inputs: InputColumns, choice: LabelChoice) -> Result<Self> {
        let others: Vec<LabelColumn> = (0..reader.header().len())
            .filter(|&column| column != inputs.text && Some(column) != inputs.id)
            .filter(|&column| !reader.header()[column].is_empty())
            .map(|column| LabelColumn::new(column, &reader.header()[column]))
            .collect();
        let none = Vec::new();
        let (source, columns, others) = match choice {
            LabelChoice::Named(names) => (Source::User, named(reader, names)?, none),
            LabelChoice::OfRun(names) => (Source::Run, of_run(reader, names)?, none),
            LabelChoice::Find => match emotions(reader)? {
                Some(columns) => {
                    let is_other = |other: &LabelColumn| {
                        columns.iter().all(|column| column.column != other.column)
                    };
                    let others = others.into_iter().filter(is_other).collect();
                    (Source::Emotions, columns, others)
                }
                None => (Source::Values, others, none),
            },
        };
        Ok(Self { source, file: reader.file().to_owned(), columns, others })
    }

    /// Whether no one has labelled this row: each label is blank or -1. What is not a label in the other
    /// rows is not asked.
    pub fn is_unlabelled(&self, chunk: &Chunk, row: usize) -> bool {
        let values = chunk.row(row);
        let mut labels = self.columns.iter().filter(|column| !column.is_refuted()).peekable();
        labels.peek().is_some()
            && labels.all(|column| matches!(values[column.column].trim(), "" | "-1" | "-1.0"))
    }

    /// Adds these rows.
    ///
    /// # Errors
    /// If a value of a column that is a label is not 0 or 1.
    pub fn take(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        for column in self.columns.iter_mut().chain(&mut self.others) {
            column.take(chunk, rows);
        }
        if self.source == Source::Values {
            return Ok(());
        }
        let first = self.columns.iter().filter_map(|column| column.first.as_ref());
        first.min_by_key(|found| found.line).map_or(Ok(()), |found| Err(self.refuse(found)))
    }

    /// The labels, their values, and how they were found.
    ///
    /// # Errors
    /// If there is no label, or a column holds values that are not 0 or 1 among many that are.
    pub fn finish(self, reader: &Reader) -> Result<(LabelSet, Targets, LabelRule)> {
        let meant = self.columns.iter().filter(|column| column.is_meant());
        let meant = meant.filter_map(|column| column.first.as_ref());
        if let Some(found) = meant.min_by_key(|found| found.line) {
            return Err(self.refuse(found));
        }
        let (labels, left_out): (Vec<_>, Vec<_>) =
            self.columns.into_iter().partition(|column| column.first.is_none());
        let Some(first) = labels.first() else {
            let found = quoted(reader.header());
            let message = format!("no label column in `{}` (found: {found})", reader.file());
            let hint = "a label column holds only 0 and 1; name them with `--labels`";
            return Err(UserError::new(message).hint(hint).into());
        };
        let rows = first.values.len();
        let values = (0..rows).flat_map(|row| labels.iter().map(move |label| label.values[row]));
        let targets = Targets::new(labels.len(), values.collect());
        let names = labels.iter().map(|label| label.name.clone()).collect();
        let set = LabelSet::new(names).expect("a header's names are distinct");
        let rule = match self.source {
            Source::User | Source::Run => LabelRule::Given,
            Source::Emotions => {
                let others = self.others.into_iter().filter(|column| column.first.is_none());
                LabelRule::Emotions { others: others.map(|column| column.name).collect() }
            }
            Source::Values => {
                let left_out = left_out.into_iter().filter_map(|column| column.first).collect();
                LabelRule::OnlyZeroAndOne { left_out }
            }
        };
        Ok((set, targets, rule))
    }

    fn refuse(&self, found: &NotALabel) -> anyhow::Error {
        let NotALabel { column, line, value } = found;
        let shown = match value.as_str() {
            "" => "an empty value".to_owned(),
            value => format!("`{}`", shortened(value)),
        };
        let is_missing = matches!(value.as_str(), "" | "-1" | "-1.0");
        let others = self.columns.iter().filter(|label| label.first.is_none());
        let others: Vec<&str> = others.map(|label| label.name.as_str()).collect();
        let hint = if value == column {
            "remove this line if it is a header again; files that are joined keep only the first"
                .to_owned()
        } else if is_missing {
            "correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1"
                .to_owned()
        } else if self.source == Source::Run {
            "correct the value: 1 if the text has the label, else 0".to_owned()
        } else if others.is_empty() {
            "correct the value, or name other columns with `--labels`".to_owned()
        } else {
            format!(
                "correct the value, or leave the column out: `{}`",
                flag("--labels", &others.join(","))
            )
        };
        let file = &self.file;
        UserError::new(format!("`{file}`, line {line}, column `{column}`: {shown} is not 0 or 1"))
            .hint(hint)
            .into()
    }
}

impl LabelColumn {
    fn new(column: usize, name: &str) -> Self {
        Self { column, name: name.to_owned(), values: Vec::new(), not_labels: 0, first: None }
    }

    /// Adds the values of these rows. What is no label counts as 0 until the file is refused.
    fn take(&mut self, chunk: &Chunk, rows: &[usize]) {
        let values: Vec<&str> = chunk.column(self.column).collect();
        for &row in rows {
            let value = values[row].trim();
            let label = parse_label(value);
            if label.is_none() {
                self.not_labels += 1;
                self.first.get_or_insert_with(|| NotALabel {
                    column: self.name.clone(),
                    line: chunk.lines()[row],
                    value: value.to_owned(),
                });
            }
            self.values.push(label.unwrap_or_default());
        }
    }

    /// Whether most values are 0 or 1, so that the others are mistakes.
    fn is_meant(&self) -> bool {
        2 * self.not_labels < self.values.len()
    }

    /// Whether most values so far are not 0 or 1, so that the column is no label.
    fn is_refuted(&self) -> bool {
        !self.values.is_empty() && !self.is_meant()
    }
}

impl fmt::Display for NotALabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (`{}` on line {})", self.column, shortened(&self.value), self.line)
    }
}

/// The beginning of a value, which may be a long text.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(24) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}

/// The columns of the five emotions, if all are there.
fn emotions(reader: &Reader) -> Result<Option<Vec<LabelColumn>>> {
    let mut columns = Vec::new();
    for name in EMOTIONS {
        let Some(column) = index_of(reader, name)? else { return Ok(None) };
        columns.push(LabelColumn::new(column, &reader.header()[column]));
    }
    Ok(Some(columns))
}

/// The columns that `--labels` names, each named once.
fn named(reader: &Reader, names: &[String]) -> Result<Vec<LabelColumn>> {
    let hint = "pass `--labels` with the names of columns that hold 0 and 1";
    let mut columns: Vec<LabelColumn> = Vec::new();
    for name in names {
        let column = find_label(reader, name, hint)?;
        if columns.iter().any(|label| label.column == column) {
            let message = format!("`--labels` names `{name}` twice");
            return Err(UserError::new(message).hint("name each label once").into());
        }
        columns.push(LabelColumn::new(column, name));
    }
    Ok(columns)
}

/// The columns of a run's labels, which a user cannot choose.
fn of_run(reader: &Reader, names: &[String]) -> Result<Vec<LabelColumn>> {
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !matches!(index_of(reader, name), Ok(Some(_))))
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        let (file, found) = (reader.file(), quoted(reader.header()));
        let missing = joined(missing);
        let message = format!(
            "`{file}` has no column for these labels of the run: {missing} (found: {found})"
        );
        let hint = "add a column of 0 and 1 for each label of the run; `predict` needs none";
        return Err(UserError::new(message).hint(hint).into());
    }
    named(reader, names)
}

fn parse_label(value: &str) -> Option<u8> {
    match value {
        "0" | "0.0" => Some(0),
        "1" | "1.0" => Some(1),
        _ if value.eq_ignore_ascii_case("false") => Some(0),
        _ if value.eq_ignore_ascii_case("true") => Some(1),
        _ => None,
    }
}
