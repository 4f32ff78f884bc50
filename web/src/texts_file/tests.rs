//! A file's texts are found or refused as `native-train` does it.

use super::*;

fn texts(content: &str) -> Vec<String> {
    read("t.csv", content.as_bytes()).unwrap().texts
}

fn problem(content: &[u8]) -> String {
    read("t.csv", content).unwrap_err().message
}

#[test]
fn finds_the_texts_and_the_ids_by_their_columns() {
    let file = read("t.csv", b"Id,content,joy\n7,\"a, \"\"b\"\"\nc\",1\n8,d,0\n").unwrap();
    assert_eq!(file.texts, ["a, \"b\"\nc", "d"]);
    assert_eq!(file.ids, Some(vec!["7".to_owned(), "8".to_owned()]));
    assert_eq!((file.column.as_deref(), file.notes), (Some("content"), vec![]));
}

#[test]
fn a_byte_order_mark_and_line_ends_are_not_part_of_a_text() {
    assert_eq!(texts("\u{feff}text\r\na\r\n\nb"), ["a", "b"]);
}

#[test]
fn semicolons_tabs_and_utf16_are_read_and_said() {
    let file = read("t.csv", b"id;text\n0;well, well\n").unwrap();
    assert_eq!(
        (file.texts, file.notes),
        (
            vec!["well, well".to_owned()],
            vec!["The columns are separated by semicolons.".to_owned()],
        )
    );
    assert_eq!(texts("id\ttext\n0\ta\n"), ["a"]);
    let wide: Vec<u8> = "\u{feff}text\nä\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = read("t.csv", &wide).unwrap();
    assert_eq!(
        (file.texts, file.notes),
        (vec!["ä".to_owned()], vec!["The file is read as UTF-16 (little-endian).".to_owned()],)
    );
    assert_eq!(read("t.txt", &wide).unwrap().texts, ["text", "ä"]);
}

#[test]
fn a_header_is_no_text() {
    let refused = read("t.csv", b"Kommentar\nwas f\xc3\xbcr ein Tag\n").unwrap_err();
    assert_eq!(refused.message, "t.csv has no column `text`. Its first line has `Kommentar`.");
    assert!(refused.remedy.starts_with("If the first line is the column's name"));
    let plain = read("t.txt", b"well, well\n\n\"no\n").unwrap();
    assert_eq!(plain.texts, ["well, well", "\"no"]);
}

#[test]
fn the_column_that_reads_like_a_text_is_named() {
    let refused = read("t.csv", b"ID,Tweet\n2018-En-1,what a day\n").unwrap_err();
    assert_eq!(refused.remedy, "Rename the column with the texts, perhaps `Tweet`, to `text`.");
}

#[test]
fn a_malformed_table_is_refused_with_its_line() {
    assert_eq!(problem(b""), "t.csv: the file is empty.");
    assert_eq!(problem(b"text\n"), "t.csv: the file has a header, but no rows.");
    assert_eq!(
        problem(b"id,tweet\n1,a\n"),
        "t.csv has no column `text`. Its first line has `id` and `tweet`."
    );
    assert_eq!(problem(b"id,text\n1,a\n2,b,c\n"), "t.csv, line 3: 3 values for 2 columns.");
    assert_eq!(problem(b"text\na\n\xff\n"), "t.csv, line 3: not UTF-8 text.");
    assert_eq!(
        problem(b"id,text\n1,a\n2,\"b\n3,c\n"),
        "t.csv, line 3, column `text`: the quote that opens here is never closed."
    );
    let workbook = read("t.xlsx", b"PK\x03\x04...xl/workbook.xml").unwrap_err();
    assert_eq!(workbook.message, "t.xlsx: the file is an Excel workbook, not CSV.");
}

#[test]
fn the_table_can_be_read_again() {
    let labels = ["joy".to_owned(), "fear".to_owned()];
    let row = Row { probabilities: vec![0.75, 0.1], is_on: vec![true, false], truncated: false };
    let texts = ["a \"b\",\nc".to_owned(), "d".to_owned()];
    let table = write(&labels, None, &texts, &[Some(row), None]);
    let wanted = "text,joy,fear,joy_probability,fear_probability\n\
                  \"a \"\"b\"\",\nc\",1,0,0.75,0.1\nd,,,,\n";
    assert_eq!(table, wanted);
    assert_eq!(read("t.csv", table.as_bytes()).unwrap().texts, texts);
}
