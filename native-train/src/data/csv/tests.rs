//! Values come back as they were written; what cannot be read soundly is refused in words.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::data::testing::{printed, reader};
use crate::data::warning::Tally;

/// All rows, in chunks of `rows`, with the lines they begin on.
fn read(bytes: &[u8], rows: usize) -> Result<(Vec<Vec<String>>, Vec<usize>)> {
    let mut reader = reader(bytes)?;
    let (mut table, mut lines) = (Vec::new(), Vec::new());
    while let Some(chunk) = reader.next_chunk(rows)? {
        let columns: Vec<Vec<&str>> =
            (0..reader.header().len()).map(|index| chunk.column(index).collect()).collect();
        for row in 0..chunk.len() {
            table.push(columns.iter().map(|column| column[row].to_owned()).collect());
        }
        lines.extend_from_slice(chunk.lines());
    }
    Ok((table, lines))
}

fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
    read(bytes, 100).expect("sound CSV").0
}

fn refusal(bytes: &[u8]) -> String {
    printed(read(bytes, 100))
}

#[derive(Debug, Clone, Copy)]
struct Style {
    line_end: &'static str,
    byte_order_mark: &'static str,
    quote_all: bool,
    ends_with_line_end: bool,
}

fn written(table: &[Vec<String>], style: Style) -> String {
    let value = |value: &String| {
        if style.quote_all || value.is_empty() || value.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.clone()
        }
    };
    let lines: Vec<String> =
        table.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(",")).collect();
    let end = if style.ends_with_line_end { style.line_end } else { "" };
    format!("{}{}{end}", style.byte_order_mark, lines.join(style.line_end))
}

fn style() -> impl Strategy<Value = Style> {
    let line_end = prop_oneof![Just("\n"), Just("\r\n")];
    let mark = prop_oneof![Just(""), Just("\u{feff}")];
    (line_end, mark, any::<bool>(), any::<bool>()).prop_map(
        |(line_end, byte_order_mark, quote_all, ends_with_line_end)| Style {
            line_end,
            byte_order_mark,
            quote_all,
            ends_with_line_end,
        },
    )
}

/// Mostly what CSV readers stumble over.
fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            ",", "\"", "\"\"", "\n", "\r", "\r\n", " ", "\t", "x^", "1.0", "NA", "null", "true",
            "#", "\u{feff}", "\0", "😀", "é", "e\u{301}", "中文", "a word",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(|c| c.to_string()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1..4_usize).prop_flat_map(|columns| {
        prop::collection::vec(prop::collection::vec(value(), columns), 1..12)
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        table in table(),
        style in style(),
        chunk_rows in 1..5_usize,
    ) {
        let header = (0..table[0].len()).map(|index| format!("column {index}")).collect();
        let file = written(&[vec![header], table.clone()].concat(), style);
        prop_assert_eq!(read(file.as_bytes(), chunk_rows).expect("sound CSV").0, table);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(
        prop_oneof![3 => prop::sample::select(b",\"\n\ra1".to_vec()), 1 => any::<u8>()],
        0..60,
    )) {
        let file = [b"a,b\n", bytes.as_slice()].concat();
        match read(&file, 2) {
            // Every byte outside of quotes, line ends and separators is in some value.
            Ok((table, _)) => {
                let kept: usize = table.iter().flatten().map(|v| v.matches(['a', '1']).count()).sum();
                let given = bytes.iter().filter(|byte| matches!(byte, b'a' | b'1')).count();
                prop_assert_eq!(kept, given);
            }
            Err(error) => prop_assert!(error.is::<UserError>(), "{:?}", error),
        }
    }
}

#[test]
fn values_stay_the_text_they_are() {
    let file = "id,text\n01,1.0\n1e3,NA\n,true\nnull,2020-01-01\n\"\",\"\"\n 5 , a \n";
    let expected = [
        ["01", "1.0"],
        ["1e3", "NA"],
        ["", "true"],
        ["null", "2020-01-01"],
        ["", ""],
        [" 5 ", " a "],
    ];
    assert_eq!(rows(file.as_bytes()), expected);
}

#[test]
fn a_quote_inside_an_unquoted_value_is_text() {
    let file = "id,text\n1,5\" tall\n2,a \"b\" c\n3,\"no, \"\"d\"\"\"\n4,6\"\n";
    let expected = [["1", "5\" tall"], ["2", "a \"b\" c"], ["3", "no, \"d\""], ["4", "6\""]];
    assert_eq!(rows(file.as_bytes()), expected);
}

/// Polars takes bytes that begin so for a zlib stream.
#[test]
fn a_chunk_that_begins_like_a_compressed_file_is_read() {
    assert_eq!(rows(b"text\nx^2\nx\x01y\n"), [["x^2"], ["x\x01y"]]);
}

#[test]
fn rows_know_the_line_they_begin_on() {
    let file = "\u{feff}id,text\r\n1,\"two\r\nlines\"\r\n\r\n2,a\r\n3,\"x\n\n\ny\"\r\n4,b";
    let mut reader = reader(file.as_bytes()).expect("a header");
    assert_eq!(reader.header(), ["id", "text"]);
    let chunk = reader.next_chunk(10).expect("sound").expect("rows");
    assert_eq!(chunk.lines(), [2, 5, 6, 10]);
    assert_eq!(chunk.column(1).collect::<Vec<_>>(), ["two\r\nlines", "a", "x\n\n\ny", "b"]);
    let lines = Tally { count: 1, first_line: 4 };
    let blank = Warning::BlankLines { file: "train.csv".to_owned(), lines };
    assert_eq!(reader.warning(), Some(blank));
}

#[test]
fn chunks_hold_the_rows_asked_for() {
    let mut reader = reader(b"a\n1\n2\n3\n4\n5\n").expect("a header");
    let mut sizes = Vec::new();
    while let Some(chunk) = reader.next_chunk(2).expect("sound") {
        sizes.push(chunk.len());
    }
    assert_eq!(sizes, [2, 2, 1]);
}

/// Repeats a line, counting what it gave.
struct Endless {
    line: &'static [u8],
    given: Arc<AtomicUsize>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let at = self.given.load(Ordering::Relaxed) % self.line.len();
        let count = (&self.line[at..]).read(buffer)?;
        self.given.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

#[test]
fn reads_no_further_than_the_rows_it_hands_out() {
    let line = b"17,\"a text, quoted,\nin two lines\"\n";
    let given = Arc::new(AtomicUsize::new(0));
    let endless = Endless { line, given: Arc::clone(&given) };
    let mut reader =
        Reader::new("endless".to_owned(), Box::new(BufReader::new(endless))).expect("a header");
    let mut rows = 1; // the header
    for _ in 0..50 {
        rows += reader.next_chunk(1000).expect("sound").expect("endless").len();
        let ahead = given.load(Ordering::Relaxed) - rows * line.len();
        assert!(ahead <= 8192, "{ahead} bytes ahead, with a buffer of 8192");
    }
    assert_eq!(rows, 50_001);
}

#[test]
fn long_rows_end_a_chunk_early() {
    let long = "x".repeat(1 << 20);
    let file = format!("a\n{}", format!("{long}\n").repeat(12));
    let mut reader = reader(file.as_bytes()).expect("a header");
    assert_eq!(reader.next_chunk(12).expect("sound").expect("rows").len(), 4);
}

#[test]
fn refuses_a_missing_file_and_a_folder() {
    assert_snapshot!(printed(Reader::open(Path::new("no/such.csv"))), @r"
    error: cannot open `no/such.csv`: no such file
    hint: check the path; a relative one starts at the current folder
    ");
    assert_snapshot!(printed(Reader::open(Path::new("."))), @r"
    error: `.` is a folder, not a CSV file
    hint: name the file inside it
    ");
}

#[test]
fn refuses_files_without_rows() {
    assert_snapshot!(refusal(b""), @r"
    error: `train.csv` is empty
    hint: the first line names the columns, for example `id,text,joy,anger`
    ");
    assert_snapshot!(refusal(b"\n\r\n"), @r"
    error: `train.csv` is empty
    hint: the first line names the columns, for example `id,text,joy,anger`
    ");
    assert_snapshot!(refusal(b"\xEF\xBB\xBFid,text\n"), @r"
    error: `train.csv` has a header, but no rows
    hint: add rows below the header
    ");
}

#[test]
fn refuses_ragged_rows() {
    assert_snapshot!(refusal(b"id,text,joy\n1,\"a\nb\",1\n2,hello\n"), @r"
    error: `train.csv`, line 4: 2 values for 3 columns
    hint: give each row a value for every column; it may be empty
    ");
    assert_snapshot!(refusal(b"id,text,joy\n1,hello, world,1\n"), @r"
    error: `train.csv`, line 2: 4 values for 3 columns
    hint: put a value that holds a comma in double quotes, without a space before them
    ");
}

#[test]
fn refuses_wrong_quotes() {
    assert_snapshot!(refusal(b"id,text\n1,a\n2,\"b\n3,c\n"), @r#"
    error: `train.csv`, line 3, column `text`: the quote that opens here is never closed
    hint: close the value with `"`, and write a quote inside it as `""`
    "#);
    assert_snapshot!(refusal(b"id,text\n1,\"a\n2,b\n3,\"c\"\n"), @r#"
    error: `train.csv`, line 4, column `text`: text after a closing quote (it was opened on line 2)
    hint: write a quote inside a quoted value as `""`
    "#);
}

#[test]
fn refuses_bare_carriage_returns() {
    assert_snapshot!(refusal(b"id,text\r1,a\r2,b\r"), @r"
    error: `train.csv`, line 1, value 2: a carriage return without a line feed, outside of quotes
    hint: end lines with LF or CRLF; put a value that holds a line break in quotes
    ");
}

#[test]
fn refuses_what_is_not_utf8_by_its_line() {
    assert_snapshot!(refusal(b"id,text\n1,\"a\nb\n caf\xE9\"\n"), @r"
    error: `train.csv`, line 4: not UTF-8 text
    hint: save the file as UTF-8 (for example: `iconv -f WINDOWS-1252 -t UTF-8`)
    ");
    assert_snapshot!(refusal(&[0xFF, 0xFE, b'i', 0, b'd', 0]), @r"
    error: `train.csv`, line 1: not UTF-8 text
    hint: save the file as UTF-8 (for example: `iconv -f WINDOWS-1252 -t UTF-8`)
    ");
}

#[test]
fn refuses_a_header_with_two_equal_names() {
    assert_snapshot!(refusal(b"text,joy,text\na,1,b\n"), @r"
    error: `train.csv` has two columns named `text`
    hint: rename or remove one of them
    ");
    assert_eq!(rows(b",text,\n1,a,2\n"), [["1", "a", "2"]]);
}

#[test]
fn refuses_a_row_that_never_ends() {
    let file = [b"text\n\"".as_slice(), &vec![b'x'; 17 << 20]].concat();
    assert_snapshot!(refusal(&file), @r"
    error: `train.csv`, line 2: a row of over 16 MiB
    hint: look for a quote above that line that is never closed, and check that the file is CSV
    ");
}
