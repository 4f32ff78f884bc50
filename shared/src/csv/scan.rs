//! A state machine that takes the values out of records (RFC 4180), byte by byte.
//!
//! A quote opens a quoted value only as its first byte; elsewhere in an unquoted value it is text, as in
//! pandas and Python's `csv`. The bytes come in blocks, and a record may continue in the next one.

use super::delimiter::Delimiter;
use super::fault::{FaultKind, MAX_RECORD};

/// A scan of one record after another.
pub(super) struct Scan {
    delimiter: u8,
    state: State,
    /// The values of the record that have ended, and the beginning of the next, without quotes.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The line that the scan is on.
    line: usize,
    /// The line on which the record began.
    first_line: usize,
    /// The line of the last quote that opened a value.
    quote_line: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    RecordStart,
    ValueStart,
    Unquoted,
    Quoted,
    /// After a quote inside quotes, which ends the value or is the first of two that stand for one.
    QuoteInQuoted,
    /// After a carriage return, which a line feed must follow.
    CarriageReturn,
    /// After the carriage return of a blank line.
    BlankCarriageReturn,
}

/// The point that a scan has come to.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// The block is used up within a record, or between two.
    BlockEnds,
    /// A record has ended.
    Record,
    /// A line without a byte has ended.
    BlankLine,
}

impl Scan {
    /// A scan that begins on this line.
    pub fn new(delimiter: Delimiter, line: usize) -> Self {
        Self {
            delimiter: delimiter.byte(),
            state: State::RecordStart,
            text: Vec::new(),
            ends: Vec::new(),
            line,
            first_line: line,
            quote_line: 0,
        }
    }

    /// Scans the block from `at` to the end of a record or a blank line, and moves `at` there.
    ///
    /// # Errors
    /// If the record is malformed: the fault, and the line that it is on.
    pub fn run(&mut self, block: &[u8], at: &mut usize) -> Result<Step, (usize, FaultKind)> {
        while let Some(&byte) = block.get(*at) {
            *at += 1;
            match (self.state, byte) {
                (State::Quoted, b'"') => self.state = State::QuoteInQuoted,
                (State::QuoteInQuoted, b'"') => {
                    self.text.push(byte);
                    self.state = State::Quoted;
                }
                (State::Quoted, _) => {
                    self.line += usize::from(byte == b'\n');
                    self.text.push(byte);
                    self.copy_while(block, at, |byte| byte != b'"' && byte != b'\n');
                }
                (State::CarriageReturn | State::BlankCarriageReturn, _) if byte != b'\n' => {
                    return Err((self.line, FaultKind::BareCarriageReturn));
                }
                (State::RecordStart | State::BlankCarriageReturn, b'\n') => {
                    self.begin_line();
                    return Ok(Step::BlankLine);
                }
                (_, b'\n') => {
                    self.end_value();
                    let first_line = self.first_line;
                    self.begin_line();
                    self.first_line = first_line;
                    return Ok(Step::Record);
                }
                (State::RecordStart, b'\r') => self.state = State::BlankCarriageReturn,
                (_, b'\r') => self.state = State::CarriageReturn,
                (_, byte) if byte == self.delimiter => {
                    self.end_value();
                    self.state = State::ValueStart;
                }
                (State::QuoteInQuoted, _) => {
                    let opened_on = self.quote_line;
                    return Err((self.line, FaultKind::TextAfterQuote { opened_on }));
                }
                (State::RecordStart | State::ValueStart, b'"') => {
                    self.quote_line = self.line;
                    self.state = State::Quoted;
                }
                _ => {
                    self.state = State::Unquoted;
                    self.text.push(byte);
                    let delimiter = self.delimiter;
                    self.copy_while(block, at, |byte| {
                        byte != delimiter && byte != b'\n' && byte != b'\r'
                    });
                }
            }
            if self.text.len() > MAX_RECORD {
                return Err((self.line, FaultKind::TooLong));
            }
        }
        Ok(Step::BlockEnds)
    }

    /// Ends the file, whose last line may lack its line feed.
    ///
    /// # Errors
    /// If a quote is open: the fault, and the line of the quote.
    pub fn end(&mut self) -> Result<Step, (usize, FaultKind)> {
        match self.state {
            State::RecordStart | State::BlankCarriageReturn => Ok(Step::BlockEnds),
            State::Quoted => Err((self.quote_line, FaultKind::OpenQuote)),
            State::ValueStart | State::Unquoted | State::QuoteInQuoted | State::CarriageReturn => {
                self.end_value();
                self.state = State::RecordStart;
                Ok(Step::Record)
            }
        }
    }

    /// The values of the record that has ended, one after another, the ends of each, and the line on which
    /// it began. The next record begins after it.
    pub fn take(&mut self) -> (Vec<u8>, Vec<usize>, usize) {
        let line = std::mem::replace(&mut self.first_line, self.line);
        (std::mem::take(&mut self.text), std::mem::take(&mut self.ends), line)
    }

    /// The number of values of the present record that have ended.
    pub fn values(&self) -> usize {
        self.ends.len()
    }

    /// The line of the last blank line or record that ended.
    pub fn line_before(&self) -> usize {
        self.line - 1
    }

    fn begin_line(&mut self) {
        self.state = State::RecordStart;
        self.line += 1;
        self.first_line = self.line;
    }

    fn end_value(&mut self) {
        self.ends.push(self.text.len());
    }

    fn copy_while(&mut self, block: &[u8], at: &mut usize, is_plain: impl Fn(u8) -> bool) {
        let rest = &block[*at..];
        let plain = rest.iter().position(|&byte| !is_plain(byte)).unwrap_or(rest.len());
        self.text.extend_from_slice(&rest[..plain]);
        *at += plain;
    }
}
