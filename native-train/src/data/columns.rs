//! The columns of a file that hold the text, the id and the labels.

use anyhow::Result;
use shared::csv::{Delimiter, Match, find, find_id, find_text, looks_like_id, reads_like_text};
use shared::words::joined;

use super::label_values::LabelValues;
use super::needed::InputColumns;
use super::table::Table;
use crate::error::UserError;
use crate::format::Format;
use crate::shell::flag;

/// The labels of the reference job.
pub const EMOTIONS: [&str; 5] = ["anger", "fear", "joy", "sadness", "surprise"];

/// Rows that are looked at for the column that reads like a text.
const SAMPLE_ROWS: usize = 100;

/// The user's word on a file. Whatever is not said is found: columns by their usual names.
#[derive(Debug, Clone, Default)]
pub struct FileOptions {
    /// `None` for that of the file's name.
    pub format: Option<Format>,
    pub delimiter: Option<Delimiter>,
    pub text_column: Option<String>,
    pub id_column: Option<String>,
    /// The column of lists of labels; `None` if each label has a column.
    pub label_list_column: Option<String>,
    pub unlabelled: Unlabelled,
    pub label_values: LabelValues,
}

/// The treatment of rows that no one has labelled: every label is blank or -1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlabelled {
    #[default]
    Refused,
    Skipped,
}

impl From<bool> for Unlabelled {
    fn from(skip: bool) -> Self {
        if skip { Self::Skipped } else { Self::Refused }
    }
}

impl FileOptions {
    /// Finds the columns in a file, which has to be refused if this fails.
    ///
    /// # Errors
    /// If a named column is missing, or no column has a usual name of a text column.
    pub(super) fn find(&self, table: &mut Table) -> Result<InputColumns> {
        Ok(InputColumns { text: self.find_text(table)?, id: self.find_id(table)? })
    }

    fn find_text(&self, table: &mut Table) -> Result<usize> {
        let Some(name) = &self.text_column else {
            return find_text(table.header()).map_or_else(|| Err(no_text_column(table)), Ok);
        };
        match index_of(table, name)? {
            Some(column) => Ok(column),
            None => {
                let hint = text_hint(table);
                Err(not_found(table, name, hint))
            }
        }
    }

    fn find_id(&self, table: &Table) -> Result<Option<usize>> {
        let Some(name) = &self.id_column else { return Ok(find_id(table.header())) };
        let hint = "pass `--id-column` with one of these, or leave it out";
        index_of(table, name)?.map(Some).ok_or_else(|| not_found(table, name, hint))
    }
}

/// The index of a named label column. `hint` says what to do if it is missing.
///
/// # Errors
/// If the column is missing.
pub fn find_label(table: &Table, name: &str, hint: &str) -> Result<usize> {
    index_of(table, name)?.ok_or_else(|| not_found(table, name, hint))
}

/// The index of the column with this name, in upper or lower case.
///
/// # Errors
/// If several columns have the name in other letters.
pub fn index_of(table: &Table, name: &str) -> Result<Option<usize>> {
    match find(table.header(), name) {
        Match::One(column) => Ok(Some(column)),
        Match::None => Ok(None),
        Match::Several(columns) => {
            let found =
                joined(columns.iter().map(|&column| format!("`{}`", table.header()[column])));
            let message =
                format!("`{}`: column `{name}` may be any of these: {found}", table.file());
            Err(UserError::new(message).hint("write the name as the file has it").into())
        }
    }
}

/// A column that holds ids by its name, if there is none named `id`.
pub fn likely_id(table: &Table, columns: InputColumns) -> Option<&str> {
    let names = table.header().iter().enumerate();
    let mut others = names.filter(|(index, _)| *index != columns.text);
    others.find_map(|(_, name)| looks_like_id(name).then_some(name.as_str()))
}

/// The header's names, quoted for a message.
pub fn quoted(header: &[String]) -> String {
    joined(header.iter().map(|name| format!("`{name}`")))
}

fn not_found(table: &Table, name: &str, hint: impl Into<String>) -> anyhow::Error {
    let found = quoted(table.header());
    UserError::new(format!("column `{name}` not found in `{}` (found: {found})", table.file()))
        .hint(hint)
        .into()
}

fn no_text_column(table: &mut Table) -> anyhow::Error {
    let hint = text_hint(table);
    not_found(table, "text", hint)
}

/// The flag that names the column that reads like a text. Rows are taken from the file for it.
fn text_hint(table: &mut Table) -> String {
    let usual = find_text(table.header());
    let likely = usual.or_else(|| {
        let chunk = table.next_chunk(SAMPLE_ROWS).ok()??;
        reads_like_text((0..chunk.len()).map(|row| chunk.row(row)))
    });
    let named = likely.map(|column| table.header()[column].as_str());
    match named.filter(|name| !name.is_empty()) {
        Some(name) if table.header().len() > 1 => {
            format!("pass `{}`", flag("--text-column", name))
        }
        Some(name) => format!(
            "add a first line `text`, or, if the first line is a name, pass `{}`",
            flag("--text-column", name)
        ),
        None => "add a column that holds the texts, and name it `text`".to_owned(),
    }
}
