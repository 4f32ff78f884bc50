//! A table with a row for each id and a column for each label, written in chunks in any format.
//!
//! | format | ids and texts | labels |
//! |---|---|---|
//! | CSV, TSV | quoted where they must be | 0 and 1, or digits that read back to the same bits |
//! | JSON Lines | strings of an object on each line | the same digits |
//! | Parquet | strings; row groups of 65,536 rows, compressed by snappy | i32, or f32 |

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use polars::io::parquet::write::BatchedWriter;
use polars::prelude::{
    Column, CsvWriter, DataFrame, DataType, Field, ParquetCompression, ParquetWriter, Schema,
    SerWriter,
};
use shared::LabelSet;

use crate::error::UserError;
use crate::format::Format;
use crate::grid::{Grid, Probabilities};

/// The rows of a row group.
const GROUP_ROWS: usize = 1 << 16;

/// The form of a table's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub format: Format,
    /// Whether the file is compressed by gzip.
    pub gzip: bool,
}

/// What the cells of the labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// 0 and 1.
    Decisions,
    Probabilities,
}

/// The first line of CSV and TSV, which names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    Yes,
    /// None, as the table continues another.
    No,
}

/// A table being written. What stands before the labels are its keys: ids, or ids and texts.
pub struct LabelTable<'a, W: Write> {
    rows: Rows<W>,
    keys: Vec<String>,
    labels: &'a LabelSet,
}

enum Rows<W: Write> {
    /// With the character between the columns.
    Csv(Bytes<W>, u8),
    JsonLines(Bytes<W>),
    Parquet {
        writer: Box<BatchedWriter<W>>,
        /// The rows that are not written yet.
        group: DataFrame,
    },
}

/// Where the bytes of a text format go.
enum Bytes<W: Write> {
    Plain(W),
    Gzip(Box<GzEncoder<W>>),
}

impl<'a, W: Write> LabelTable<'a, W> {
    /// Begins a table whose keys have the names `keys`.
    ///
    /// # Errors
    /// If two columns have one name, or the beginning cannot be written.
    pub fn begin(
        output: W,
        form: Form,
        (keys, cells, header): (&[&str], Cells, Header),
        labels: &'a LabelSet,
    ) -> Result<Self> {
        let names: Vec<&str> =
            keys.iter().copied().chain(labels.names().iter().map(String::as_str)).collect();
        check_distinct(&names)?;
        let rows = match form.format {
            Format::Csv | Format::Tsv => {
                let separator = if form.format == Format::Tsv { b'\t' } else { b',' };
                let mut bytes = Bytes::new(output, form.gzip);
                if header == Header::Yes {
                    let columns = names.iter().map(|&name| Column::new(name.into(), [""; 0]));
                    write_csv(&mut bytes, columns.collect(), Header::Yes, separator)?;
                }
                Rows::Csv(bytes, separator)
            }
            Format::JsonLines => Rows::JsonLines(Bytes::new(output, form.gzip)),
            Format::Parquet => {
                let cell = match cells {
                    Cells::Decisions => DataType::Int32,
                    Cells::Probabilities => DataType::Float32,
                };
                let fields = names.iter().enumerate().map(|(place, &name)| {
                    let dtype = if place < keys.len() { DataType::String } else { cell.clone() };
                    Field::new(name.into(), dtype)
                });
                let schema = Schema::from_iter(fields);
                let writer = ParquetWriter::new(output)
                    .with_compression(ParquetCompression::Snappy)
                    .set_parallel(false)
                    .batched(&schema)?;
                Rows::Parquet {
                    writer: Box::new(writer),
                    group: DataFrame::empty_with_schema(&schema),
                }
            }
        };
        let keys = keys.iter().map(ToString::to_string).collect();
        Ok(Self { rows, keys, labels })
    }

    /// Writes rows of probabilities, in digits that read back to the same bits.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn probabilities(&mut self, keys: &[&[String]], rows: &Probabilities) -> Result<()> {
        match &mut self.rows {
            Rows::JsonLines(bytes) => {
                // As the shortest digits of an f32, which those of an f64 are not.
                let digits = |value: f32| format!("{value:?}");
                write_objects(bytes, (&self.keys, self.labels), keys, rows, digits)
            }
            _ => self.columns(keys, |label| {
                Column::new("".into(), rows.column(label).collect::<Vec<f32>>())
            }),
        }
    }

    /// Writes rows of 0 and 1.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn decisions(&mut self, keys: &[&[String]], rows: &Grid<bool>) -> Result<()> {
        match &mut self.rows {
            Rows::JsonLines(bytes) => {
                let digit = |value| if value { "1".to_owned() } else { "0".to_owned() };
                write_objects(bytes, (&self.keys, self.labels), keys, rows, digit)
            }
            _ => self.columns(keys, |label| {
                Column::new("".into(), rows.column(label).map(i32::from).collect::<Vec<i32>>())
            }),
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<()> {
        match self.rows {
            Rows::Csv(bytes, _) | Rows::JsonLines(bytes) => bytes.finish(),
            Rows::Parquet { mut writer, group } => {
                write_group(&mut writer, group)?;
                writer.finish()?;
                Ok(())
            }
        }
    }

    fn columns(&mut self, keys: &[&[String]], cells: impl Fn(usize) -> Column) -> Result<()> {
        let keys = self.keys.iter().zip(keys).map(|(name, &key)| Column::new(name.into(), key));
        let labels = self.labels.names().iter().enumerate();
        let labels = labels.map(|(label, name)| cells(label).with_name(name.into()));
        let mut columns: Vec<Column> = keys.chain(labels).collect();
        match &mut self.rows {
            Rows::Csv(bytes, separator) => {
                // Without a header, names only have to be distinct.
                for (place, column) in columns.iter_mut().enumerate() {
                    column.rename(place.to_string().into());
                }
                write_csv(bytes, columns, Header::No, *separator)
            }
            Rows::Parquet { writer, group } => {
                group.vstack_mut(&DataFrame::new_infer_height(columns)?)?;
                if group.height() >= GROUP_ROWS {
                    let empty = group.clear();
                    write_group(writer, std::mem::replace(group, empty))?;
                }
                Ok(())
            }
            Rows::JsonLines(_) => unreachable!("objects are written row by row"),
        }
    }
}

/// Writes columns of CSV.
///
/// # Errors
/// If they cannot be written.
pub fn write_csv(
    output: impl Write,
    columns: Vec<Column>,
    header: Header,
    separator: u8,
) -> Result<()> {
    let mut table = DataFrame::new_infer_height(columns)?;
    // One thread, as formatting takes little time and `--threads` must hold.
    CsvWriter::new(output)
        .include_header(header == Header::Yes)
        .with_separator(separator)
        .n_threads(1)
        .finish(&mut table)?;
    Ok(())
}

fn write_group<W: Write>(writer: &mut BatchedWriter<W>, mut group: DataFrame) -> Result<()> {
    if group.height() > 0 {
        writer.write_batch(group.align_chunks())?;
    }
    Ok(())
}

/// Writes an object for each row: its keys, then its labels.
fn write_objects<W: Write, T: Copy>(
    output: &mut Bytes<W>,
    (names, labels): (&[String], &LabelSet),
    keys: &[&[String]],
    rows: &Grid<T>,
    cell: impl Fn(T) -> String,
) -> Result<()> {
    for (row, cells) in rows.rows().enumerate() {
        let mut line = String::from("{");
        let entries = names.iter().zip(keys).map(|(name, key)| (name, quoted(&key[row])));
        let cells = labels.names().iter().zip(cells).map(|(name, &value)| (name, cell(value)));
        for (place, (name, value)) in entries.chain(cells).enumerate() {
            let comma = if place > 0 { "," } else { "" };
            line += &format!("{comma}{}:{value}", quoted(name));
        }
        line += "}\n";
        output.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Checks that no two columns have one name.
fn check_distinct(names: &[&str]) -> Result<(), UserError> {
    let repeated = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    match repeated {
        None => Ok(()),
        Some((_, name)) => {
            Err(UserError::new(format!("two columns of the output are named `{name}`"))
                .hint("name another column with `--id-column`, or rename it in the input"))
        }
    }
}

impl<W: Write> Bytes<W> {
    fn new(output: W, gzip: bool) -> Self {
        if gzip {
            Self::Gzip(Box::new(GzEncoder::new(output, Compression::default())))
        } else {
            Self::Plain(output)
        }
    }

    fn finish(self) -> Result<()> {
        if let Self::Gzip(encoder) = self {
            encoder.finish()?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Bytes<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Gzip(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Gzip(output) => output.flush(),
        }
    }
}
