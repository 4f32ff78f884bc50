//! Chunks of rows, in which every value is a text.

use std::fmt;

use anyhow::Result;
use polars::prelude::{DataFrame, IntoColumn, StringChunked, StringChunkedBuilder};

/// The bytes at which a chunk ends, however few rows it has.
const CHUNK_BYTES: usize = 4 << 20;

/// What the rows of a file are found by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// The line on which a row begins, as in an editor.
    #[default]
    Line,
    /// The number of a row, for files that have no lines.
    Row,
}

/// The place of a row in its file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub unit: Unit,
    pub number: usize,
}

/// A chunk of rows, in file order.
pub struct Chunk {
    values: DataFrame,
    unit: Unit,
    numbers: Vec<usize>,
}

/// A chunk on its way.
pub struct ChunkBuilder {
    columns: Vec<StringChunkedBuilder>,
    numbers: Vec<usize>,
    rows: usize,
    bytes: usize,
}

impl ChunkBuilder {
    /// An empty chunk of at most `rows` rows.
    pub fn new(columns: usize, rows: usize) -> Self {
        let new = |name: usize| StringChunkedBuilder::new(name.to_string().into(), rows.min(1024));
        Self { columns: (0..columns).map(new).collect(), numbers: Vec::new(), rows, bytes: 0 }
    }

    /// Whether it takes no more rows.
    pub fn is_full(&self) -> bool {
        self.numbers.len() >= self.rows || self.bytes >= CHUNK_BYTES
    }

    /// Adds a row with a value for each column.
    pub fn push<'a>(&mut self, number: usize, values: impl Iterator<Item = &'a str>) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.append_value(value);
            self.bytes += value.len();
        }
        self.numbers.push(number);
    }

    /// The chunk; `None` if it has no row.
    pub fn finish(self, unit: Unit) -> Result<Option<Chunk>> {
        if self.numbers.is_empty() {
            return Ok(None);
        }
        let columns = self.columns.into_iter().map(|column| column.finish().into_column());
        let values = DataFrame::new(self.numbers.len(), columns.collect())?;
        Ok(Some(Chunk { values, unit, numbers: self.numbers }))
    }
}

impl Chunk {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.numbers.len()
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

    /// The number of the line or row of each row.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// The place of a row.
    pub fn place(&self, row: usize) -> Place {
        Place { unit: self.unit, number: self.numbers[row] }
    }
}

impl Unit {
    /// The place with this number as a sentence has it: `on line 3`, `in row 3`.
    pub fn at(self, number: usize) -> String {
        match self {
            Self::Line => format!("on line {number}"),
            Self::Row => format!("in row {number}"),
        }
    }
}

impl Place {
    /// The place as a sentence has it: `on line 3`, `in row 3`.
    pub fn at(self) -> String {
        self.unit.at(self.number)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Line => "line",
            Unit::Row => "row",
        };
        write!(f, "{unit} {}", self.number)
    }
}
