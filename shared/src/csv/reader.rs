//! Blocks of a file's bytes in, checked records out.

use std::collections::HashSet;

use super::decoder::Decoder;
use super::delimiter::Delimiter;
use super::encoding::Encoding;
use super::fault::{Fault, FaultKind};
use super::foreign::Foreign;
use super::lines::Lines;
use super::preamble::{Note, Preamble};
use super::scan::{Scan, Step};

/// The bytes that a reader looks at before it decides on encoding and delimiter.
const SAMPLE: usize = 16 << 10;

/// Reads a table from blocks of bytes.
///
/// [`push`](Self::push) takes the bytes as they come, [`end`](Self::end) says that there are no more, and
/// [`header`](Self::header) and [`next`](Self::next) give what can be read so far.
///
/// ```
/// use shared::csv::Reader;
///
/// let mut reader = Reader::new(None);
/// reader.push(b"id;text\n7;what a day\n");
/// reader.end();
/// assert_eq!(reader.header().unwrap().unwrap(), ["id", "text"]);
/// let row = reader.next().unwrap().unwrap();
/// assert_eq!((row.line, row.value(1)), (2, "what a day"));
/// assert!(reader.next().unwrap().is_none());
/// ```
pub struct Reader {
    forced: Option<Delimiter>,
    /// The first bytes, as long as they are too few to decide on encoding and delimiter.
    beginning: Vec<u8>,
    /// `None` until that is decided.
    rows: Option<Rows>,
    notes: Vec<Note>,
    blank_lines: Lines,
    row_count: usize,
    is_ended: bool,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins.
    pub line: usize,
    text: String,
    ends: Vec<usize>,
}

/// A table whose encoding and delimiter are known.
struct Rows {
    decoder: Decoder,
    scan: Scan,
    delimiter: Delimiter,
    /// Decoded text, and the place up to which it is scanned.
    text: String,
    at: usize,
    /// The fault behind `text`, to be reported when it is reached.
    fault: Option<Fault>,
    /// Empty until the header is read.
    header: Vec<String>,
}

impl Reader {
    /// A reader of one file. `delimiter` is the one that the user names; `None` finds it.
    pub fn new(delimiter: Option<Delimiter>) -> Self {
        Self {
            forced: delimiter,
            beginning: Vec::new(),
            rows: None,
            notes: Vec::new(),
            blank_lines: Lines::default(),
            row_count: 0,
            is_ended: false,
        }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.rows {
            None => self.beginning.extend_from_slice(bytes),
            Some(rows) => rows.push(bytes),
        }
    }

    /// Says that the file has no more bytes.
    pub fn end(&mut self) {
        self.is_ended = true;
        if let Some(rows) = &mut self.rows {
            rows.end_text();
        }
    }

    /// The names of the columns, without spaces around them; `None` until there are enough bytes.
    ///
    /// # Errors
    /// If the file is no table, or its header is malformed.
    pub fn header(&mut self) -> Result<Option<&[String]>, Fault> {
        self.begin()?;
        if self.rows.as_ref().is_some_and(|rows| rows.header.is_empty()) {
            let header = self.record()?.map(|record| names(&record)).transpose()?;
            if header.is_none() && self.is_ended {
                return Err(Fault::of_file(FaultKind::Empty));
            }
            if let Some(rows) = &mut self.rows {
                rows.header = header.unwrap_or_default();
            }
        }
        let header = self.rows.as_ref().map(|rows| rows.header.as_slice());
        Ok(header.filter(|header| !header.is_empty()))
    }

    /// The next row; `None` if it needs more bytes, or at the end of the file.
    ///
    /// # Errors
    /// If the row is malformed, or the file ends without a row.
    #[expect(clippy::should_implement_trait, reason = "None may mean that bytes are missing")]
    pub fn next(&mut self) -> Result<Option<Record>, Fault> {
        if self.header()?.is_none() {
            return Ok(None);
        }
        let Some(record) = self.record()? else {
            let is_bare = self.is_ended && self.row_count == 0;
            return if is_bare { Err(Fault::of_file(FaultKind::NoRows)) } else { Ok(None) };
        };
        self.rows.as_ref().map_or(Ok(()), |rows| rows.check(&record))?;
        self.row_count += 1;
        Ok(Some(record))
    }

    /// The decisions about the file so far.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The blank lines so far, which are no rows.
    pub fn blank_lines(&self) -> Lines {
        self.blank_lines
    }

    /// Decides on encoding and delimiter as soon as there are enough bytes.
    fn begin(&mut self) -> Result<(), Fault> {
        if self.rows.is_some() || (self.beginning.len() < SAMPLE && !self.is_ended) {
            return Ok(());
        }
        let beginning = std::mem::take(&mut self.beginning);
        let (rows, preamble) = Rows::begin(&beginning, self.is_ended, self.forced)?;
        let encoding = rows.decoder.encoding();
        if encoding != Encoding::Utf8 {
            self.notes.push(Note::Encoding(encoding));
        }
        self.notes.extend(preamble.notes);
        self.blank_lines = preamble.blank_lines;
        self.rows = Some(rows);
        Ok(())
    }

    /// The next record, header or row.
    fn record(&mut self) -> Result<Option<Record>, Fault> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        loop {
            match rows.step(self.is_ended)? {
                Step::Record => return Ok(Some(rows.take())),
                Step::BlankLine => self.blank_lines.note(rows.scan.line_before()),
                Step::BlockEnds => return Ok(None),
            }
        }
    }
}

impl Rows {
    fn begin(
        beginning: &[u8],
        is_whole: bool,
        forced: Option<Delimiter>,
    ) -> Result<(Self, Preamble), Fault> {
        if let Some(kind) = Foreign::of(beginning) {
            return Err(Fault::of_file(FaultKind::Foreign(kind)));
        }
        let (mut decoder, mark) = Decoder::new(beginning);
        let mut text = String::new();
        let fault = decoder.push(&beginning[mark..], &mut text).err();
        let preamble = Preamble::find(&text, is_whole && fault.is_none(), forced)?;
        let mut rows = Self {
            decoder,
            scan: Scan::new(preamble.delimiter, preamble.header_line),
            delimiter: preamble.delimiter,
            text,
            at: preamble.header,
            fault,
            header: Vec::new(),
        };
        if is_whole {
            rows.end_text();
        }
        Ok((rows, preamble))
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.fault.is_none() {
            self.text.drain(..self.at);
            self.at = 0;
            self.fault = self.decoder.push(bytes, &mut self.text).err();
        }
    }

    fn end_text(&mut self) {
        if self.fault.is_none() {
            self.fault = self.decoder.end().err();
        }
    }

    fn step(&mut self, is_ended: bool) -> Result<Step, Fault> {
        let step = self.scan.run(self.text.as_bytes(), &mut self.at);
        let step = match step {
            Ok(Step::BlockEnds) => match self.fault.take() {
                Some(fault) => return Err(fault),
                None if is_ended => self.scan.end(),
                None => step,
            },
            step => step,
        };
        step.map_err(|(line, kind)| {
            let place = self.scan.values();
            let number = || format!("{}", place + 1);
            let column = match kind {
                FaultKind::TooLong => None,
                _ => Some(self.header.get(place).cloned().unwrap_or_else(number)),
            };
            Fault { line: Some(line), column, kind }
        })
    }

    fn take(&mut self) -> Record {
        let (text, ends, line) = self.scan.take();
        let text = String::from_utf8(text).expect("cut at delimiters and quotes, which are ASCII");
        Record { line, text, ends }
    }

    fn check(&self, record: &Record) -> Result<(), Fault> {
        let (values, columns) = (record.len(), self.header.len());
        if values != columns {
            let kind = FaultKind::Width { values, columns, delimiter: self.delimiter };
            return Err(Fault::on(record.line, kind));
        }
        let is_header = columns > 1 && record.values().map(clean).eq(self.header.iter());
        if is_header { Err(Fault::on(record.line, FaultKind::RepeatedHeader)) } else { Ok(()) }
    }
}

/// The names in a header. Names may be empty, but no two others are equal.
fn names(record: &Record) -> Result<Vec<String>, Fault> {
    let names: Vec<String> = record.values().map(|name| clean(name).to_owned()).collect();
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        None => Ok(names),
        Some(name) => Err(Fault::on(record.line, FaultKind::RepeatedName(name.clone()))),
    }
}

/// A name without the spaces around it, and without the byte order mark of a file that was appended.
fn clean(name: &str) -> &str {
    name.trim_start_matches('\u{feff}').trim()
}

impl Record {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A record has one value at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The value of a column, counted from 0.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn value(&self, column: usize) -> &str {
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[column]]
    }

    /// The values, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|column| self.value(column))
    }
}
