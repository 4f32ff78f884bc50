//! Reads CSV files by polars, in chunks of rows, every value as the text it is written as.
//!
//! Polars gets whole, checked records (see `records`) and no leave to guess types: it would make
//! `1` of a text `1.0`. A chunk at a time is in memory, so a file of any size can be streamed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use polars::prelude::{CsvReadOptions, DataFrame, SerReader, StringChunked};

use super::records::Records;
use super::warning::Warning;
use crate::error::UserError;

/// A chunk ends before its rows are complete when their bytes reach this.
const CHUNK_BYTES: usize = 4 << 20;

/// A CSV file being read.
pub struct Reader {
    records: Records,
    rows: usize,
}

/// Some rows in file order.
pub struct Chunk {
    values: DataFrame,
    lines: Vec<usize>,
}

impl Reader {
    /// # Errors
    /// If there is no such file, it is empty, or its first record is no header.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| cannot_open(&name, &error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            let message = format!("`{name}` is a folder, not a CSV file");
            return Err(UserError::new(message).hint("name the file inside it").into());
        }
        Self::new(name, Box::new(BufReader::with_capacity(1 << 16, file)))
    }

    /// Reads `reader`, called `file` in messages.
    ///
    /// # Errors
    /// If it is empty or its first record is no header.
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

    /// What messages call the file.
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

    /// What was passed over so far.
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

/// Has polars split `rows` whole records into columns of strings, named by their place.
fn split(block: &[u8], columns: usize, rows: usize) -> Result<DataFrame> {
    let names: Vec<String> = (0..columns).map(|index| index.to_string()).collect();
    // The stand-in header keeps the block from beginning with a text: polars takes some two-byte
    // beginnings (`x^`, say) for those of compressed files.
    let bytes = [names.join(",").as_bytes(), b"\n", block].concat();
    let values = CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .with_n_threads(Some(1))
        .map_parse_options(|options| options.with_missing_is_null(false))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()?;
    ensure!(values.height() == rows, "{} rows were read, of {rows}", values.height());
    Ok(values)
}

fn column(values: &DataFrame, index: usize) -> &StringChunked {
    values.columns()[index].str().expect("without inference every column is of strings")
}

#[cfg(test)]
mod tests;
