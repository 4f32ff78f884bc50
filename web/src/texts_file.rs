//! Texts from lines or from a table, and the table of answers as CSV.
//!
//! `shared::csv` reads tables, so the page reads the rows that `native-train` reads. A malformed file is
//! refused with its line and a remedy, because answers about wrongly read texts would look like right ones.

use csv::WriterBuilder;
use shared::csv::{Encoding, Fault, Note, Reader, decode, find_id, find_text, reads_like_text};
use shared::words::{bytes, listed};

const ID_NAME: &str = "id";

/// Rows that are looked at for the column that reads like a text.
const SAMPLE_ROWS: usize = 100;

/// The texts of a file, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct TextsFile {
    pub name: String,
    /// The name of the text column; `None` if the file has no header.
    pub column: Option<String>,
    pub ids: Option<Vec<String>>,
    pub texts: Vec<String>,
    /// What was decided about the file, as sentences.
    pub notes: Vec<String>,
}

/// One row of the table of answers: what the ensemble says about a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub probabilities: Vec<f32>,
    pub is_on: Vec<bool>,
    pub truncated: bool,
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
            "Split it into files of at most 20 MB, or classify it with `native-train predict`.",
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

/// Reads the texts of a table, or, if the name ends in `.txt`, of a file with one text per line.
///
/// # Errors
/// The first fault that keeps the file from being read correctly, with its line.
pub fn read(name: &str, content: &[u8]) -> Result<TextsFile, Problem> {
    if name.trim_end_matches(".gz").ends_with(".txt") {
        let (text, encoding) = decode(content).map_err(|fault| refused(name, &fault))?;
        let texts = lines(&text).map(str::to_owned).collect();
        let note =
            (encoding != Encoding::Utf8).then(|| sentence(&Note::Encoding(encoding).sentence()));
        let notes = note.into_iter().collect();
        return Ok(TextsFile { name: name.to_owned(), column: None, ids: None, texts, notes });
    }
    read_table(name, content)
}

fn read_table(name: &str, content: &[u8]) -> Result<TextsFile, Problem> {
    let mut reader = Reader::new(None);
    reader.push(content);
    reader.end();
    let refused = |fault| refused(name, &fault);
    let header = reader.header().map_err(refused)?.expect("all bytes are there").to_vec();
    let mut rows = Vec::new();
    let Some(column) = find_text(&header) else {
        while rows.len() < SAMPLE_ROWS
            && let Ok(Some(row)) = reader.next()
        {
            rows.push(row);
        }
        let likely = reads_like_text(rows.iter().map(|row| row.values().collect()));
        return Err(no_text_column(name, &header, likely));
    };
    while let Some(row) = reader.next().map_err(refused)? {
        rows.push(row);
    }
    let all = |column: usize| rows.iter().map(|row| row.value(column).to_owned()).collect();
    Ok(TextsFile {
        name: name.to_owned(),
        column: Some(header[column].clone()),
        ids: find_id(&header).map(all),
        texts: all(column),
        notes: reader.notes().iter().map(|note| sentence(&note.sentence())).collect(),
    })
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

/// The table as CSV: `id` if there are ids, `text`, 0 or 1 for each label, the probability of each label.
/// The values of a text without an answer are empty.
pub fn write(
    labels: &[String],
    ids: Option<&[String]>,
    texts: &[String],
    rows: &[Option<Row>],
) -> String {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    let mut put = |values: Vec<String>| {
        writer.write_record(values).expect("writing to memory does not fail");
    };
    let id = ids.map(|_| ID_NAME.to_owned());
    let probabilities = labels.iter().map(|label| format!("{label}_probability"));
    let names = labels.iter().cloned().chain(probabilities);
    put(id.into_iter().chain(["text".to_owned()]).chain(names).collect());
    for (index, (text, row)) in texts.iter().zip(rows).enumerate() {
        let id = ids.map(|ids| ids[index].clone());
        put(id.into_iter().chain([text.clone()]).chain(values_of(row.as_ref(), labels)).collect());
    }
    let bytes = writer.into_inner().expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("made of strings")
}

fn values_of(row: Option<&Row>, labels: &[String]) -> Vec<String> {
    let Some(row) = row else { return vec![String::new(); 2 * labels.len()] };
    let decisions = row.is_on.iter().map(|&on| u8::from(on).to_string());
    decisions.chain(row.probabilities.iter().map(ToString::to_string)).collect()
}

#[cfg(test)]
mod tests;
