//! The beginning of a file: what stands above the header, and the delimiter.

use super::columns::find_text;
use super::delimiter::Delimiter;
use super::encoding::Encoding;
use super::fault::{Fault, FaultKind};
use super::lines::Lines;
use super::scan::{Scan, Step};
use crate::words::counted;

/// Something that was decided about a file, to be told to whoever gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The file is not UTF-8.
    Encoding(Encoding),
    /// The columns are not separated by commas.
    Delimiter(Delimiter),
    /// A line `sep=;`, as Excel writes it, was obeyed and skipped.
    SepLine(usize),
    /// Lines that begin with `#` were skipped.
    Comments(Lines),
}

impl Note {
    /// The note as a sentence without its full stop.
    pub fn sentence(&self) -> String {
        match self {
            Self::Encoding(encoding) => format!("the file is read as {encoding}"),
            Self::Delimiter(delimiter) => format!("the columns are separated by {delimiter}s"),
            Self::SepLine(line) => {
                format!("line {line} names the delimiter (`sep=`) and is skipped")
            }
            Self::Comments(Lines { count, first }) => {
                let comments = counted(*count, "comment line");
                format!("{comments} above the header skipped (the first is line {first})")
            }
        }
    }
}

/// The findings above the header.
pub(super) struct Preamble {
    pub delimiter: Delimiter,
    /// The place of the header in the text, and its line.
    pub header: usize,
    pub header_line: usize,
    pub blank_lines: Lines,
    pub notes: Vec<Note>,
}

/// The records at which the search for the delimiter looks.
const RECORDS: usize = 50;

impl Preamble {
    /// Looks at the beginning of a file. `is_whole`: it is the whole file. `forced` is the delimiter that the
    /// user names.
    ///
    /// # Errors
    /// If a line `sep=` names an unknown delimiter, or if nothing tells which delimiter is right.
    pub fn find(text: &str, is_whole: bool, forced: Option<Delimiter>) -> Result<Self, Fault> {
        let mut lines = LinesOf { text, at: 0, line: 1, blank_lines: Lines::default() };
        let mut notes = Vec::new();
        let mut named = None;
        if let Some(sep) = lines.peek().and_then(sep_line) {
            let unknown = || Fault::on(lines.line, FaultKind::UnknownSep(format!("sep={sep}")));
            named = Some(sep.parse().map_err(|_| unknown())?);
            notes.push(Note::SepLine(lines.line));
            lines.advance();
        }
        let forced = forced.or(named);
        if let Some((comments, header)) = comments(&lines, is_whole, forced) {
            notes.push(Note::Comments(comments));
            lines = header;
        }
        lines.peek();
        let delimiter = match forced {
            Some(delimiter) => delimiter,
            None => detect(&text[lines.at..], is_whole)
                .map_err(|found| Fault::on(lines.line, FaultKind::UnclearDelimiter(found)))?,
        };
        if delimiter != Delimiter::Comma {
            notes.push(Note::Delimiter(delimiter));
        }
        let LinesOf { at: header, line: header_line, blank_lines, .. } = lines;
        Ok(Self { delimiter, header, header_line, blank_lines, notes })
    }
}

/// The delimiter behind `sep=`, if that is all of the line. Excel also writes it in quotes.
fn sep_line(line: &str) -> Option<&str> {
    let line = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line);
    let name = line.get(..4).filter(|name| name.eq_ignore_ascii_case("sep="))?;
    let delimiter = &line[name.len()..];
    (delimiter.chars().count() == 1).then_some(delimiter)
}

/// The comments that `lines` begins with, and the lines from the header on.
///
/// A line that begins with `#` may be the header itself. It is a comment if the first line without `#` has
/// more columns, or a usual name of a text column.
fn comments<'a>(
    lines: &LinesOf<'a>,
    is_whole: bool,
    forced: Option<Delimiter>,
) -> Option<(Lines, LinesOf<'a>)> {
    let mut header = lines.clone();
    let mut comments = Lines::default();
    let first = header.peek().filter(|line| line.starts_with('#'))?;
    while header.peek().is_some_and(|line| line.starts_with('#')) {
        comments.note(header.line);
        header.advance();
    }
    let below = &header.text[header.at..];
    let delimiter = forced.unwrap_or_else(|| detect(below, is_whole).unwrap_or(Delimiter::Comma));
    let names = first_record(below, delimiter)?;
    let width = first_record(first, delimiter).map_or(0, |values| values.len());
    (width < names.len() || find_text(&names).is_some()).then_some((comments, header))
}

/// The delimiter of a text that begins with its header: the one that divides the header. If several do, the
/// one that divides the rows alike; if several do that, the one by which there is a usual text column.
fn detect(text: &str, is_whole: bool) -> Result<Delimiter, Vec<Delimiter>> {
    let mut found: Vec<Delimiter> = Delimiter::ALL
        .into_iter()
        .filter(|&delimiter| first_record(text, delimiter).is_some_and(|names| names.len() > 1))
        .collect();
    keep_those(&mut found, |delimiter| are_rows_alike(text, is_whole, delimiter));
    keep_those(&mut found, |delimiter| {
        first_record(text, delimiter).is_some_and(|names| find_text(&names).is_some())
    });
    match found[..] {
        [] => Ok(Delimiter::Comma),
        [only] => Ok(only),
        _ => Err(found),
    }
}

/// Keeps the delimiters that pass, unless none does.
fn keep_those(found: &mut Vec<Delimiter>, passes: impl Fn(Delimiter) -> bool) {
    if found.len() > 1 {
        let those: Vec<Delimiter> =
            found.iter().copied().filter(|&delimiter| passes(delimiter)).collect();
        if !those.is_empty() {
            *found = those;
        }
    }
}

/// Whether each of the first records has as many values as the header.
fn are_rows_alike(text: &str, is_whole: bool, delimiter: Delimiter) -> bool {
    let mut scan = Scan::new(delimiter, 1);
    let (mut at, mut width, mut records) = (0, None, 0);
    while records < RECORDS {
        let step = match scan.run(text.as_bytes(), &mut at) {
            Ok(Step::BlockEnds) if is_whole && at == text.len() => scan.end(),
            step => step,
        };
        match step {
            Ok(Step::BlankLine) => {}
            Ok(Step::BlockEnds) => break,
            Ok(Step::Record) => {
                let (_, ends, _) = scan.take();
                if *width.get_or_insert(ends.len()) != ends.len() {
                    return false;
                }
                records += 1;
            }
            Err(_) => return false,
        }
    }
    true
}

/// The values of the first record, which may lack its end.
fn first_record(text: &str, delimiter: Delimiter) -> Option<Vec<String>> {
    let mut scan = Scan::new(delimiter, 1);
    let mut at = 0;
    loop {
        match scan.run(text.as_bytes(), &mut at).ok()? {
            Step::BlankLine => {}
            Step::Record => break,
            Step::BlockEnds => match scan.end().ok()? {
                Step::Record => break,
                Step::BlankLine | Step::BlockEnds => return None,
            },
        }
    }
    let (text, ends, _) = scan.take();
    let text = String::from_utf8(text).expect("cut at delimiters, which are ASCII");
    let starts = std::iter::once(0).chain(ends.iter().copied());
    Some(starts.zip(&ends).map(|(start, &end)| text[start..end].trim().to_owned()).collect())
}

/// The lines of a text that are not blank.
#[derive(Clone)]
struct LinesOf<'a> {
    text: &'a str,
    /// The place of the next line, and its number.
    at: usize,
    line: usize,
    blank_lines: Lines,
}

impl<'a> LinesOf<'a> {
    /// The next line, after any blank ones, without its end.
    fn peek(&mut self) -> Option<&'a str> {
        loop {
            let line = self.next_line()?;
            if !line.is_empty() {
                return Some(line);
            }
            self.blank_lines.note(self.line);
            self.advance();
        }
    }

    fn advance(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.line += 1;
    }

    fn next_line(&self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let line = rest.split('\n').next().filter(|_| !rest.is_empty())?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}
