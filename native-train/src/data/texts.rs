//! Texts and their ids without labels, streamed for prediction or read at once.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;

use super::chunk::Chunk;
use super::columns::{FileOptions, index_of, likely_id};
use super::needed::{InputColumns, Needed};
use super::table::Table;
use super::warning::{Tally, Warning};
use crate::shell::flag;

/// Rows read at a time when a whole file is read.
const CHUNK_ROWS: usize = 8192;

/// Texts and their ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    pub ids: Vec<String>,
    pub texts: Vec<String>,
    /// The name of the id column; `None` if the ids are the row numbers from 0.
    pub id_column: Option<String>,
}

/// The texts of a file in their order, a chunk at a time, so that memory does not grow with the file.
pub struct TextStream {
    table: Table,
    columns: InputColumns,
    rows: usize,
    empty_texts: Tally,
}

impl Texts {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If the file or a named column is missing, or a record is malformed.
    pub fn read(path: &Path, options: &FileOptions) -> Result<(Self, Vec<Warning>)> {
        Self::collect(TextStream::open(path, options)?)
    }

    /// Reads the rest of a file.
    ///
    /// # Errors
    /// If a record is malformed.
    pub fn collect(mut stream: TextStream) -> Result<(Self, Vec<Warning>)> {
        let id_column = stream.id_column().map(str::to_owned);
        let mut texts = Self { id_column, ..Self::default() };
        while let Some(chunk) = stream.next_chunk(CHUNK_ROWS)? {
            texts.append(chunk);
        }
        let mut warnings = stream.warnings();
        warnings.extend(repeated_ids(&texts.ids, stream.file()));
        Ok((texts, warnings))
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.ids.append(&mut more.ids);
        self.texts.append(&mut more.texts);
    }

    /// The given rows, ascending.
    pub(super) fn select(mut self, rows: &[usize]) -> Self {
        if rows.len() < self.len() {
            let chosen = |values: &mut Vec<String>| -> Vec<String> {
                rows.iter().map(|&row| std::mem::take(&mut values[row])).collect()
            };
            (self.ids, self.texts) = (chosen(&mut self.ids), chosen(&mut self.texts));
        }
        self
    }
}

impl TextStream {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// If the file is missing or lacks a column.
    pub fn open(path: &Path, options: &FileOptions) -> Result<Self> {
        Self::new(Table::open(path, options.format, options.delimiter)?, options)
    }

    pub(super) fn new(mut table: Table, options: &FileOptions) -> Result<Self> {
        let columns = options.find(&mut table)?;
        table.need(Needed { inputs: Some(columns), others: false })?;
        Ok(Self { table, columns, rows: 0, empty_texts: Tally::default() })
    }

    /// The next `rows` rows, or fewer if they are long or the last; `None` at the end.
    ///
    /// # Errors
    /// If a record is malformed, or the file has only a header.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Option<Texts>> {
        Ok(self.next_with_values(rows)?.map(|(texts, _)| texts))
    }

    /// Has the values of all columns read from here on.
    ///
    /// # Errors
    /// If the column of texts or ids has another type.
    pub(super) fn need_all(&mut self) -> Result<()> {
        self.table.need(Needed { inputs: Some(self.columns), others: true })
    }

    /// Reads like [`next_chunk`](Self::next_chunk), with the values of all columns that are needed.
    pub(super) fn next_with_values(&mut self, rows: usize) -> Result<Option<(Texts, Chunk)>> {
        let Some(chunk) = self.table.next_chunk(rows)? else { return Ok(None) };
        let texts: Vec<String> = chunk.column(self.columns.text).map(str::to_owned).collect();
        let ids = match self.columns.id {
            Some(column) => chunk.column(column).map(str::to_owned).collect(),
            None => (self.rows..self.rows + chunk.len()).map(|row| row.to_string()).collect(),
        };
        self.rows += chunk.len();
        self.note_empty(&texts, chunk.numbers());
        Ok(Some((Texts { ids, texts, id_column: None }, chunk)))
    }

    /// The warnings about the chunks read so far.
    pub fn warnings(&self) -> Vec<Warning> {
        let lines = self.empty_texts;
        let file = || self.file().to_owned();
        let empty = (!lines.is_empty()).then(|| Warning::EmptyTexts {
            file: file(),
            rows: lines,
            unit: self.table.unit(),
        });
        self.table.warnings().into_iter().chain(self.no_ids()).chain(empty).collect()
    }

    /// Whether the file has these labels: a column for each, or the column of lists that `options` name.
    pub fn is_labelled(&self, labels: &[String], options: &FileOptions) -> bool {
        let lists = options.label_list_column.as_ref();
        let has_lists =
            lists.is_some_and(|name| matches!(index_of(&self.table, name), Ok(Some(_))));
        has_lists || self.has_columns(labels)
    }

    /// Whether the file has a column of each of these names, or several that may be meant.
    pub(super) fn has_columns(&self, names: &[String]) -> bool {
        names.iter().all(|name| !matches!(index_of(&self.table, name), Ok(None)))
    }

    /// The name of the text column.
    pub fn text_column(&self) -> &str {
        &self.table.header()[self.columns.text]
    }

    /// The name of the id column; `None` if the ids are the row numbers from 0.
    pub fn id_column(&self) -> Option<&str> {
        self.columns.id.map(|column| self.table.header()[column].as_str())
    }

    fn no_ids(&self) -> Option<Warning> {
        let file = self.file().to_owned();
        let what = match (self.columns.id, likely_id(&self.table, self.columns)) {
            (Some(_), _) => return None,
            (None, Some(name)) => format!(
                "no column is named `id`, so rows are numbered from 0 (if `{name}` holds ids: `{}`)",
                flag("--id-column", name)
            ),
            (None, None) => "there is no id column, so rows are numbered from 0".to_owned(),
        };
        Some(Warning::Decided { file, what })
    }

    /// The file's name in messages.
    pub fn file(&self) -> &str {
        self.table.file()
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn columns(&self) -> InputColumns {
        self.columns
    }

    fn note_empty(&mut self, texts: &[String], lines: &[usize]) {
        for (_, line) in texts.iter().zip(lines).filter(|(text, _)| text.is_empty()) {
            self.empty_texts.note(*line);
        }
    }
}

/// The warning about ids that come more than once.
pub(super) fn repeated_ids(ids: &[String], file: &str) -> Option<Warning> {
    let mut seen = HashSet::with_capacity(ids.len());
    let repeated: Vec<&String> = ids.iter().filter(|id| !seen.insert(id.as_str())).collect();
    let first = (*repeated.first()?).clone();
    Some(Warning::RepeatedIds { file: file.to_owned(), count: repeated.len(), first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::chunk::Unit;
    use crate::data::testing::stream;

    #[test]
    fn streams_ids_and_texts_in_order() {
        let mut stream = stream(b"text,id\na,7\n,8\nc,7\n").unwrap();
        let mut all = Texts::default();
        while let Some(chunk) = stream.next_chunk(2).unwrap() {
            assert!(chunk.len() <= 2);
            all.append(chunk);
        }
        assert_eq!(all.ids, ["7", "8", "7"]);
        assert_eq!(all.texts, ["a", "", "c"]);
        let (file, lines) = ("train.csv".to_owned(), Tally { count: 1, first: 3 });
        assert_eq!(
            stream.warnings(),
            [Warning::EmptyTexts { file, rows: lines, unit: Unit::Line }]
        );
    }

    #[test]
    fn numbers_rows_without_ids_across_chunks() {
        let mut stream = stream(b"text\na\nb\nc\n").unwrap();
        assert_eq!(stream.next_chunk(2).unwrap().unwrap().ids, ["0", "1"]);
        assert_eq!(stream.next_chunk(2).unwrap().unwrap().ids, ["2"]);
        assert_eq!(stream.next_chunk(2).unwrap(), None);
    }

    #[test]
    fn counts_rows_with_an_earlier_id() {
        let ids = ["a", "b", "a", "a", "b"].map(str::to_owned);
        let file = "x.csv".to_owned();
        let expected = Warning::RepeatedIds { file: file.clone(), count: 3, first: "a".to_owned() };
        assert_eq!(repeated_ids(&ids, &file), Some(expected));
        assert_eq!(repeated_ids(&ids[..2], &file), None);
    }
}
