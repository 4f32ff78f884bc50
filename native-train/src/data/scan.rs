//! A state machine that finds the values of one CSV record (RFC 4180), byte by byte.
//!
//! A quote opens a quoted value only as its first byte; elsewhere in an unquoted value it is text, as in
//! pandas and Python's `csv`. Polars agrees when it splits values, but not when it counts rows, so such
//! values are passed to it in quotes.

use std::ops::Range;

/// A scan of a record, which continues where it stopped when a quoted line break makes the record
/// longer.
#[derive(Default)]
pub struct Scan {
    state: State,
    at: usize,
    /// Values that have ended.
    values: usize,
    value_start: usize,
    holds_quote: bool,
    quote_line: usize,
    /// Unquoted values that hold a quote.
    to_quote: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    ValueStart,
    Unquoted,
    Quoted,
    /// After a quote inside quotes, which ends the value or is the first of two that stand for one.
    QuoteInQuoted,
}

/// The reason why bytes are not a record.
#[derive(Debug, PartialEq)]
pub enum Fault {
    TextAfterQuote { opened_on: usize },
    BareCarriageReturn,
}

impl Scan {
    /// Scans to the end of `record`, whose last line has the number `line`.
    pub fn run(&mut self, record: &[u8], line: usize) -> Result<(), Fault> {
        for (at, &byte) in record.iter().enumerate().skip(self.at) {
            self.state = match (self.state, byte) {
                (State::Quoted, b'"') => State::QuoteInQuoted,
                (State::Quoted, _) | (State::QuoteInQuoted, b'"') => State::Quoted,
                (_, b',') => {
                    self.end_value(at);
                    State::ValueStart
                }
                (State::QuoteInQuoted, _) => {
                    return Err(Fault::TextAfterQuote { opened_on: self.quote_line });
                }
                (_, b'\r') => return Err(Fault::BareCarriageReturn),
                (State::ValueStart, b'"') => {
                    self.quote_line = line;
                    State::Quoted
                }
                (State::ValueStart | State::Unquoted, _) => {
                    self.holds_quote |= byte == b'"';
                    State::Unquoted
                }
            };
        }
        self.at = record.len();
        if !self.is_open() {
            self.end_value(record.len());
        }
        Ok(())
    }

    /// Whether a quote is open, so that the record continues on the next line.
    pub fn is_open(&self) -> bool {
        self.state == State::Quoted
    }

    /// The number of values that have ended.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The line of the last quote that opened a value.
    pub fn quote_line(&self) -> usize {
        self.quote_line
    }

    /// Appends the scanned `record` to `block` in a form that polars reads as this scan did.
    pub fn emit(&self, record: &[u8], block: &mut Vec<u8>) {
        let mut done = 0;
        for value in &self.to_quote {
            block.extend_from_slice(&record[done..value.start]);
            push_quoted(&record[value.clone()], block);
            done = value.end;
        }
        block.extend_from_slice(&record[done..]);
        block.push(b'\n');
    }

    fn end_value(&mut self, end: usize) {
        if self.holds_quote {
            self.to_quote.push(self.value_start..end);
        }
        self.holds_quote = false;
        self.values += 1;
        self.value_start = end + 1;
    }
}

fn push_quoted(value: &[u8], block: &mut Vec<u8>) {
    block.push(b'"');
    for &byte in value {
        if byte == b'"' {
            block.push(b'"');
        }
        block.push(byte);
    }
    block.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(record: &str) -> String {
        let mut scan = Scan::default();
        scan.run(record.as_bytes(), 1).expect("a record");
        assert!(!scan.is_open());
        let mut block = Vec::new();
        scan.emit(record.as_bytes(), &mut block);
        String::from_utf8(block).expect("UTF-8")
    }

    fn fault(record: &str) -> Fault {
        Scan::default().run(record.as_bytes(), 3).expect_err("no record")
    }

    #[test]
    fn sound_records_pass_unchanged() {
        for record in ["", ",", "a,b", "\"a,\"\"b\"\"\",\"\"", "\"two\nlines\",1"] {
            assert_eq!(emitted(record), format!("{record}\n"));
        }
    }

    #[test]
    fn quotes_inside_unquoted_values_are_text() {
        assert_eq!(emitted("1,5\" tall,a \"b\" c"), "1,\"5\"\" tall\",\"a \"\"b\"\" c\"\n");
    }

    #[test]
    fn counts_values_and_goes_on_after_a_line_break() {
        let mut scan = Scan::default();
        scan.run(b"1,\"two", 7).expect("so far");
        assert!(scan.is_open());
        scan.run(b"1,\"two\nlines\",3", 8).expect("the rest");
        assert_eq!((scan.is_open(), scan.values(), scan.quote_line()), (false, 3, 7));
    }

    #[test]
    fn refuses_text_after_quotes_and_bare_carriage_returns() {
        assert_eq!(fault("1,\"a\" b"), Fault::TextAfterQuote { opened_on: 3 });
        assert_eq!(fault("1,a\rb"), Fault::BareCarriageReturn);
    }
}
