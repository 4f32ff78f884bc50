//! A labelled file: ids, texts, and a 0 or 1 for each label.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use shared::LabelSet;

use super::columns::{ColumnChoice, EMOTIONS, find_label, index_of, quoted};
use super::csv::{Chunk, Reader};
use super::texts::{TextStream, Texts, repeated_ids};
use super::warning::Warning;
use crate::error::UserError;
use crate::grid::Targets;

const CHUNK_ROWS: usize = 8192;

/// Texts with labels; row `i` of each field belongs to the same text.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub ids: Vec<String>,
    pub texts: Vec<String>,
    pub labels: LabelSet,
    pub targets: Targets,
}

/// A data set, and what was found in its file.
#[derive(Debug)]
pub struct Loaded {
    pub dataset: Dataset,
    pub text_column: String,
    /// `None` if the ids are the row numbers from 0.
    pub id_column: Option<String>,
    pub label_rule: LabelRule,
    pub warnings: Vec<Warning>,
}

/// The rule by which the label columns were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// The user named them.
    Given,
    /// Each of the five emotions is a column.
    Emotions,
    /// They are the columns, other than text and id, that hold only 0 and 1.
    OnlyZeroAndOne { left_out: Vec<LeftOut> },
}

/// A column that is not a label, and its first value that is neither 0 nor 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub column: String,
    pub line: usize,
    pub value: String,
}

impl Dataset {
    /// Reads a labelled file. `labels` are the label columns; `None` finds them.
    ///
    /// # Errors
    /// If the file or a column is missing, a record is malformed, or a label is not 0 or 1.
    pub fn read(path: &Path, choice: &ColumnChoice, labels: Option<&[String]>) -> Result<Loaded> {
        Self::collect(TextStream::open(path, choice)?, labels)
    }

    fn collect(mut stream: TextStream, labels: Option<&[String]>) -> Result<Loaded> {
        let mut search = LabelSearch::new(&stream, labels)?;
        let mut inputs = Texts::default();
        while let Some((texts, chunk)) = stream.next_with_values(CHUNK_ROWS)? {
            inputs.append(texts);
            search.take(&chunk, stream.file())?;
        }
        let (labels, targets, label_rule) = search.finish(stream.reader())?;
        let mut warnings = stream.warnings();
        warnings.extend(repeated_ids(&inputs.ids, stream.file()));
        let name = |index: usize| stream.reader().header()[index].clone();
        Ok(Loaded {
            text_column: name(stream.columns().text),
            id_column: stream.columns().id.map(name),
            dataset: Self { ids: inputs.ids, texts: inputs.texts, labels, targets },
            label_rule,
            warnings,
        })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Checks that the labels differ between rows, and warns of each label that does not.
    ///
    /// # Errors
    /// If all rows have the same labels.
    pub fn check_classes(&self) -> Result<Vec<Warning>> {
        let constant: Vec<Warning> = self
            .labels
            .names()
            .iter()
            .enumerate()
            .filter_map(|label| self.constant(label))
            .collect();
        if constant.len() < self.labels.len() {
            return Ok(constant);
        }
        Err(UserError::new(format!("all {} rows have the same labels", self.len()))
            .hint("add rows with other labels: a label is learned from rows that have it and rows that do not")
            .into())
    }

    fn constant(&self, (index, name): (usize, &String)) -> Option<Warning> {
        let mut values = self.targets.column(index);
        let value = values.next()?;
        values
            .all(|other| other == value)
            .then(|| Warning::ConstantLabel { label: name.clone(), value })
    }
}

/// The columns that may be labels, by the rows read so far.
struct LabelSearch {
    rule: LabelRule,
    candidates: Vec<Candidate>,
}

struct Candidate {
    column: usize,
    name: String,
    values: Vec<u8>,
}

impl LabelSearch {
    fn new(stream: &TextStream, given: Option<&[String]>) -> Result<Self> {
        let reader = stream.reader();
        let emotions = EMOTIONS.map(str::to_owned);
        let (rule, columns) = if let Some(names) = given {
            (LabelRule::Given, named(reader, names)?)
        } else if EMOTIONS.iter().all(|name| index_of(reader, name).is_some()) {
            (LabelRule::Emotions, named(reader, &emotions)?)
        } else {
            let inputs = stream.columns();
            let others = (0..reader.header().len())
                .filter(|&column| column != inputs.text && Some(column) != inputs.id)
                .filter(|&column| !reader.header()[column].is_empty());
            (LabelRule::OnlyZeroAndOne { left_out: Vec::new() }, others.collect())
        };
        let candidate = |column: usize| {
            let name = reader.header()[column].clone();
            Candidate { column, name, values: Vec::new() }
        };
        Ok(Self { rule, candidates: columns.into_iter().map(candidate).collect() })
    }

    fn take(&mut self, chunk: &Chunk, file: &str) -> Result<()> {
        let mut candidates = std::mem::take(&mut self.candidates);
        for mut candidate in candidates.drain(..) {
            match candidate.take(chunk) {
                Ok(()) => self.candidates.push(candidate),
                Err(odd) => match &mut self.rule {
                    LabelRule::OnlyZeroAndOne { left_out } => left_out.push(odd),
                    LabelRule::Given | LabelRule::Emotions => return Err(odd.error(file)),
                },
            }
        }
        Ok(())
    }

    fn finish(self, reader: &Reader) -> Result<(LabelSet, Targets, LabelRule)> {
        let Some(first) = self.candidates.first() else {
            let found = quoted(reader.header());
            let message = format!("no label column in `{}` (found: {found})", reader.file());
            let hint = "a label column holds only 0 and 1; name them with `--labels`";
            return Err(UserError::new(message).hint(hint).into());
        };
        let rows = first.values.len();
        let values = (0..rows)
            .flat_map(|row| self.candidates.iter().map(move |label| label.values[row]))
            .collect();
        let targets = Targets::new(self.candidates.len(), values);
        let names = self.candidates.into_iter().map(|label| label.name).collect();
        let labels = LabelSet::new(names).expect("a header's names are distinct");
        Ok((labels, targets, self.rule))
    }
}

impl Candidate {
    /// Adds the column's values, or returns the first that is not a label.
    fn take(&mut self, chunk: &Chunk) -> Result<(), LeftOut> {
        for (value, &line) in chunk.column(self.column).zip(chunk.lines()) {
            let Some(label) = parse_label(value) else {
                let (column, value) = (self.name.clone(), value.to_owned());
                return Err(LeftOut { column, line, value });
            };
            self.values.push(label);
        }
        Ok(())
    }
}

impl LeftOut {
    fn error(&self, file: &str) -> anyhow::Error {
        let (column, line, value) = (&self.column, self.line, shortened(&self.value));
        let what = match value.as_str() {
            "" => "an empty value".to_owned(),
            _ => format!("`{value}`"),
        };
        UserError::new(format!("`{file}`, line {line}, column `{column}`: {what} is not 0 or 1"))
            .hint("correct the value, or pass `--labels` without this column")
            .into()
    }
}

impl fmt::Display for LeftOut {
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

/// The indices of named label columns, each named once.
fn named(reader: &Reader, names: &[String]) -> Result<Vec<usize>> {
    let columns: Vec<usize> =
        names.iter().map(|name| find_label(reader, name)).collect::<Result<_>>()?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            let message = format!("`--labels` names `{name}` twice");
            return Err(UserError::new(message).hint("name each label once").into());
        }
    }
    Ok(columns)
}

fn parse_label(value: &str) -> Option<u8> {
    match value {
        "0" | "0.0" => Some(0),
        "1" | "1.0" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
