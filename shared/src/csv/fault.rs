//! The reason why a file is not read, with its place and what to do about it.

use super::delimiter::Delimiter;
use super::encoding::Encoding;
use super::foreign::Foreign;
use crate::words::{counted, joined};

/// The longest row in bytes. No text to classify is this long: a longer one has an open quote.
pub(super) const MAX_RECORD: usize = 16 << 20;

/// The reason why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1 as in an editor; `None` if the fault is the whole file's.
    pub line: Option<usize>,
    /// The column's name, or its number if it has none.
    pub column: Option<String>,
    /// The fault itself.
    pub kind: FaultKind,
}

/// The kinds of faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// There is no line with text.
    Empty,
    /// There is a header and nothing below it.
    NoRows,
    /// The file is no table of text.
    Foreign(Foreign),
    /// Bytes that are no text in the file's encoding.
    NotText(Encoding),
    /// The header can be divided by each of these delimiters, and nothing tells which is right.
    UnclearDelimiter(Vec<Delimiter>),
    /// A line `sep=` that names no delimiter that is known.
    UnknownSep(String),
    /// A row with more or fewer values than the header has.
    Width {
        /// The number of values in the row.
        values: usize,
        /// The number of columns in the header.
        columns: usize,
        /// The delimiter between them.
        delimiter: Delimiter,
    },
    /// Two columns of the same name.
    RepeatedName(String),
    /// A row that is the header once more.
    RepeatedHeader,
    /// A quote that is never closed. The line is the one on which it opens.
    OpenQuote,
    /// Text after a closing quote.
    TextAfterQuote {
        /// The line on which the quote was opened.
        opened_on: usize,
    },
    /// A carriage return that no line feed follows, outside of quotes.
    BareCarriageReturn,
    /// A row of more than 16 MiB.
    TooLong,
}

impl Fault {
    pub(super) fn on(line: usize, kind: FaultKind) -> Self {
        Self { line: Some(line), column: None, kind }
    }

    pub(super) fn of_file(kind: FaultKind) -> Self {
        Self { line: None, column: None, kind }
    }

    /// The place, to be written behind the file's name: `, line 3, column joy`. `quote` is put around the
    /// column's name.
    pub fn place(&self, quote: &str) -> String {
        let line = self.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let column = self.column.as_ref().map(|name| format!(", column {quote}{name}{quote}"));
        line + &column.unwrap_or_default()
    }

    /// The fault as a phrase.
    pub fn what(&self) -> String {
        match &self.kind {
            FaultKind::Empty => "the file is empty".to_owned(),
            FaultKind::NoRows => "the file has a header, but no rows".to_owned(),
            FaultKind::Foreign(kind) => format!("the file is {}, not CSV", kind.name()),
            FaultKind::NotText(encoding) => format!("not {encoding} text"),
            FaultKind::UnclearDelimiter(found) => {
                let found = joined(found.iter().map(|delimiter| format!("{delimiter}s")));
                format!("the columns may be separated by any of these: {found}")
            }
            FaultKind::UnknownSep(line) => format!("`{line}` names an unknown delimiter"),
            FaultKind::Width { values, columns, .. } => {
                format!("{} for {}", counted(*values, "value"), counted(*columns, "column"))
            }
            FaultKind::RepeatedName(name) => format!("two columns are named `{name}`"),
            FaultKind::RepeatedHeader => "the header comes again".to_owned(),
            FaultKind::OpenQuote => "the quote that opens here is never closed".to_owned(),
            FaultKind::TextAfterQuote { opened_on } => {
                format!("text after a closing quote (it was opened on line {opened_on})")
            }
            FaultKind::BareCarriageReturn => {
                "a carriage return without a line feed, outside of quotes".to_owned()
            }
            FaultKind::TooLong => format!("a row of over {} MiB", MAX_RECORD >> 20),
        }
    }

    /// The remedy as a phrase.
    pub fn remedy(&self) -> String {
        match &self.kind {
            FaultKind::Empty => {
                "the first line names the columns, for example `id,text,joy,anger`".to_owned()
            }
            FaultKind::NoRows => "add rows below the header".to_owned(),
            FaultKind::Foreign(kind) => kind.remedy(),
            FaultKind::NotText(_) => {
                "save the file as UTF-8; spreadsheet programs call this \u{201c}CSV UTF-8\u{201d}"
                    .to_owned()
            }
            FaultKind::UnclearDelimiter(_) => {
                "put names that hold one of them in double quotes".to_owned()
            }
            FaultKind::UnknownSep(_) => {
                "separate the columns by commas, semicolons, tabs or bars (`|`)".to_owned()
            }
            FaultKind::Width { values, columns, .. } if values < columns => {
                "give each row a value for every column; it may be empty".to_owned()
            }
            FaultKind::Width { delimiter, .. } => format!(
                "put a value that holds a {delimiter} in double quotes, without a space before them"
            ),
            FaultKind::RepeatedName(_) => "rename or remove one of them".to_owned(),
            FaultKind::RepeatedHeader => {
                "remove this line; files that are joined keep only the first header".to_owned()
            }
            FaultKind::OpenQuote => {
                "close the value with `\"`, and write a quote inside it as `\"\"`".to_owned()
            }
            FaultKind::TextAfterQuote { .. } => {
                "write a quote inside a quoted value as `\"\"`".to_owned()
            }
            FaultKind::BareCarriageReturn => {
                "end lines with LF or CRLF; put a value that holds a line break in quotes".to_owned()
            }
            FaultKind::TooLong => {
                "look for a quote above that line that is never closed, and check that the file is CSV"
                    .to_owned()
            }
        }
    }
}
