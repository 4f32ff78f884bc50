//! Parquet files, read by polars some rows of a row group at a time, so that memory does not grow with the file.
//!
//! Types are those of the file's own schema. The Arrow schema that some writers add beside it is not looked at: it
//! says that texts are categories, and nothing else that matters here.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use polars::io::parquet::metadata::{FileMetadata, FileMetadataRef};
use polars::io::parquet::read::ParallelStrategy;
use polars::prelude::{
    AnyValue, ArrowDataType, Column, ParquetReader, PolarsResult, SerReader, Series,
};
use shared::words::joined;

use super::chunk::ChunkBuilder;
use super::input::{open_file, refuse_pipe};
use super::needed::{InputColumns, Needed};
use super::warning::Warning;
use crate::error::UserError;
use crate::guard::guarded;

/// The rows that are decoded at a time.
const SLICE_ROWS: usize = 8192;

/// A Parquet file being read.
pub struct Reader {
    file: String,
    source: File,
    metadata: FileMetadataRef,
    /// The same without row groups.
    schema: FileMetadata,
    header: Vec<String>,
    types: Vec<ArrowDataType>,
    needed: Needed,
    /// The row group being read and its rows so far.
    group: usize,
    done_of_group: usize,
    done: usize,
    /// Decoded rows: the values of each column as texts, and the first that is not handed out.
    slice: Vec<Vec<String>>,
    slice_rows: usize,
    at: usize,
}

impl Reader {
    /// Opens a file and reads its schema.
    ///
    /// # Errors
    /// If the file does not exist, is no Parquet file, or has no row.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        refuse_pipe(path, "a Parquet file is read from its end")?;
        let source = open_file(path)?;
        let length = source.metadata()?.len();
        let begin = || -> PolarsResult<_> {
            let mut reader = ParquetReader::new(source.try_clone()?);
            let mut metadata = (**reader.get_metadata()?).clone();
            metadata.key_value_metadata = None;
            let metadata = Arc::new(metadata);
            let mut reader = ParquetReader::new(source.try_clone()?);
            reader.set_metadata(Arc::clone(&metadata));
            Ok((metadata, reader.schema()?))
        };
        let (metadata, schema) = checked(&file, begin)?;
        let is_cut_off = metadata.row_groups.iter().any(|group| {
            group.parquet_columns().iter().any(|column| column.byte_range().end > length)
        });
        if is_cut_off {
            return Err(no_parquet(&file, "columns end behind its end"));
        }
        let header: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
        let types = schema.iter_values().map(|field| field.dtype.clone()).collect();
        if metadata.num_rows == 0 {
            let message = format!("`{file}`: the file has columns, but no rows");
            return Err(UserError::new(message).hint("add rows").into());
        }
        Ok(Self {
            file,
            source,
            schema: FileMetadata { row_groups: Vec::new(), ..(*metadata).clone() },
            metadata,
            header,
            types,
            needed: Needed::ALL,
            group: 0,
            done_of_group: 0,
            done: 0,
            slice: Vec::new(),
            slice_rows: 0,
            at: 0,
        })
    }

    /// The names of the columns, in file order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The file's name in messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Says which values are needed from here on; those of other columns are empty.
    ///
    /// # Errors
    /// If the column of texts or ids has another type.
    pub fn need(&mut self, needed: Needed) -> Result<()> {
        if let Some(InputColumns { text, id }) = needed.inputs {
            if !is_text(&self.types[text]) {
                let remedy =
                    "convert the column to strings, or name another one with `--text-column`";
                return Err(self.wrong_type(text, "texts", remedy));
            }
            if let Some(id) =
                id.filter(|&id| !is_text(&self.types[id]) && !is_integer(&self.types[id]))
            {
                let remedy = "convert the column to strings or integers, or name another one with `--id-column`";
                return Err(self.wrong_type(id, "ids", remedy));
            }
        }
        self.needed = needed;
        Ok(())
    }

    /// Adds the next row to `chunk`; false at the end of the file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn read_row(&mut self, chunk: &mut ChunkBuilder) -> Result<bool> {
        if self.at == self.slice_rows && !self.read_slice()? {
            return Ok(false);
        }
        self.done += 1;
        let at = self.at;
        let values = self.slice.iter().map(|column| column.get(at).map_or("", String::as_str));
        chunk.push(self.done, values);
        self.at += 1;
        Ok(true)
    }

    /// A phrase for the values of a column that become no texts; `None` if they do.
    pub fn unread(&self, column: usize) -> Option<String> {
        (!is_read(&self.types[column])).then(|| name_of(&self.types[column]))
    }

    /// The columns that are needed and cannot be read.
    pub fn warnings(&self) -> Vec<Warning> {
        let unread: Vec<String> = (0..self.header.len())
            .filter_map(|column| {
                Some(format!("`{}` ({})", self.header[column], self.unread(column)?))
            })
            .collect();
        if unread.is_empty() || !self.needed.others {
            return Vec::new();
        }
        let what = format!(
            "these columns hold neither texts nor numbers and are not read: {}",
            joined(unread)
        );
        vec![Warning::Decided { file: self.file.clone(), what }]
    }

    /// Decodes the next rows of a row group; false at the end of the file.
    fn read_slice(&mut self) -> Result<bool> {
        while self
            .metadata
            .row_groups
            .get(self.group)
            .is_some_and(|group| group.num_rows() <= self.done_of_group)
        {
            (self.group, self.done_of_group) = (self.group + 1, 0);
        }
        let Some(group) = self.metadata.row_groups.get(self.group) else { return Ok(false) };
        let rows = SLICE_ROWS.min(group.num_rows() - self.done_of_group);
        let columns: Vec<usize> = (0..self.header.len())
            .filter(|&column| self.needed.has(column) && is_read(&self.types[column]))
            .collect();
        // With this group alone, as polars begins to decode each group that it is told of.
        let mut metadata = self.schema.clone();
        (metadata.row_groups, metadata.num_rows) = (vec![group.clone()], group.num_rows());
        let decode = || {
            let mut reader = ParquetReader::new(self.source.try_clone()?);
            reader.set_metadata(Arc::new(metadata));
            let frame = reader
                .with_projection(Some(columns.clone()))
                .with_slice(Some((self.done_of_group, rows)))
                // One thread, as `--threads` must hold.
                .read_parallel(ParallelStrategy::None)
                .finish()?;
            let texts = |column: &Column| -> Vec<String> {
                let values = column.as_materialized_series().rechunk();
                values.iter().map(|value| text_of(&value)).collect()
            };
            Ok(frame.columns().iter().map(texts).collect::<Vec<_>>())
        };
        let decoded = checked(&self.file, decode)?;
        self.slice = vec![Vec::new(); self.header.len()];
        for (column, texts) in columns.into_iter().zip(decoded) {
            self.slice[column] = texts;
        }
        (self.slice_rows, self.at) = (rows, 0);
        self.done_of_group += rows;
        let are_whole = |column: &Vec<String>| column.is_empty() || column.len() == rows;
        if !self.slice.iter().all(are_whole) {
            return Err(no_parquet(&self.file, "a column has fewer rows than the others"));
        }
        Ok(true)
    }

    fn wrong_type(&self, column: usize, wanted: &str, remedy: &str) -> anyhow::Error {
        let (file, name) = (&self.file, &self.header[column]);
        let found = name_of(&self.types[column]);
        UserError::new(format!("`{file}`, column `{name}`: it holds {found}, not {wanted}"))
            .hint(remedy)
            .into()
    }
}

/// What polars reads. On damaged files it returns errors, and of some it panics.
fn checked<T>(file: &str, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    match guarded(read) {
        Some(outcome) => outcome.map_err(|error| no_parquet(file, &error.to_string())),
        None => Err(no_parquet(file, "what it says of itself does not agree")),
    }
}

fn no_parquet(file: &str, reason: &str) -> anyhow::Error {
    UserError::new(format!("`{file}` is no Parquet file, or damaged: {reason}"))
        .hint("copy or download the file again, or name its format with `--format`")
        .into()
}

fn is_text(of: &ArrowDataType) -> bool {
    matches!(of, ArrowDataType::Utf8 | ArrowDataType::LargeUtf8 | ArrowDataType::Utf8View)
}

fn is_integer(of: &ArrowDataType) -> bool {
    use ArrowDataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    matches!(of, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64)
}

/// Whether values of this type become texts here.
fn is_read(of: &ArrowDataType) -> bool {
    let is_number = |of: &ArrowDataType| {
        is_integer(of) || matches!(of, ArrowDataType::Float32 | ArrowDataType::Float64)
    };
    let is_single =
        |of: &ArrowDataType| is_text(of) || is_number(of) || *of == ArrowDataType::Boolean;
    match of {
        ArrowDataType::List(inner) | ArrowDataType::LargeList(inner) => is_single(&inner.dtype),
        single => is_single(single),
    }
}

/// A phrase for the values of a type.
fn name_of(of: &ArrowDataType) -> String {
    match of {
        of if is_text(of) => "texts".to_owned(),
        of if is_integer(of) => "integers".to_owned(),
        ArrowDataType::Boolean => "booleans".to_owned(),
        ArrowDataType::Float16 | ArrowDataType::Float32 | ArrowDataType::Float64 => {
            "floating-point numbers".to_owned()
        }
        ArrowDataType::List(inner) | ArrowDataType::LargeList(inner) => {
            format!("lists of {}", name_of(&inner.dtype))
        }
        ArrowDataType::Date32 | ArrowDataType::Date64 => "dates".to_owned(),
        ArrowDataType::Timestamp(..) | ArrowDataType::Time32(_) | ArrowDataType::Time64(_) => {
            "times".to_owned()
        }
        ArrowDataType::Decimal(..) => "decimal numbers".to_owned(),
        ArrowDataType::Struct(_) => "objects".to_owned(),
        ArrowDataType::Binary | ArrowDataType::LargeBinary | ArrowDataType::BinaryView => {
            "bytes".to_owned()
        }
        other => format!("values of the type {other:?}"),
    }
}

/// A value as text; nothing for null. A list is written as JSON writes it.
fn text_of(value: &AnyValue) -> String {
    match value {
        AnyValue::Null => String::new(),
        AnyValue::List(values) => json_list(values),
        // Other digits would name another number.
        AnyValue::Float32(number) => format!("{number:?}"),
        AnyValue::Float64(number) => format!("{number:?}"),
        AnyValue::Boolean(value) => value.to_string(),
        AnyValue::String(text) => (*text).to_owned(),
        integer => {
            integer.extract::<i128>().map_or_else(String::new, |integer| integer.to_string())
        }
    }
}

fn json_list(values: &Series) -> String {
    let values = values.rechunk();
    let one = |value: AnyValue| match value {
        AnyValue::Null => serde_json::Value::Null,
        value => serde_json::Value::String(text_of(&value)),
    };
    serde_json::Value::Array(values.iter().map(one).collect()).to_string()
}
