//! A CSV reader on polars: chunks of rows, every value as the text in the file.
//!
//! Polars gets whole, checked records (see `records`) and does not infer types: it would read the text
//! `1` as `1.0`. One chunk is in memory at a time, so a file of any size can be streamed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use polars::prelude::{CsvReadOptions, DataFrame, SerReader, StringChunked};

use super::records::Records;
use super::warning::Warning;
use crate::error::UserError;

/// The bytes at which a chunk ends, however few rows it has.
const CHUNK_BYTES: usize = 4 << 20;

/// A CSV file being read.
pub struct Reader {
    records: Records,
    rows: usize,
}

/// A chunk of rows, in file order.
pub struct Chunk {
    values: DataFrame,
    lines: Vec<usize>,
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If the file does not exist or is empty, or its first record is not a header.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| cannot_open(&name, &error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            let message = format!("`{name}` is a folder, not a CSV file");
            return Err(UserError::new(message).hint("name the file inside it").into());
        }
        Self::new(name, Box::new(BufReader::with_capacity(1 << 16, file)))
    }

    /// Reads the header from `reader`, which messages call `file`.
    ///
    /// # Errors
    /// If the input is empty, or its first record is not a header.
    pub fn new(file: String, reader: Box<dyn BufRead + Send>) -> Result<Self> {
        let mut records = Records::new(file, reader);
        let mut block = Vec::new();
        let Some(first) = records.append_next(&mut block)? else {
            let message = format!("`{}` is empty", records.file());
            let hint = "the first line names the columns, for example `id,text,joy,anger`";
            return Err(UserError::new(message).hint(hint).into());
        };
        let values = split(&block, first.values, 1).context(records.file().to_owned())?;
        let header: Vec<String> = (0..first.values)
            .map(|index| column(&values, index).get(0).unwrap_or_default().to_owned())
            .collect();
        refuse_repeated(&header, records.file())?;
        records.set_header(header);
        Ok(Self { records, rows: 0 })
    }

    /// The column names, in file order.
    pub fn header(&self) -> &[String] {
        self.records.header()
    }

    /// The file's name in messages.
    pub fn file(&self) -> &str {
        self.records.file()
    }

    /// The next `rows` rows, or fewer if they are long; `None` at the end of the file.
    ///
    /// # Errors
    /// If a record is malformed, or the file ends without a row.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Option<Chunk>> {
        let mut block = Vec::new();
        let mut lines = Vec::new();
        while lines.len() < rows && block.len() < CHUNK_BYTES {
            match self.records.append_next(&mut block)? {
                Some(record) => lines.push(record.line),
                None => break,
            }
        }
        self.rows += lines.len();
        if self.rows == 0 {
            let message = format!("`{}` has a header, but no rows", self.file());
            return Err(UserError::new(message).hint("add rows below the header").into());
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let values = split(&block, self.header().len(), lines.len())
            .with_context(|| format!("`{}`, from line {}", self.file(), lines[0]))?;
        Ok(Some(Chunk { values, lines }))
    }

    /// The warning about the lines that were skipped so far.
    pub fn warning(&self) -> Option<Warning> {
        let lines = self.records.blank_lines();
        let file = || self.file().to_owned();
        (!lines.is_empty()).then(|| Warning::BlankLines { file: file(), lines })
    }
}

impl Chunk {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// A chunk holds at least one row.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The values of a column, counted from 0.
    pub fn column(&self, index: usize) -> impl Iterator<Item = &str> {
        column(&self.values, index).iter().map(Option::unwrap_or_default)
    }

    /// The line on which each row begins.
    pub fn lines(&self) -> &[usize] {
        &self.lines
    }
}

fn cannot_open(name: &str, error: &std::io::Error) -> anyhow::Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    UserError::new(format!("cannot open `{name}`: {reason}"))
        .hint("check the path; a relative one starts at the current folder")
        .into()
}

fn refuse_repeated(header: &[String], file: &str) -> Result<()> {
    let mut seen = BTreeSet::new();
    match header.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        None => Ok(()),
        Some(name) => Err(UserError::new(format!("`{file}` has two columns named `{name}`"))
            .hint("rename or remove one of them")
            .into()),
    }
}

/// Splits `rows` whole records into columns of strings, named by their index.
fn split(block: &[u8], columns: usize, rows: usize) -> Result<DataFrame> {
    let names: Vec<String> = (0..columns).map(|index| index.to_string()).collect();
    // The header keeps the block from beginning with a text: polars takes some two-byte beginnings,
    // such as `x^`, for those of compressed files.
    let bytes = [names.join(",").as_bytes(), b"\n", block].concat();
    let values = CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .with_n_threads(Some(1))
        .map_parse_options(|options| options.with_missing_is_null(false))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()?;
    ensure!(values.height() == rows, "polars read {} of {rows} rows", values.height());
    Ok(values)
}

fn column(values: &DataFrame, index: usize) -> &StringChunked {
    values.columns()[index].str().expect("without inference every column holds strings")
}

#[cfg(test)]
mod tests;
