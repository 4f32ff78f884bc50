//! A file's texts are found or refused as `native-train` does it.

use super::*;

fn read(name: &str, content: &[u8]) -> Result<TextsFile, Problem> {
    read_in_blocks(name, content, content.len().max(1))
}

fn read_in_blocks(name: &str, content: &[u8], size: usize) -> Result<TextsFile, Problem> {
    let mut reader = TextsReader::new(name);
    content.chunks(size).try_for_each(|block| reader.push(block))?;
    reader.finish()
}

fn owned(texts: &Texts) -> Vec<String> {
    texts.iter().map(str::to_owned).collect()
}

fn texts(content: &str) -> Vec<String> {
    owned(&read("t.csv", content.as_bytes()).unwrap().texts)
}

fn problem(content: &[u8]) -> String {
    read("t.csv", content).unwrap_err().message
}

#[test]
fn finds_the_texts_and_the_ids_by_their_columns() {
    let file = read("t.csv", b"Id,content,joy\n7,\"a, \"\"b\"\"\nc\",1\n8,d,0\n").unwrap();
    assert_eq!(owned(&file.texts), ["a, \"b\"\nc", "d"]);
    assert_eq!(owned(&file.ids.unwrap()), ["7", "8"]);
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
        (owned(&file.texts), file.notes),
        (
            vec!["well, well".to_owned()],
            vec!["The columns are separated by semicolons.".to_owned()],
        )
    );
    assert_eq!(texts("id\ttext\n0\ta\n"), ["a"]);
    let wide: Vec<u8> = "\u{feff}text\nä\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = read("t.csv", &wide).unwrap();
    assert_eq!(
        (owned(&file.texts), file.notes),
        (vec!["ä".to_owned()], vec!["The file is read as UTF-16 (little-endian).".to_owned()],)
    );
    assert_eq!(owned(&read("t.txt", &wide).unwrap().texts), ["text", "ä"]);
}

#[test]
fn a_header_is_no_text() {
    let refused = read("t.csv", b"Kommentar\nwas f\xc3\xbcr ein Tag\n").unwrap_err();
    assert_eq!(refused.message, "t.csv has no column `text`. Its first line has `Kommentar`.");
    assert!(refused.remedy.starts_with("If the first line is the column's name"));
    let plain = read("t.txt", b"well, well\n\n\"no\n").unwrap();
    assert_eq!(owned(&plain.texts), ["well, well", "\"no"]);
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
fn blocks_of_any_size_give_the_same_texts() {
    let table = "\u{feff}id;text\r\n1;größer\r\n2;\"a\n\"\"b\"\"\"\r\n".as_bytes();
    let long: String = (0..900).map(|line| format!("Zeile {line}: größer\r\n\n")).collect();
    let wide: Vec<u8> =
        format!("\u{feff}{long}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content, count) in
        [("t.csv", table, 2), ("t.txt", long.as_bytes(), 900), ("t.txt", &wide, 900)]
    {
        let whole = read(name, content).unwrap();
        assert_eq!(whole.texts.len(), count);
        for size in [1, 2, 3, 7, 4095, 4096, 4097] {
            assert_eq!(read_in_blocks(name, content, size).unwrap(), whole, "{name} by {size}");
        }
    }
}

#[test]
fn a_name_in_capitals_tells_the_form_too() {
    for name in ["NOTES.TXT", "Notes.Txt.GZ"] {
        assert_eq!(owned(&read(name, b"one, two\nthree\n").unwrap().texts), ["one, two", "three"]);
    }
}

#[test]
fn a_file_that_turns_out_too_large_is_refused() {
    let mut reader = TextsReader::new("t.csv.gz");
    reader.push(b"text\n").unwrap();
    let block = "another line of text\n".repeat(50_000);
    let refused = (0..100).find_map(|_| reader.push(block.as_bytes()).err()).unwrap();
    assert!(refused.message.contains("too large"), "{}", refused.message);
    assert!(refused.remedy.contains("100 MB"), "{}", refused.remedy);
    assert!(reader.received() > LARGEST_FILE);
}
