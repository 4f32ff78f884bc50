//! Texts from lines, or from a table or a file of lines that is read block by block.
//!
//! `shared::csv` reads tables, so the page reads the rows that `native-train` reads. A malformed file is
//! refused with its line and a remedy, because answers about wrongly read texts would look like right ones.

use std::sync::Arc;

use shared::csv::{
    Decoder, Encoding, Fault, Note, Reader, Record, find_id, find_text, reads_like_text,
};
use shared::words::{bytes, listed};

use crate::texts::Texts;

/// Rows that are looked at for the column that reads like a text.
const SAMPLE_ROWS: usize = 100;

/// Bytes of the largest file; `native-train predict` is for larger ones.
pub const LARGEST_FILE: u64 = 100_000_000;

/// The texts of a file, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct TextsFile {
    pub name: String,
    /// The name of the text column; `None` if the file has no header.
    pub column: Option<String>,
    pub ids: Option<Arc<Texts>>,
    pub texts: Arc<Texts>,
    /// What was decided about the file, as sentences.
    pub notes: Vec<String>,
}

/// The fault of a file, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub message: String,
    pub remedy: String,
}

impl Problem {
    fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }

    pub fn too_large(name: &str, size: u64) -> Self {
        Self::new(
            format!("{name} has {} or more, which is too large for this page.", bytes(size)),
            format!(
                "Split it into files of at most {}, or classify it with `native-train predict`.",
                bytes(LARGEST_FILE)
            ),
        )
    }

    pub fn unreadable(name: &str, reason: &str) -> Self {
        Self::new(
            format!("{name} cannot be read ({reason})."),
            "Make sure that it is a file and still exists, then choose it again.",
        )
    }
}

/// The lines that are not blank, each one text, without surrounding white space.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Reads the texts of a file as its bytes come, and keeps nothing else of it.
pub struct TextsReader {
    name: String,
    received: u64,
    form: Form,
}

enum Form {
    /// A table with a text column.
    Table(Box<Table>),
    /// One text per line; for names that end in `.txt`, in capitals or not.
    Lines(Lines),
}

impl TextsReader {
    /// A reader of the file of this name.
    pub fn new(name: &str) -> Self {
        let ending = name.to_lowercase();
        let form = match ending.trim_end_matches(".gz").ends_with(".txt") {
            true => Form::Lines(Lines::default()),
            false => Form::Table(Box::default()),
        };
        Self { name: name.to_owned(), received: 0, form }
    }

    /// The number of bytes so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// The first fault that keeps the file from being read correctly, with its line; or if it is too large.
    pub fn push(&mut self, block: &[u8]) -> Result<(), Problem> {
        self.received += block.len() as u64;
        if self.received > LARGEST_FILE {
            return Err(Problem::too_large(&self.name, self.received));
        }
        match &mut self.form {
            Form::Table(table) => table.push(block, &self.name),
            Form::Lines(lines) => lines.push(block).map_err(|fault| refused(&self.name, &fault)),
        }
    }

    /// Returns the texts, all bytes being there.
    ///
    /// # Errors
    /// As [`push`](Self::push), and if the file has no text column or ends too early.
    pub fn finish(self) -> Result<TextsFile, Problem> {
        let name = self.name;
        match self.form {
            Form::Table(table) => table.finish(name),
            Form::Lines(lines) => {
                let (texts, encoding) = lines.finish().map_err(|fault| refused(&name, &fault))?;
                let note = (encoding != Encoding::Utf8).then_some(Note::Encoding(encoding));
                let notes = note.iter().map(|note| sentence(&note.sentence())).collect();
                Ok(TextsFile { name, column: None, ids: None, texts: Arc::new(texts), notes })
            }
        }
    }
}

/// A table on its way.
struct Table {
    reader: Reader,
    /// Where texts and ids are; `None` until the header is there.
    columns: Option<Columns>,
    texts: Texts,
    ids: Texts,
    /// The first rows of a table without a text column.
    sample: Vec<Record>,
}

#[derive(Clone, Copy)]
struct Columns {
    text: Option<usize>,
    id: Option<usize>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            reader: Reader::new(None),
            columns: None,
            texts: Texts::default(),
            ids: Texts::default(),
            sample: Vec::new(),
        }
    }
}

impl Table {
    fn push(&mut self, block: &[u8], name: &str) -> Result<(), Problem> {
        self.reader.push(block);
        self.read(name)
    }

    fn finish(mut self, name: String) -> Result<TextsFile, Problem> {
        self.reader.end();
        self.read(&name)?;
        let columns = self.columns.as_ref().expect("a table without a header is an error");
        let Some(text) = columns.text else { return Err(self.no_text_column(&name)) };
        Ok(TextsFile {
            name,
            ids: columns.id.map(|_| Arc::new(self.ids)),
            texts: Arc::new(self.texts),
            notes: self.reader.notes().iter().map(|note| sentence(&note.sentence())).collect(),
            column: self.reader.header().ok().flatten().map(|header| header[text].clone()),
        })
    }

    /// Reads the rows that are there.
    fn read(&mut self, name: &str) -> Result<(), Problem> {
        let refused = |fault| refused(name, &fault);
        let Some(header) = self.reader.header().map_err(refused)? else { return Ok(()) };
        let found = || Columns { text: find_text(header), id: find_id(header) };
        let columns = *self.columns.get_or_insert_with(found);
        let Some(text) = columns.text else { return self.read_sample(name) };
        while let Some(row) = self.reader.next().map_err(refused)? {
            self.texts.push(row.value(text));
            if let Some(id) = columns.id {
                self.ids.push(row.value(id));
            }
        }
        Ok(())
    }

    /// Reads the first rows, of which the column that reads like a text is told. A fault in them is not what matters.
    fn read_sample(&mut self, name: &str) -> Result<(), Problem> {
        while let Ok(Some(row)) = self.reader.next() {
            self.sample.push(row);
            if self.sample.len() == SAMPLE_ROWS {
                return Err(self.no_text_column(name));
            }
        }
        Ok(())
    }

    fn no_text_column(&mut self, name: &str) -> Problem {
        let likely = reads_like_text(self.sample.iter().map(|row| row.values().collect()));
        let header = self.reader.header().ok().flatten().unwrap_or_default();
        no_text_column(name, header, likely)
    }
}

/// A file of lines on its way.
#[derive(Default)]
struct Lines {
    /// The first bytes, as long as they are too few to tell the encoding.
    beginning: Vec<u8>,
    decoder: Option<Decoder>,
    /// Text whose last line has not ended.
    rest: String,
    texts: Texts,
}

impl Lines {
    fn push(&mut self, block: &[u8]) -> Result<(), Fault> {
        if self.decoder.is_some() {
            return self.decode(block);
        }
        self.beginning.extend_from_slice(block);
        if self.beginning.len() < Decoder::SAMPLE { Ok(()) } else { self.begin() }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        let beginning = std::mem::take(&mut self.beginning);
        let (decoder, mark) = Decoder::new(&beginning[..beginning.len().min(Decoder::SAMPLE)]);
        self.decoder = Some(decoder);
        self.decode(&beginning[mark..])
    }

    fn decode(&mut self, block: &[u8]) -> Result<(), Fault> {
        let decoder = self.decoder.as_mut().expect("decoding has begun");
        decoder.push(block, &mut self.rest)?;
        if let Some(end) = self.rest.rfind('\n') {
            lines(&self.rest[..end]).for_each(|line| self.texts.push(line));
            self.rest.drain(..=end);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Texts, Encoding), Fault> {
        if self.decoder.is_none() {
            self.begin()?;
        }
        let decoder = self.decoder.expect("decoding has begun");
        decoder.end()?;
        lines(&self.rest).for_each(|line| self.texts.push(line));
        Ok((self.texts, decoder.encoding()))
    }
}

fn refused(name: &str, fault: &Fault) -> Problem {
    let message = format!("{name}{}: {}.", fault.place("`"), fault.what());
    Problem::new(message, sentence(&fault.remedy()))
}

/// The phrase with a capital letter and a full stop.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}

fn no_text_column(name: &str, header: &[String], likely: Option<usize>) -> Problem {
    let found: Vec<String> = header.iter().map(|column| format!("`{column}`")).collect();
    let message = format!("{name} has no column `text`. Its first line has {}.", listed(&found));
    let remedy = match likely.map(|column| header[column].as_str()) {
        Some(column) if header.len() > 1 && !column.is_empty() => {
            format!("Rename the column with the texts, perhaps `{column}`, to `text`.")
        }
        _ if header.len() == 1 => {
            "If the first line is the column's name, rename it to `text`. If it is a text, add a first line \
             `text`, or give the file a name that ends in .txt."
                .to_owned()
        }
        _ => "Add a column with the texts, and name it `text`.".to_owned(),
    };
    Problem::new(message, remedy)
}

#[cfg(test)]
mod tests;
