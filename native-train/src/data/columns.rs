//! The columns of a file that hold the text, the id and the labels.

use anyhow::Result;
use shared::words::joined;

use super::csv::Reader;
use crate::error::UserError;

/// The names of a text column, in the order in which the reference notebook tries them.
const TEXT_NAMES: [&str; 5] = ["text", "comment_text", "sentence", "content", "review"];

const ID_NAME: &str = "id";

/// The labels of the reference job.
pub const EMOTIONS: [&str; 5] = ["anger", "fear", "joy", "sadness", "surprise"];

/// The columns that the user named. The others are found by their usual names.
#[derive(Debug, Clone, Default)]
pub struct ColumnChoice {
    pub text: Option<String>,
    pub id: Option<String>,
}

/// The indices of the input columns.
#[derive(Debug, Clone, Copy)]
pub struct InputColumns {
    pub text: usize,
    /// `None` if there is no id column; rows are then numbered from 0.
    pub id: Option<usize>,
}

impl ColumnChoice {
    /// Finds the columns in a file.
    ///
    /// # Errors
    /// If a named column is missing, or no column has a usual name of a text column.
    pub(super) fn find(&self, reader: &Reader) -> Result<InputColumns> {
        Ok(InputColumns { text: self.find_text(reader)?, id: self.find_id(reader)? })
    }

    fn find_text(&self, reader: &Reader) -> Result<usize> {
        let found = match &self.text {
            Some(name) => index_of(reader, name),
            None => TEXT_NAMES.iter().find_map(|name| index_of(reader, name)),
        };
        found.ok_or_else(|| {
            let name = self.text.as_deref().unwrap_or(TEXT_NAMES[0]);
            not_found(reader, name, text_hint(reader.header()))
        })
    }

    fn find_id(&self, reader: &Reader) -> Result<Option<usize>> {
        let Some(name) = &self.id else { return Ok(index_of(reader, ID_NAME)) };
        let hint = "pass `--id-column` with one of these, or leave it out";
        index_of(reader, name).map(Some).ok_or_else(|| not_found(reader, name, hint))
    }
}

/// The index of a named label column.
///
/// # Errors
/// If the column is missing.
pub fn find_label(reader: &Reader, name: &str) -> Result<usize> {
    let hint = "pass `--labels` with the names of columns that hold 0 and 1";
    index_of(reader, name).ok_or_else(|| not_found(reader, name, hint))
}

/// The index of the column with this name. A column without a name is never found: it often holds row
/// numbers.
pub fn index_of(reader: &Reader, name: &str) -> Option<usize> {
    reader.header().iter().position(|column| column == name && !name.is_empty())
}

/// The header's names, quoted for a message.
pub fn quoted(header: &[String]) -> String {
    joined(header.iter().map(|name| format!("`{name}`")))
}

fn not_found(reader: &Reader, name: &str, hint: impl Into<String>) -> anyhow::Error {
    let found = quoted(reader.header());
    UserError::new(format!("column `{name}` not found in `{}` (found: {found})", reader.file()))
        .hint(hint)
        .into()
}

fn text_hint(header: &[String]) -> String {
    match (header, likely_text(header)) {
        ([all], _) if all.contains([';', '\t']) => "separate the columns by commas".to_owned(),
        (_, Some(column)) => format!("pass `--text-column {column}`"),
        (_, None) => "add a column that holds the texts".to_owned(),
    }
}

/// A usual name, else the first column that is neither an id nor an emotion.
fn likely_text(header: &[String]) -> Option<&str> {
    let usual = TEXT_NAMES.into_iter().find(|name| header.iter().any(|column| column == name));
    usual.or_else(|| {
        let other = |name: &&str| *name != ID_NAME && !name.is_empty() && !EMOTIONS.contains(name);
        header.iter().map(String::as_str).find(other)
    })
}
