//! Tables in files: chunks of rows, in which every value is the text in the file.
//!
//! `shared::csv` reads the bytes, so that the page reads the same rows. Here are the file, its compression,
//! and chunks as polars' columns. One chunk is in memory at a time, so a file of any size can be streamed.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use polars::prelude::{DataFrame, IntoColumn, StringChunked, StringChunkedBuilder};
use shared::csv::{self, Delimiter, Encoding, Fault, FaultKind, Note, Record};

use super::shell::quoted;
use super::warning::Warning;
use crate::error::UserError;

/// The bytes at which a chunk ends, however few rows it has.
const CHUNK_BYTES: usize = 4 << 20;

/// The bytes that are read from a file at a time.
const BLOCK_BYTES: usize = 64 << 10;

const GZIP: [u8; 2] = [0x1F, 0x8B];

/// A table being read.
pub struct Reader {
    file: String,
    source: Box<dyn Read + Send>,
    block: Vec<u8>,
    table: csv::Reader,
    header: Vec<String>,
}

/// A chunk of rows, in file order.
pub struct Chunk {
    values: DataFrame,
    lines: Vec<usize>,
}

impl Reader {
    /// Opens a file, which may be compressed by gzip, and reads its header. `delimiter` is the one that the
    /// user names; `None` finds it.
    ///
    /// # Errors
    /// If the file does not exist, is empty or no table, or its first record is not a header.
    pub fn open(path: &Path, delimiter: Option<Delimiter>) -> Result<Self> {
        Self::new(path.display().to_string(), open(path)?, delimiter)
    }

    /// Reads the header from `source`, which messages call `file`.
    ///
    /// # Errors
    /// If the input is empty or no table, or its first record is not a header.
    pub fn new(
        file: String,
        source: Box<dyn Read + Send>,
        delimiter: Option<Delimiter>,
    ) -> Result<Self> {
        let table = csv::Reader::new(delimiter);
        let block = vec![0; BLOCK_BYTES];
        let mut reader = Self { file, source, block, table, header: Vec::new() };
        while reader.header.is_empty() {
            match reader.table.header().map_err(|fault| refused(&reader.file, &fault))? {
                Some(header) => reader.header = header.to_vec(),
                None => reader.read_block()?,
            }
        }
        Ok(reader)
    }

    /// The column names, in file order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The file's name in messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The next `rows` rows, or fewer if they are long; `None` at the end of the file.
    ///
    /// # Errors
    /// If a record is malformed, or the file ends without a row.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Option<Chunk>> {
        let new = |name: usize| StringChunkedBuilder::new(name.to_string().into(), rows.min(1024));
        let mut columns: Vec<StringChunkedBuilder> = (0..self.header.len()).map(new).collect();
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < rows && bytes < CHUNK_BYTES {
            let Some(record) = self.next_record()? else { break };
            for (column, value) in columns.iter_mut().zip(record.values()) {
                column.append_value(value);
                bytes += value.len();
            }
            lines.push(record.line);
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let columns = columns.into_iter().map(|column| column.finish().into_column()).collect();
        Ok(Some(Chunk { values: DataFrame::new(lines.len(), columns)?, lines }))
    }

    /// The warnings about the lines that were skipped so far, and what was decided about the file.
    pub fn warnings(&self) -> Vec<Warning> {
        let file = || self.file.clone();
        let notes = self.table.notes().iter().map(|note| match note {
            Note::Comments(lines) => Warning::Comments { file: file(), lines: *lines },
            note => Warning::Decided { file: file(), what: note.sentence() },
        });
        let lines = self.table.blank_lines();
        let blank = (!lines.is_empty()).then(|| Warning::BlankLines { file: file(), lines });
        notes.chain(blank).collect()
    }

    fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            match self.table.next().map_err(|fault| refused(&self.file, &fault))? {
                Some(record) => return Ok(Some(record)),
                None if self.block.is_empty() => return Ok(None),
                None => self.read_block()?,
            }
        }
    }

    /// Hands the next bytes to the table. At the end, `block` is emptied.
    fn read_block(&mut self) -> Result<()> {
        let count = loop {
            match self.source.read(&mut self.block) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|error| unreadable(&self.file, error))?,
            }
        };
        if count == 0 {
            self.block.clear();
            self.table.end();
        } else {
            self.table.push(&self.block[..count]);
        }
        Ok(())
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
        let column: &StringChunked =
            self.values.columns()[index].str().expect("made of strings above");
        column.iter().map(Option::unwrap_or_default)
    }

    /// The values of a row, counted from 0.
    pub fn row(&self, index: usize) -> Vec<&str> {
        let columns = self.values.columns().iter();
        let columns = columns.map(|column| column.str().expect("made of strings above"));
        columns.map(|column| column.get(index).unwrap_or_default()).collect()
    }

    /// The line on which each row begins.
    pub fn lines(&self) -> &[usize] {
        &self.lines
    }
}

/// The text of a whole file that is no table. It may be compressed by gzip.
///
/// # Errors
/// If the file does not exist or is not text.
pub fn read_plain(path: &Path) -> Result<String> {
    let (name, mut bytes) = (path.display().to_string(), Vec::new());
    open(path)?.read_to_end(&mut bytes).map_err(|error| unreadable(&name, error))?;
    let (text, _) = csv::decode(&bytes).map_err(|fault| refused(&name, &fault))?;
    Ok(text)
}

/// The content of a file.
fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| cannot_open(&name, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        let message = format!("`{name}` is a folder, not a CSV file");
        return Err(UserError::new(message).hint("name the file inside it").into());
    }
    decompressed(file).with_context(|| format!("cannot read `{name}`"))
}

/// The content of a file, decompressed if it begins as gzip does. The file is read from its beginning once,
/// as it may be a pipe.
fn decompressed(mut file: File) -> std::io::Result<Box<dyn Read + Send>> {
    let mut beginning = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut beginning)?;
    let is_gzip = beginning == GZIP;
    let whole = Cursor::new(beginning).chain(file);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
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

/// An error in the middle of a file. What gzip reports is a fault of the file, not of the machine.
fn unreadable(name: &str, error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            UserError::new(format!("`{name}`: the compressed data is damaged or cut off ({error})"))
                .hint("copy or download the file again; `gzip --test` checks it")
                .into()
        }
        _ => anyhow::Error::new(error).context(format!("cannot read `{name}`")),
    }
}

fn refused(file: &str, fault: &Fault) -> anyhow::Error {
    let message = format!("`{file}`{}: {}", fault.place("`"), fault.what());
    let hint = match &fault.kind {
        FaultKind::NotText(Encoding::Utf8) => {
            let file = quoted(file);
            format!(
                "save the file as UTF-8 (for example: `iconv -f WINDOWS-1252 -t UTF-8 {file} > utf8.csv`)"
            )
        }
        FaultKind::UnclearDelimiter(found) => {
            format!("name the right one: `--delimiter {}`", found[0])
        }
        FaultKind::UnknownSep(_) => "name the delimiter with `--delimiter`".to_owned(),
        _ => fault.remedy(),
    };
    UserError::new(message).hint(hint).into()
}

#[cfg(test)]
mod tests;
