//! Splits the bytes of a CSV file into whole records and rejects malformed ones.
//!
//! Polars fills short rows with nulls, reads empty lines as rows and reports no line numbers, so each
//! record is checked here before polars splits it into values. One record is in memory at a time.

use std::io::{BufRead, Read};

use anyhow::{Context, Result};
use shared::words::counted;

use super::scan::{Fault, Scan};
use super::warning::Tally;
use crate::error::UserError;

/// The longest record in bytes. No text to classify is this long: a longer record has an open quote.
const MAX_RECORD: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The records of one file, in order.
pub struct Records {
    file: String,
    reader: Box<dyn BufRead + Send>,
    /// The lines read so far. A quoted line break also begins a new one, as in an editor.
    line: usize,
    /// The column names, once they are known. Each record has a value for each.
    header: Vec<String>,
    /// The empty lines outside of quotes, which are not rows.
    blank_lines: Tally,
    record: Vec<u8>,
}

/// A record that was appended to a block.
pub struct Record {
    /// The line it begins on.
    pub line: usize,
    pub values: usize,
}

impl Records {
    /// The records in `reader`, which messages call `file`.
    pub fn new(file: String, reader: Box<dyn BufRead + Send>) -> Self {
        let blank_lines = Tally::default();
        Self { file, reader, line: 0, header: Vec::new(), blank_lines, record: Vec::new() }
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Requires a value for each of these columns in every later record.
    pub fn set_header(&mut self, header: Vec<String>) {
        self.header = header;
    }

    /// The blank lines so far.
    pub fn blank_lines(&self) -> Tally {
        self.blank_lines
    }

    /// Appends the next record and a line feed to `block`; `None` at the end of the file.
    ///
    /// # Errors
    /// If the record is not UTF-8, has a misplaced quote, or has more or fewer values than the header.
    pub fn append_next(&mut self, block: &mut Vec<u8>) -> Result<Option<Record>> {
        if !self.read_first_line()? {
            return Ok(None);
        }
        let line = self.line;
        let mut scan = Scan::default();
        loop {
            let end = without_line_end(&self.record).len();
            scan.run(&self.record[..end], self.line).map_err(|fault| self.refuse(&fault, &scan))?;
            if !scan.is_open() {
                let record = Record { line, values: scan.values() };
                self.check_width(&record)?;
                scan.emit(&self.record[..end], block);
                return Ok(Some(record));
            }
            if !self.read_line()? {
                return Err(self.open_quote(&scan));
            }
        }
    }

    /// Begins a record after any blank lines; false at the end of the file.
    fn read_first_line(&mut self) -> Result<bool> {
        loop {
            self.record.clear();
            if !self.read_line()? {
                return Ok(false);
            }
            if !without_line_end(&self.record).is_empty() {
                return Ok(true);
            }
            self.blank_lines.note(self.line);
        }
    }

    /// Appends a line, with its end, to the record; false at the end of the file.
    fn read_line(&mut self) -> Result<bool> {
        let from = self.record.len();
        let room = MAX_RECORD + 1 - from;
        self.reader
            .by_ref()
            .take(room as u64)
            .read_until(b'\n', &mut self.record)
            .with_context(|| format!("cannot read `{}`", self.file))?;
        if self.record.len() == from {
            return Ok(false);
        }
        self.line += 1;
        if self.record.len() > MAX_RECORD {
            return Err(self.too_long());
        }
        if self.line == 1 && self.record.starts_with(BYTE_ORDER_MARK) {
            self.record.drain(..BYTE_ORDER_MARK.len());
        }
        match std::str::from_utf8(&self.record[from..]) {
            Ok(_) => Ok(true),
            Err(_) => Err(self.not_utf8()),
        }
    }

    fn check_width(&self, record: &Record) -> Result<()> {
        let width = self.header.len();
        if width == 0 || record.values == width {
            return Ok(());
        }
        let hint = if record.values < width {
            "give each row a value for every column; it may be empty"
        } else {
            "put a value that holds a comma in double quotes, without a space before them"
        };
        let (line, values) = (record.line, counted(record.values, "value"));
        let columns = counted(width, "column");
        Err(UserError::new(format!("`{}`, line {line}: {values} for {columns}", self.file))
            .hint(hint)
            .into())
    }

    fn refuse(&self, fault: &Fault, scan: &Scan) -> anyhow::Error {
        let position = self.position(self.line, scan);
        match fault {
            Fault::TextAfterQuote { opened_on } => UserError::new(format!(
                "{position}: text after a closing quote (it was opened on line {opened_on})"
            ))
            .hint("write a quote inside a quoted value as `\"\"`"),
            Fault::BareCarriageReturn => UserError::new(format!(
                "{position}: a carriage return without a line feed, outside of quotes"
            ))
            .hint("end lines with LF or CRLF; put a value that holds a line break in quotes"),
        }
        .into()
    }

    fn open_quote(&self, scan: &Scan) -> anyhow::Error {
        let position = self.position(scan.quote_line(), scan);
        UserError::new(format!("{position}: the quote that opens here is never closed"))
            .hint("close the value with `\"`, and write a quote inside it as `\"\"`")
            .into()
    }

    /// The position of the value at which `scan` stopped.
    fn position(&self, line: usize, scan: &Scan) -> String {
        let column = match self.header.get(scan.values()) {
            Some(name) => format!("column `{name}`"),
            None => format!("value {}", scan.values() + 1),
        };
        format!("`{}`, line {line}, {column}", self.file)
    }

    fn too_long(&self) -> anyhow::Error {
        let limit = MAX_RECORD >> 20;
        UserError::new(format!("`{}`, line {}: a row of over {limit} MiB", self.file, self.line))
            .hint("look for a quote above that line that is never closed, and check that the file is CSV")
            .into()
    }

    fn not_utf8(&self) -> anyhow::Error {
        UserError::new(format!("`{}`, line {}: not UTF-8 text", self.file, self.line))
            .hint("save the file as UTF-8 (for example: `iconv -f WINDOWS-1252 -t UTF-8`)")
            .into()
    }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
