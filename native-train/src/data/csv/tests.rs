//! Files are read as they are, chunk by chunk; what cannot be read soundly is refused in words.

use std::fs;
use std::io::{BufReader, Cursor, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;

use super::*;
use crate::data::table::Table;
use crate::data::testing::{printed, reader};
use crate::data::warning::Tally;

/// All rows, in chunks of `rows`.
fn read(mut reader: Table, rows: usize) -> Result<Vec<Vec<String>>> {
    let mut table = Vec::new();
    while let Some(chunk) = reader.next_chunk(rows)? {
        assert!(chunk.len() <= rows);
        let columns: Vec<Vec<&str>> =
            (0..reader.header().len()).map(|index| chunk.column(index).collect()).collect();
        for row in 0..chunk.len() {
            let values: Vec<&str> = columns.iter().map(|column| column[row]).collect();
            assert_eq!(values, chunk.row(row));
            table.push(values.into_iter().map(str::to_owned).collect());
        }
    }
    Ok(table)
}

fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
    read(reader(bytes).expect("a header"), 100).expect("sound CSV")
}

fn refusal(bytes: &[u8]) -> String {
    printed(reader(bytes).and_then(|reader| read(reader, 100)))
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
    assert_eq!(read(reader(file.as_bytes()).unwrap(), 2).unwrap(), expected);
}

#[test]
fn a_quote_inside_an_unquoted_value_is_text() {
    let file = "id,text\n1,5\" tall\n2,a \"b\" c\n3,\"no, \"\"d\"\"\"\n4,6\"\n";
    let expected = [["1", "5\" tall"], ["2", "a \"b\" c"], ["3", "no, \"d\""], ["4", "6\""]];
    assert_eq!(rows(file.as_bytes()), expected);
}

#[test]
fn rows_know_the_line_they_begin_on() {
    let file = "\u{feff}id,text\r\n1,\"two\r\nlines\"\r\n\r\n2,a\r\n3,\"x\n\n\ny\"\r\n4,b";
    let mut reader = reader(file.as_bytes()).expect("a header");
    assert_eq!(reader.header(), ["id", "text"]);
    let chunk = reader.next_chunk(10).expect("sound").expect("rows");
    assert_eq!(chunk.numbers(), [2, 5, 6, 10]);
    assert_eq!(chunk.column(1).collect::<Vec<_>>(), ["two\r\nlines", "a", "x\n\n\ny", "b"]);
    let lines = Tally { count: 1, first: 4 };
    assert_eq!(reader.warnings(), [Warning::BlankLines { file: "train.csv".to_owned(), lines }]);
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

/// At the beginning, some thousand bytes are needed to find the delimiter.
#[test]
fn reads_little_further_than_the_rows_it_hands_out() {
    let line = b"17,\"a text, quoted,\nin two lines\"\n";
    let given = Arc::new(AtomicUsize::new(0));
    let endless = Endless { line, given: Arc::clone(&given) };
    let source = Box::new(Cursor::new("id,text\n").chain(BufReader::new(endless)));
    let mut reader = Table::of_csv("endless".to_owned(), source, None).unwrap();
    let mut rows = 0;
    for _ in 0..50 {
        rows += reader.next_chunk(1000).expect("sound").expect("endless").len();
        let ahead = given.load(Ordering::Relaxed) - rows * line.len();
        assert!(ahead <= BLOCK_BYTES, "{ahead} bytes ahead");
    }
    assert_eq!(rows, 50_000);
}

#[test]
fn long_rows_end_a_chunk_early() {
    let long = "x".repeat(1 << 20);
    let file = format!("a\n{}", format!("{long}\n").repeat(12));
    let mut reader = reader(file.as_bytes()).expect("a header");
    assert_eq!(reader.next_chunk(12).expect("sound").expect("rows").len(), 4);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// As `cat a.gz b.gz` leaves it, and whatever the file is called.
#[test]
fn files_compressed_by_gzip_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    let both = [gzip(b"id,text\n1,a\n"), gzip(b"2,b\n")].concat();
    fs::write(&path, &both).unwrap();
    let table = read(Table::open(&path, None, None).unwrap(), 10).unwrap();
    assert_eq!(table, [["1", "a"], ["2", "b"]]);

    let whole = gzip(&[b"id,text\n".as_slice(), &b"1,a b c d\n".repeat(3000)].concat());
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = Table::open(&path, None, None).and_then(|reader| read(reader, 10)).unwrap_err();
        assert!(error.is::<UserError>(), "{error:?}");
        error.to_string()
    };
    assert!(refused(&whole[..whole.len() / 2]).contains("damaged or cut off"));
    assert!(refused(&[0x1F, 0x8B, 0, 0, 0]).contains("damaged or cut off"));
    // Compressed twice.
    assert!(refused(&gzip(&gzip(b"text\na\n"))).contains("compressed by gzip"));
}

#[test]
fn what_was_decided_about_a_file_is_told() {
    let mut reader = reader(b"sep=;\n# by us\nid;text\n1;a\n").unwrap();
    reader.next_chunk(9).unwrap();
    let said: Vec<String> = reader.warnings().iter().map(ToString::to_string).collect();
    assert_snapshot!(said.join("\n"), @r"
    `train.csv`: line 1 names the delimiter (`sep=`) and is skipped
    `train.csv`: 1 comment line above the header skipped (the first is line 2)
    `train.csv`: the columns are separated by semicolons
    ");
}

#[test]
fn refuses_a_missing_file_and_a_folder() {
    assert_snapshot!(printed(Table::open(Path::new("no/such.csv"), None, None)), @r"
    error: cannot open `no/such.csv`: no such file
    hint: check the path; a relative one starts at the current folder
    ");
    assert_snapshot!(printed(Table::open(Path::new("."), None, None)), @r"
    error: `.` is a folder, not a file
    hint: name the file inside it
    ");
}

#[test]
fn refuses_what_is_no_table() {
    assert_snapshot!(refusal(b""), @r"
    error: `train.csv`: the file is empty
    hint: the first line names the columns, for example `id,text,joy,anger`
    ");
    assert_snapshot!(refusal(b"\xEF\xBB\xBFid,text\n"), @r"
    error: `train.csv`: the file has a header, but no rows
    hint: add rows below the header
    ");
    assert_snapshot!(refusal(b"id,text\n1,\"a\nb\n caf\xE9\"\n"), @r"
    error: `train.csv`, line 4: not UTF-8 text
    hint: save the file as UTF-8 (for example: `iconv -f WINDOWS-1252 -t UTF-8 train.csv > utf8.csv`)
    ");
    assert_snapshot!(refusal(b"PK\x03\x04 xl/workbook.xml"), @"
    error: `train.csv`: the file is an Excel workbook, not CSV
    hint: open it in the spreadsheet program and save the sheet as \u{201c}CSV UTF-8\u{201d}
    ");
}

#[test]
fn refuses_malformed_rows_by_their_place() {
    assert_snapshot!(refusal(b"id;text;joy\n1;hello; world;1\n"), @r"
    error: `train.csv`, line 2: 4 values for 3 columns
    hint: put a value that holds a semicolon in double quotes, without a space before them
    ");
    assert_snapshot!(refusal(b"id,text\n1,a\n2,\"b\n3,c\n"), @r#"
    error: `train.csv`, line 3, column `text`: the quote that opens here is never closed
    hint: close the value with `"`, and write a quote inside it as `""`
    "#);
    assert_snapshot!(refusal(b"id,text\n1,a\nid,text\n2,b\n"), @r"
    error: `train.csv`, line 3: the header comes again
    hint: remove this line; files that are joined keep only the first header
    ");
}

#[test]
fn asks_for_a_delimiter_that_nothing_tells() {
    assert_snapshot!(refusal(b"a,b;c\n1,2;3\n"), @r"
    error: `train.csv`, line 1: the columns may be separated by any of these: commas, semicolons
    hint: name the right one: `--delimiter comma`
    ");
}
