//! A column of lists of labels, as data sets for several labels have it: `["joy", "fear"]`.
//!
//! | cell | labels |
//! |---|---|
//! | a list of strings or integers (in CSV and TSV written as JSON) | those |
//! | `[]` | none |
//! | another text or an integer | the names in it, separated by commas: `joy` or `joy,fear` |
//! | blank or null | the row is not labelled |

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use serde_json::Value;
use shared::LabelSet;
use shared::words::joined;

use super::chunk::{Chunk, Place};
use super::columns::find_label;
use super::label_columns::{LabelChoice, LabelRule, Labels};
use super::needed::InputColumns;
use super::table::Table;
use super::warning::Warning;
use crate::error::UserError;
use crate::grid::Targets;

/// The labels in the lists of a column, by the rows read so far.
pub struct LabelLists {
    file: String,
    column: usize,
    name: String,
    known: Known,
    /// All names so far, in the order in which they came.
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// The places of each row's labels in `names`.
    rows: Vec<Vec<usize>>,
}

/// What is known of the labels before the file is read.
enum Known {
    Nothing,
    /// The user names those to learn.
    Named(Vec<String>),
    /// A run has these and no other.
    OfRun(Vec<String>),
}

impl LabelLists {
    /// Finds the column.
    ///
    /// # Errors
    /// If it is missing, is that of texts or ids, or has a type that labels have not.
    pub fn new(
        table: &Table,
        inputs: InputColumns,
        name: &str,
        choice: LabelChoice,
    ) -> Result<Self> {
        let hint = "pass `--label-list-column` with the column that holds lists of labels";
        let column = find_label(table, name, hint)?;
        let refuse = |what: &str| {
            let message = format!("`{}`, column `{name}`: {what}", table.file());
            UserError::new(message).hint(hint)
        };
        if column == inputs.text || Some(column) == inputs.id {
            return Err(refuse("it holds texts or ids, not labels").into());
        }
        if let Some(found) = table.unread(column) {
            return Err(
                refuse(&format!("it holds {found}, not lists of strings or integers")).into()
            );
        }
        let (known, names) = match choice {
            LabelChoice::Find => (Known::Nothing, Vec::new()),
            LabelChoice::Named(names) => (Known::Named(names.to_vec()), names.to_vec()),
            LabelChoice::OfRun(names) => (Known::OfRun(names.to_vec()), names.to_vec()),
        };
        let places = names.iter().cloned().zip(0..).collect();
        let (file, name) = (table.file().to_owned(), table.header()[column].clone());
        Ok(Self { file, column, name, known, names, places, rows: Vec::new() })
    }

    /// Whether no one has labelled this row: its cell is blank.
    pub fn is_unlabelled(&self, chunk: &Chunk, row: usize) -> bool {
        chunk.row(row)[self.column].trim().is_empty()
    }

    /// Adds these rows.
    ///
    /// # Errors
    /// If a cell holds no labels, or one that the run does not have.
    pub fn take(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        let cells: Vec<&str> = chunk.column(self.column).collect();
        for &row in rows {
            let labels = names_in(cells[row])
                .map_err(|(what, hint)| self.refuse(chunk.place(row), &what, hint))?;
            let mut places = Vec::with_capacity(labels.len());
            for label in labels {
                places.push(self.place_of(label, chunk.place(row))?);
            }
            places.sort_unstable();
            places.dedup();
            self.rows.push(places);
        }
        Ok(())
    }

    /// The labels and their values, and a warning if some are left out. Those that are found are sorted.
    ///
    /// # Errors
    /// If no list holds a label.
    pub fn finish(self) -> Result<(Labels, Option<Warning>)> {
        let Self { file, name, known, names, rows, .. } = self;
        let (chosen, rule) = match known {
            Known::Nothing => (sorted(&names), LabelRule::Lists { column: name.clone() }),
            Known::Named(named) => (named, LabelRule::Given),
            Known::OfRun(labels) => (labels, LabelRule::Given),
        };
        if chosen.is_empty() {
            let message = format!("`{file}`, column `{name}`: no list holds a label");
            let hint = "pass `--label-list-column` with the column that holds lists of labels";
            return Err(UserError::new(message).hint(hint).into());
        }
        let columns: HashMap<&str, usize> = chosen.iter().map(String::as_str).zip(0..).collect();
        let column_of: Vec<Option<usize>> =
            names.iter().map(|name| columns.get(name.as_str()).copied()).collect();
        let mut targets = vec![0; rows.len() * chosen.len()];
        let mut left_out = BTreeMap::new();
        for (row, labels) in rows.iter().enumerate() {
            for &label in labels {
                match column_of[label] {
                    Some(column) => targets[row * chosen.len() + column] = 1,
                    None => *left_out.entry(names[label].clone()).or_insert(0) += 1,
                }
            }
        }
        let warning = (!left_out.is_empty()).then(|| Warning::LabelsLeftOut {
            file,
            column: name,
            labels: left_out.into_iter().collect(),
        });
        let targets = Targets::new(chosen.len(), targets);
        let set = LabelSet::new(chosen).expect("names are distinct, and none is empty");
        Ok((Labels { set, targets, soft_targets: None, rule }, warning))
    }

    fn place_of(&mut self, label: String, row: Place) -> Result<usize> {
        if let Some(&place) = self.places.get(&label) {
            return Ok(place);
        }
        if let Known::OfRun(labels) = &self.known {
            let labels = joined(labels.iter().map(|name| format!("`{name}`")));
            let what = format!("`{label}` is no label of the run (it has {labels})");
            return Err(self.refuse(row, &what, "correct the list, or leave the row out"));
        }
        self.places.insert(label.clone(), self.names.len());
        self.names.push(label);
        Ok(self.names.len() - 1)
    }

    fn refuse(&self, place: Place, what: &str, hint: &str) -> anyhow::Error {
        let Self { file, name, .. } = self;
        UserError::new(format!("`{file}`, {place}, column `{name}`: {what}")).hint(hint).into()
    }
}

/// The labels in a cell, or why they cannot be read and what to do.
fn names_in(cell: &str) -> Result<Vec<String>, (String, &'static str)> {
    const HINT: &str =
        "write a list as JSON does, such as `[\"joy\", \"fear\"]`, or names separated by commas";
    let cell = cell.trim();
    if cell.is_empty() {
        let hint = "write `[]` where a text has no label; `--skip-unlabelled` leaves out rows without a list";
        return Err(("an empty value is no list of labels".to_owned(), hint));
    }
    let names: Vec<String> = if cell.starts_with('[') {
        let values: Vec<Value> = serde_json::from_str(cell)
            .map_err(|_| (format!("`{}` is no list of labels", shortened(cell)), HINT))?;
        let text = |value| match value {
            Value::String(name) => Ok(name.trim().to_owned()),
            Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
            other => Err((format!("`{}` is no label", shortened(&other.to_string())), HINT)),
        };
        values.into_iter().map(text).collect::<Result<_, _>>()?
    } else {
        cell.split(',').map(|name| name.trim().to_owned()).collect()
    };
    match names.iter().any(String::is_empty) {
        true => Err(("a label without a name".to_owned(), HINT)),
        false => Ok(names),
    }
}

/// The names in alphabetical order, or as numbers if all are.
fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().ok());
    }
    names
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}
