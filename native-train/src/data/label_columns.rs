//! The columns of a file that are labels, and their values.

use std::fmt;

use anyhow::Result;
use shared::LabelSet;
use shared::words::joined;

use super::chunk::{Chunk, Place};
use super::columns::{EMOTIONS, find_label, index_of, quoted};
use super::label_values::{LabelValues, probability};
use super::needed::InputColumns;
use super::table::Table;
use crate::error::UserError;
use crate::grid::{Probabilities, Targets};
use crate::shell::flag;

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
    /// Each of the five emotions is a column. `others` are the other columns that hold only what labels hold.
    Emotions { others: Vec<String> },
    /// They are the columns, other than text and id, that hold only what labels hold.
    ByValues { left_out: Vec<NotALabel> },
    /// They are all that the lists of a column hold, sorted.
    Lists { column: String },
}

/// The labels of a file.
pub struct Labels {
    pub set: LabelSet,
    /// 0 and 1; probabilities of 0.5 and more count as 1.
    pub targets: Targets,
    /// The probabilities, if labels are such.
    pub soft_targets: Option<Probabilities>,
    pub rule: LabelRule,
}

/// The first value of a column that no label may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotALabel {
    pub column: String,
    pub place: Place,
    pub value: String,
}

/// The columns that may be labels, by the rows read so far.
pub struct LabelColumns {
    source: Source,
    allowed: LabelValues,
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
    allowed: LabelValues,
    values: Vec<f32>,
    not_labels: usize,
    first: Option<NotALabel>,
}

impl LabelColumns {
    /// Finds the columns that may be labels.
    ///
    /// # Errors
    /// If a named column is missing or named twice.
    pub fn new(
        table: &Table,
        inputs: InputColumns,
        choice: LabelChoice,
        allowed: LabelValues,
    ) -> Result<Self> {
        let others: Vec<LabelColumn> = (0..table.header().len())
            .filter(|&column| column != inputs.text && Some(column) != inputs.id)
            .filter(|&column| !table.header()[column].is_empty() && table.unread(column).is_none())
            .map(|column| LabelColumn::new(column, &table.header()[column], allowed))
            .collect();
        let none = Vec::new();
        let (source, columns, others) = match choice {
            LabelChoice::Named(names) => (Source::User, named(table, names, allowed)?, none),
            LabelChoice::OfRun(names) => (Source::Run, of_run(table, names, allowed)?, none),
            LabelChoice::Find => match emotions(table, allowed)? {
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
        Ok(Self { source, allowed, file: table.file().to_owned(), columns, others })
    }

    /// Tells for each row whether no one has labelled it: each label is blank or -1. What is not a label in the other rows is
    /// not asked.
    pub fn unlabelled(&self, chunk: &Chunk) -> Vec<bool> {
        let labels: Vec<usize> = self
            .columns
            .iter()
            .filter(|column| self.source != Source::Values || !column.is_refuted(chunk))
            .map(|column| column.column)
            .collect();
        let is_unlabelled = |row| {
            let values = chunk.row(row);
            !labels.is_empty() && labels.iter().all(|&column| is_blank(values[column]))
        };
        (0..chunk.len()).map(is_unlabelled).collect()
    }

    /// Adds these rows.
    ///
    /// # Errors
    /// If a column that is a label has a value that no label may have.
    pub fn take(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        for column in self.columns.iter_mut().chain(&mut self.others) {
            column.take(chunk, rows);
        }
        if self.source == Source::Values {
            return Ok(());
        }
        let first = self.columns.iter().filter_map(|column| column.first.as_ref());
        first.min_by_key(|found| found.place.number).map_or(Ok(()), |found| Err(self.refuse(found)))
    }

    /// The labels, their values, and how they were found.
    ///
    /// # Errors
    /// If there is no label, or a column holds a few values that no label may have among many that one may.
    pub fn finish(self, table: &Table) -> Result<Labels> {
        let meant = self.columns.iter().filter(|column| column.is_meant());
        let meant = meant.filter_map(|column| column.first.as_ref());
        if let Some(found) = meant.min_by_key(|found| found.place.number) {
            return Err(self.refuse(found));
        }
        let (labels, left_out): (Vec<_>, Vec<_>) =
            self.columns.into_iter().partition(|column| column.first.is_none());
        let Some(first) = labels.first() else {
            let found = quoted(table.header());
            let message = format!("no label column in `{}` (found: {found})", table.file());
            return Err(UserError::new(message).hint(no_label(self.allowed, &left_out)).into());
        };
        let rows = first.values.len();
        let values = (0..rows).flat_map(|row| labels.iter().map(move |label| label.values[row]));
        let values = Probabilities::new(labels.len(), values.collect());
        let targets = values.rows().flatten().map(|&value| u8::from(value >= 0.5)).collect();
        let targets = Targets::new(labels.len(), targets);
        let soft_targets = (self.allowed == LabelValues::Probabilities).then_some(values);
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
                LabelRule::ByValues { left_out }
            }
        };
        Ok(Labels { set, targets, soft_targets, rule })
    }

    fn refuse(&self, found: &NotALabel) -> anyhow::Error {
        let NotALabel { column, place, value } = found;
        let shown = match value.as_str() {
            "" => "an empty value".to_owned(),
            value => format!("`{}`", shortened(value)),
        };
        let not = match self.allowed {
            LabelValues::ZeroAndOne => "0 or 1",
            LabelValues::Probabilities => "a probability from 0 to 1",
        };
        let file = &self.file;
        UserError::new(format!("`{file}`, {place}, column `{column}`: {shown} is not {not}"))
            .hint(self.remedy(found))
            .into()
    }

    fn remedy(&self, NotALabel { column, value, .. }: &NotALabel) -> String {
        if value == column {
            return "remove this line if it is a header again; files that are joined keep only the first"
                .to_owned();
        }
        if is_blank(value) {
            return "correct the value; `--skip-unlabelled` leaves out rows in which every label is blank or -1"
                .to_owned();
        }
        if self.allowed == LabelValues::ZeroAndOne && probability(value).is_some() {
            return match self.source {
                Source::Run => {
                    "correct the value, or, if labels are probabilities here: `evaluate \
                                --soft-labels` counts 0.5 and more as 1"
                }
                _ => {
                    "correct the value, or, if labels are probabilities here, pass `--soft-labels`"
                }
            }
            .to_owned();
        }
        if self.allowed == LabelValues::Probabilities && is_probability_with_comma(value) {
            return "write a point instead of the comma in numbers".to_owned();
        }
        if self.source == Source::Run {
            return match self.allowed {
                LabelValues::ZeroAndOne => "correct the value: 1 if the text has the label, else 0",
                LabelValues::Probabilities => {
                    "correct the value: how probable the label is, from 0 to 1"
                }
            }
            .to_owned();
        }
        let others = self.columns.iter().filter(|label| label.first.is_none());
        let others: Vec<&str> = others.map(|label| label.name.as_str()).collect();
        if others.is_empty() {
            return "correct the value, or name other columns with `--labels`".to_owned();
        }
        format!(
            "correct the value, or leave the column out: `{}`",
            flag("--labels", &others.join(","))
        )
    }
}

impl LabelColumn {
    fn new(column: usize, name: &str, allowed: LabelValues) -> Self {
        let (name, values) = (name.to_owned(), Vec::new());
        Self { column, name, allowed, values, not_labels: 0, first: None }
    }

    /// Adds the values of these rows. What is no label counts as 0 until the file is refused.
    fn take(&mut self, chunk: &Chunk, rows: &[usize]) {
        let values: Vec<&str> = chunk.column(self.column).collect();
        for &row in rows {
            let value = values[row].trim();
            let label = self.allowed.parse(value);
            if label.is_none() {
                self.not_labels += 1;
                self.first.get_or_insert_with(|| NotALabel {
                    column: self.name.clone(),
                    place: chunk.place(row),
                    value: value.to_owned(),
                });
            }
            self.values.push(label.unwrap_or_default());
        }
    }

    /// Whether most values are those of a label, so that the others are mistakes.
    fn is_meant(&self) -> bool {
        2 * self.not_labels < self.values.len()
    }

    /// Whether most values so far are not those of a label, so that the column is none. Before any value was taken, those of
    /// the next chunk are asked, but for blank ones.
    fn is_refuted(&self, next: &Chunk) -> bool {
        if !self.values.is_empty() {
            return !self.is_meant();
        }
        let told = next.column(self.column).filter(|value| !is_blank(value));
        let (labels, others): (Vec<&str>, Vec<&str>) =
            told.partition(|value| self.allowed.parse(value.trim()).is_some());
        !others.is_empty() && labels.len() <= others.len()
    }
}

/// Whether a value says that no one has decided whether the text has the label.
fn is_blank(value: &str) -> bool {
    matches!(value.trim(), "" | "-1" | "-1.0")
}

impl fmt::Display for NotALabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (`{}` {})", self.column, shortened(&self.value), self.place.at())
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
fn emotions(table: &Table, allowed: LabelValues) -> Result<Option<Vec<LabelColumn>>> {
    let mut columns = Vec::new();
    for name in EMOTIONS {
        let Some(column) = index_of(table, name)? else { return Ok(None) };
        check_read(table, column, allowed)?;
        columns.push(LabelColumn::new(column, &table.header()[column], allowed));
    }
    Ok(Some(columns))
}

/// The columns that `--labels` names, each named once.
fn named(table: &Table, names: &[String], allowed: LabelValues) -> Result<Vec<LabelColumn>> {
    let hint = format!("pass `--labels` with the names of columns that hold {allowed}");
    let mut columns: Vec<LabelColumn> = Vec::new();
    for name in names {
        let column = find_label(table, name, &hint)?;
        if columns.iter().any(|label| label.column == column) {
            let message = format!("`--labels` names `{name}` twice");
            return Err(UserError::new(message).hint("name each label once").into());
        }
        check_read(table, column, allowed)?;
        columns.push(LabelColumn::new(column, name, allowed));
    }
    Ok(columns)
}

/// Checks that the type of a label column is one that labels may have.
fn check_read(table: &Table, column: usize, allowed: LabelValues) -> Result<()> {
    let Some(found) = table.unread(column) else { return Ok(()) };
    let (file, name) = (table.file(), &table.header()[column]);
    let message = format!("`{file}`, column `{name}`: it holds {found}, not {allowed}");
    let hint = "convert the column to booleans, integers or strings, or name other columns with `--labels`";
    Err(UserError::new(message).hint(hint).into())
}

/// The columns of a run's labels, which a user cannot choose.
fn of_run(table: &Table, names: &[String], allowed: LabelValues) -> Result<Vec<LabelColumn>> {
    let missing: Vec<String> = names
        .iter()
        .filter(|name| matches!(index_of(table, name), Ok(None)))
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        let (file, found) = (table.file(), quoted(table.header()));
        let missing = joined(missing);
        let message = format!(
            "`{file}` has no column for these labels of the run: {missing} (found: {found})"
        );
        let hint =
            format!("add a column of {allowed} for each label of the run; `predict` needs none");
        return Err(UserError::new(message).hint(hint).into());
    }
    named(table, names, allowed)
}

/// The remedy for a file in which no column holds labels.
fn no_label(allowed: LabelValues, columns: &[LabelColumn]) -> String {
    let hint = format!("a label column holds only {allowed}; name them with `--labels`");
    let is_soft = |column: &LabelColumn| {
        column.first.as_ref().is_some_and(|first| probability(&first.value).is_some())
    };
    if allowed == LabelValues::ZeroAndOne && columns.iter().any(is_soft) {
        return hint + ", or, if labels are probabilities here, pass `--soft-labels`";
    }
    let is_list = |column: &&LabelColumn| {
        column.first.as_ref().is_some_and(|first| first.value.starts_with('['))
    };
    if let Some(column) = columns.iter().find(is_list) {
        let flag = flag("--label-list-column", &column.name);
        return format!("{hint}, or, if `{}` holds lists of labels, pass `{flag}`", column.name);
    }
    hint
}

fn is_probability_with_comma(cell: &str) -> bool {
    cell.contains(',') && probability(&cell.replacen(',', ".", 1)).is_some()
}
