//! Texts from lines or from a CSV file, and the table of answers as CSV.
//!
//! The text column is found as `native-train` finds it. A malformed file is refused with its line and a
//! remedy, because answers about wrongly read texts would look like right ones.

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use shared::words::{bytes, listed};

/// Names of a text column, the likeliest first.
const TEXT_NAMES: [&str; 5] = ["text", "comment_text", "sentence", "content", "review"];

const ID_NAME: &str = "id";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A record that is appended to the file. If it is not read back as a record, a quote was left open.
const END: &[u8] = b"\x00end of file\x00";

/// The texts of a file, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct TextsFile {
    pub name: String,
    /// The name of the text column; `None` if the file has no header.
    pub column: Option<String>,
    pub ids: Option<Vec<String>>,
    pub texts: Vec<String>,
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
            format!("{name} has {}, which is too large for this page.", bytes(size)),
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

/// Reads the texts of a `.csv` or `.txt` file.
///
/// # Errors
/// The first fault that keeps the file from being read correctly, with its line.
pub fn read(name: &str, content: &[u8]) -> Result<TextsFile, Problem> {
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    let text = as_utf8(name, content)?;
    if name.ends_with(".txt") {
        let texts = lines(text).map(str::to_owned).collect();
        return Ok(TextsFile { name: name.to_owned(), column: None, ids: None, texts });
    }
    let records = records(name, content)?;
    let Some((header, rows)) = records.split_first() else {
        return Err(Problem::new(
            format!("{name} is empty."),
            "Choose a CSV file with a column `text`, or a file with one text per line.",
        ));
    };
    let column = text_column(&header.values);
    if column.is_none() && header.values.len() == 1 {
        // There is no header, so each record is a text.
        check_widths(name, 1, &records)?;
        let texts = records.iter().map(|record| record.values[0].clone()).collect();
        return Ok(TextsFile { name: name.to_owned(), column: None, ids: None, texts });
    }
    let Some(column) = column else { return Err(no_text_column(name, &header.values)) };
    check_widths(name, header.values.len(), rows)?;
    if rows.is_empty() {
        return Err(Problem::new(
            format!("{name} has a header but no rows."),
            "Add at least one row below the header.",
        ));
    }
    let all = |index: usize| rows.iter().map(|row| row.values[index].clone()).collect();
    Ok(TextsFile {
        name: name.to_owned(),
        column: Some(header.values[column].clone()),
        ids: header.values.iter().position(|name| name == ID_NAME).map(all),
        texts: all(column),
    })
}

struct Record {
    line: u64,
    values: Vec<String>,
}

fn records(name: &str, content: &[u8]) -> Result<Vec<Record>, Problem> {
    let mut guarded = content.to_vec();
    guarded.push(b'\n');
    guarded.extend_from_slice(END);
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(guarded.as_slice());
    let mut records = Vec::new();
    let mut record = ByteRecord::new();
    // Reading flexible records from memory cannot fail.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let line = record.position().map_or(0, csv::Position::line);
        let values = record.iter().map(|value| String::from_utf8_lossy(value).into_owned());
        records.push(Record { line, values: values.collect() });
    }
    match records.pop() {
        Some(end) if end.values.len() == 1 && end.values[0].as_bytes() == END => Ok(records),
        swallowed => Err(Problem::new(
            format!(
                "{name}, line {}: a quoted value starts here and never ends.",
                swallowed.map_or(1, |record| record.line)
            ),
            "End the value with \", and write a quote inside a quoted value as \"\".",
        )),
    }
}

fn as_utf8<'a>(name: &str, content: &'a [u8]) -> Result<&'a str, Problem> {
    std::str::from_utf8(content).map_err(|error| {
        let before = &content[..error.valid_up_to()];
        let line = before.split(|&byte| byte == b'\n').count();
        Problem::new(
            format!("{name}, line {line}: this is not UTF-8 text."),
            "Save the file as UTF-8; spreadsheet programs call this \u{201c}CSV UTF-8\u{201d}.",
        )
    })
}

/// The column with the first of the usual names that is there, as in `native-train`.
fn text_column(header: &[String]) -> Option<usize> {
    TEXT_NAMES.iter().find_map(|name| header.iter().position(|column| column == name))
}

fn no_text_column(name: &str, header: &[String]) -> Problem {
    let found: Vec<String> = header.iter().map(|column| format!("`{column}`")).collect();
    let (names, last) = (TEXT_NAMES[..4].join("`, `"), TEXT_NAMES[4]);
    Problem::new(
        format!("{name} has no column `text`. Its first line has {}.", listed(&found)),
        format!("Rename the column with the texts to `{names}` or `{last}`."),
    )
}

fn check_widths(name: &str, width: usize, rows: &[Record]) -> Result<(), Problem> {
    let Some(row) = rows.iter().find(|row| row.values.len() != width) else { return Ok(()) };
    let (line, found) = (row.line, row.values.len());
    let remedy = if found > width {
        "Put a value that contains a comma in double quotes."
    } else {
        "Give the row a value for every column; it may be empty."
    };
    Err(Problem::new(
        format!("{name}, line {line}: this row has {found} values, but the first has {width}."),
        remedy,
    ))
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
mod tests {
    use super::*;

    fn texts(content: &str) -> Vec<String> {
        read("t.csv", content.as_bytes()).unwrap().texts
    }

    fn problem(content: &[u8]) -> String {
        read("t.csv", content).unwrap_err().message
    }

    #[test]
    fn finds_the_texts_and_the_ids_by_their_columns() {
        let file = read("t.csv", b"id,content,joy\n7,\"a, \"\"b\"\"\nc\",1\n8,d,0\n").unwrap();
        assert_eq!(file.texts, ["a, \"b\"\nc", "d"]);
        assert_eq!(file.ids, Some(vec!["7".to_owned(), "8".to_owned()]));
        assert_eq!(file.column.as_deref(), Some("content"));
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_are_not_part_of_a_text() {
        assert_eq!(texts("\u{feff}text\r\na\r\n\nb"), ["a", "b"]);
    }

    #[test]
    fn one_column_without_a_known_name_is_one_text_a_line() {
        assert_eq!(texts("what a day\nand a night"), ["what a day", "and a night"]);
        let plain = read("t.txt", b"well, well\n\n\"no\n").unwrap();
        assert_eq!(plain.texts, ["well, well", "\"no"]);
    }

    #[test]
    fn a_comma_in_a_column_without_a_header_cuts_no_text_off() {
        assert_eq!(
            problem(b"yes\nwell, well\n"),
            "t.csv, line 2: this row has 2 values, but the first has 1."
        );
    }

    #[test]
    fn a_quote_left_open_is_refused_where_it_opens() {
        assert_eq!(
            problem(b"id,text\n1,a\n2,\"b\n3,c\n"),
            "t.csv, line 3: a quoted value starts here and never ends."
        );
    }

    #[test]
    fn a_malformed_table_is_refused_with_its_line() {
        assert_eq!(problem(b""), "t.csv is empty.");
        assert_eq!(problem(b"text\n"), "t.csv has a header but no rows.");
        assert_eq!(
            problem(b"id,tweet\n1,a\n"),
            "t.csv has no column `text`. Its first line has `id` and `tweet`."
        );
        assert_eq!(
            problem(b"id,text\n1,a\n2,b,c\n"),
            "t.csv, line 3: this row has 3 values, but the first has 2."
        );
        assert_eq!(problem(b"text\na\n\xff\n"), "t.csv, line 3: this is not UTF-8 text.");
    }

    #[test]
    fn the_table_can_be_read_again() {
        let labels = ["joy".to_owned(), "fear".to_owned()];
        let row =
            Row { probabilities: vec![0.75, 0.1], is_on: vec![true, false], truncated: false };
        let texts = ["a \"b\",\nc".to_owned(), "d".to_owned()];
        let table = write(&labels, None, &texts, &[Some(row), None]);
        let wanted = "text,joy,fear,joy_probability,fear_probability\n\
                      \"a \"\"b\"\",\nc\",1,0,0.75,0.1\nd,,,,\n";
        assert_eq!(table, wanted);
        assert_eq!(read("t.csv", table.as_bytes()).unwrap().texts, texts);
    }
}
