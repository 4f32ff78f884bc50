//! CSV and TSV files. `shared::csv` reads the bytes, so that the page reads the same rows.
//!
//! TSV is CSV whose delimiter is the tab, as pandas, R and spreadsheets write it: a value that begins with a
//! quote is a quoted one.

use std::io::Read;
use std::path::Path;

use anyhow::Result;
use shared::csv::{self, Delimiter, Encoding, Fault, FaultKind, Foreign, Note, Record};

use super::chunk::ChunkBuilder;
use super::input::{open, read_some, unreadable};
use super::warning::Warning;
use crate::error::UserError;
use crate::shell::quoted;

/// The bytes that are read from a file at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// A table being read.
pub struct Reader {
    file: String,
    source: Box<dyn Read + Send>,
    block: Vec<u8>,
    table: csv::Reader,
    header: Vec<String>,
}

impl Reader {
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

    /// Adds the next row to `chunk`; false at the end of the file.
    ///
    /// # Errors
    /// If a record is malformed, or the file ends without a row.
    pub fn read_row(&mut self, chunk: &mut ChunkBuilder) -> Result<bool> {
        let Some(record) = self.next_record()? else { return Ok(false) };
        chunk.push(record.line, record.values());
        Ok(true)
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
        let count = read_some(&mut self.source, &mut self.block, &self.file)?;
        if count == 0 {
            self.block.clear();
            self.table.end();
        } else {
            self.table.push(&self.block[..count]);
        }
        Ok(())
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
        FaultKind::Foreign(Foreign::Columnar("Parquet")) => {
            "pass `--format parquet`, or give the file a name that ends in `.parquet`".to_owned()
        }
        FaultKind::Foreign(Foreign::Json) => {
            "pass `--format jsonl` if each line is an object, or give the file a name that ends in `.jsonl`"
                .to_owned()
        }
        FaultKind::UnknownSep(_) => "name the delimiter with `--delimiter`".to_owned(),
        _ => fault.remedy(),
    };
    UserError::new(message).hint(hint).into()
}

#[cfg(test)]
mod tests;
