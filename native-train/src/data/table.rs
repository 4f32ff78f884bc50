//! Tables in files of any format: a header, and chunks of rows in which every value is the text that the file has.
//!
//! One chunk is in memory at a time, so a file of any size can be streamed.

use std::io::Read;
use std::path::Path;

use anyhow::Result;
use shared::csv::Delimiter;

use super::chunk::{Chunk, ChunkBuilder, Unit};
use super::input::open;
use super::needed::Needed;
use super::warning::Warning;
use super::{csv, json_lines, parquet};
use crate::format::Format;

/// A table being read.
pub struct Table {
    source: Source,
}

enum Source {
    Csv(Box<csv::Reader>),
    JsonLines(Box<json_lines::Reader>),
    Parquet(Box<parquet::Reader>),
}

impl Table {
    /// Opens a file and reads its header. `format` and `delimiter` are those that the user names; `None` finds
    /// them.
    ///
    /// # Errors
    /// If the file does not exist, is empty, or is not of its format.
    pub fn open(path: &Path, format: Option<Format>, delimiter: Option<Delimiter>) -> Result<Self> {
        let file = path.display().to_string();
        match Format::of(path, format) {
            Format::Csv => Self::of_csv(file, open(path)?, delimiter),
            Format::Tsv => Self::of_csv(file, open(path)?, delimiter.or(Some(Delimiter::Tab))),
            Format::JsonLines => Self::of_json_lines(file, open(path)?),
            Format::Parquet => {
                let reader = parquet::Reader::open(path)?;
                Ok(Self { source: Source::Parquet(Box::new(reader)) })
            }
        }
    }

    /// Reads CSV from `source`, which messages call `file`.
    ///
    /// # Errors
    /// If the input is empty or no table, or its first record is not a header.
    pub fn of_csv(
        file: String,
        source: Box<dyn Read + Send>,
        delimiter: Option<Delimiter>,
    ) -> Result<Self> {
        let reader = csv::Reader::new(file, source, delimiter)?;
        Ok(Self { source: Source::Csv(Box::new(reader)) })
    }

    /// Reads JSON Lines from `source`, which messages call `file`.
    ///
    /// # Errors
    /// If the input holds no object, or one of its first lines is none.
    pub fn of_json_lines(file: String, source: Box<dyn Read + Send>) -> Result<Self> {
        let reader = json_lines::Reader::new(file, source)?;
        Ok(Self { source: Source::JsonLines(Box::new(reader)) })
    }

    /// The names of the columns, in file order.
    pub fn header(&self) -> &[String] {
        match &self.source {
            Source::Csv(reader) => reader.header(),
            Source::JsonLines(reader) => reader.header(),
            Source::Parquet(reader) => reader.header(),
        }
    }

    /// The file's name in messages.
    pub fn file(&self) -> &str {
        match &self.source {
            Source::Csv(reader) => reader.file(),
            Source::JsonLines(reader) => reader.file(),
            Source::Parquet(reader) => reader.file(),
        }
    }

    /// What rows are found by.
    pub fn unit(&self) -> Unit {
        match &self.source {
            Source::Csv(_) | Source::JsonLines(_) => Unit::Line,
            Source::Parquet(_) => Unit::Row,
        }
    }

    /// A phrase for the values of a column that become no texts; `None` if they do.
    pub fn unread(&self, column: usize) -> Option<String> {
        match &self.source {
            Source::Csv(_) | Source::JsonLines(_) => None,
            Source::Parquet(reader) => reader.unread(column),
        }
    }

    /// Says which values are needed from here on; those of other columns may be empty.
    ///
    /// # Errors
    /// If the column of texts or ids has another type.
    pub fn need(&mut self, needed: Needed) -> Result<()> {
        match &mut self.source {
            Source::Csv(_) => Ok(()),
            Source::JsonLines(reader) => {
                reader.need(needed);
                Ok(())
            }
            Source::Parquet(reader) => reader.need(needed),
        }
    }

    /// The next `rows` rows, or fewer if they are long; `None` at the end of the file.
    ///
    /// # Errors
    /// If a row is malformed, or the file ends without a row.
    pub fn next_chunk(&mut self, rows: usize) -> Result<Option<Chunk>> {
        let mut chunk = ChunkBuilder::new(self.header().len(), rows);
        while !chunk.is_full() {
            let has_row = match &mut self.source {
                Source::Csv(reader) => reader.read_row(&mut chunk)?,
                Source::JsonLines(reader) => reader.read_row(&mut chunk)?,
                Source::Parquet(reader) => reader.read_row(&mut chunk)?,
            };
            if !has_row {
                break;
            }
        }
        chunk.finish(self.unit())
    }

    /// The warnings about what was read so far, and what was decided about the file.
    pub fn warnings(&self) -> Vec<Warning> {
        match &self.source {
            Source::Csv(reader) => reader.warnings(),
            Source::JsonLines(reader) => reader.warnings(),
            Source::Parquet(reader) => reader.warnings(),
        }
    }
}

#[cfg(test)]
mod tests;
