//! Rows come back as they were written, whatever the delimiter and the encoding; what cannot be read soundly
//! is refused in words.

use proptest::prelude::*;

use super::*;

/// A table as a reader gives it.
#[derive(Debug, PartialEq)]
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    lines: Vec<usize>,
    notes: Vec<Note>,
}

/// Reads a file in blocks of `size` bytes.
fn read_in_blocks(bytes: &[u8], size: usize, delimiter: Option<Delimiter>) -> Result<Table, Fault> {
    let mut reader = Reader::new(delimiter);
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for block in bytes.chunks(size).map(Some).chain([None]) {
        match block {
            Some(block) => reader.push(block),
            None => reader.end(),
        }
        while let Some(record) = reader.next()? {
            rows.push(record.values().map(str::to_owned).collect());
            lines.push(record.line);
        }
    }
    let header = reader.header()?.expect("ended").to_vec();
    Ok(Table { header, rows, lines, notes: reader.notes().to_vec() })
}

fn read(text: &str) -> Table {
    read_in_blocks(text.as_bytes(), 1 << 20, None).expect("a table")
}

fn refusal(bytes: &[u8]) -> String {
    let fault = read_in_blocks(bytes, 1 << 20, None).expect_err("no table");
    format!("{}: {}; {}", fault.place("`"), fault.what(), fault.remedy())
}

#[derive(Debug, Clone, Copy)]
struct Style {
    delimiter: Delimiter,
    line_end: &'static str,
    encoding: Encoding,
    has_mark: bool,
    quote_all: bool,
    ends_with_line_end: bool,
}

fn written(table: &[Vec<String>], style: Style) -> Vec<u8> {
    let delimiter = char::from(style.delimiter.byte());
    let value = |value: &String| {
        if style.quote_all || value.is_empty() || value.contains([delimiter, '"', '\n', '\r']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.clone()
        }
    };
    let row =
        |row: &Vec<String>| row.iter().map(value).collect::<Vec<_>>().join(&delimiter.to_string());
    let lines: Vec<String> = table.iter().map(row).collect();
    let mark = if style.has_mark { "\u{feff}" } else { "" };
    let end = if style.ends_with_line_end { style.line_end } else { "" };
    let text = format!("{mark}{}{end}", lines.join(style.line_end));
    match style.encoding {
        Encoding::Utf8 => text.into_bytes(),
        Encoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

fn style() -> impl Strategy<Value = Style> {
    let encoding = prop_oneof![
        Just((Encoding::Utf8, false)),
        Just((Encoding::Utf8, true)),
        Just((Encoding::Utf16Le, true)),
        Just((Encoding::Utf16Be, true)),
    ];
    let delimiter = prop::sample::select(Delimiter::ALL.to_vec());
    let line_end = prop_oneof![Just("\n"), Just("\r\n")];
    (delimiter, line_end, encoding, any::<bool>(), any::<bool>()).prop_map(
        |(delimiter, line_end, (encoding, has_mark), quote_all, ends_with_line_end)| Style {
            delimiter,
            line_end,
            encoding,
            has_mark,
            quote_all,
            ends_with_line_end,
        },
    )
}

/// Mostly what CSV readers stumble over.
fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            ",", ";", "|", "\"", "\"\"", "\n", "\r", "\r\n", " ", "\t", "x^", "1.0", "NA", "true",
            "#", "\u{feff}", "\0", "😀", "é", "e\u{301}", "中文", "a word",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(|c| c.to_string()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (2..4_usize).prop_flat_map(|columns| {
        prop::collection::vec(prop::collection::vec(value(), columns), 1..12)
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        table in table(),
        style in style(),
        size in prop_oneof![1..9_usize, Just(1 << 20)],
    ) {
        let header: Vec<String> = (0..table[0].len()).map(|index| format!("column {index}")).collect();
        let file = written(&[vec![header.clone()], table.clone()].concat(), style);
        let found = read_in_blocks(&file, size, None).expect("sound");
        prop_assert_eq!(found.header, header);
        prop_assert_eq!(found.rows, table);
        let said = found.notes.contains(&Note::Delimiter(style.delimiter));
        prop_assert_eq!(said, style.delimiter != Delimiter::Comma);
        let said = found.notes.contains(&Note::Encoding(style.encoding));
        prop_assert_eq!(said, style.encoding != Encoding::Utf8);
    }

    #[test]
    fn blocks_of_any_size_give_the_same(
        bytes in prop::collection::vec(
            prop_oneof![3 => prop::sample::select(b",;\"\n\r#a1".to_vec()), 1 => any::<u8>()],
            0..80,
        ),
        size in 1..20_usize,
    ) {
        for beginning in ["", "id,text\n", "sep=;\nid;text\n"] {
            let file = [beginning.as_bytes(), bytes.as_slice()].concat();
            let (whole, parts) = (read_in_blocks(&file, 1 << 20, None), read_in_blocks(&file, size, None));
            prop_assert_eq!(whole, parts);
        }
    }
}

/// With more text than a reader looks at before it decides.
#[test]
fn long_files_are_read_in_blocks_of_any_size() {
    let mut text = "id;text\r\n".to_owned();
    for row in 0..4000 {
        text += &format!("{row};\"Grüße; no. {row}\nzweite Zeile 😀\"\r\n");
    }
    let expected = read(&text);
    assert_eq!((expected.rows.len(), expected.lines[1]), (4000, 4));
    assert_eq!(expected.rows[3999], ["3999", "Grüße; no. 3999\nzweite Zeile 😀"]);
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for size in [1, 777, 65536] {
        let same = read_in_blocks(text.as_bytes(), size, None).unwrap();
        assert_eq!(same, expected);
        let marked = [b"\xFF\xFE".as_slice(), &wide].concat();
        assert_eq!(read_in_blocks(&marked, size, None).unwrap().rows, expected.rows);
    }
}

#[test]
fn the_delimiter_is_found_by_the_header_and_the_rows() {
    let delimiter = |text: &str| read_in_blocks(text.as_bytes(), 99, None).unwrap().notes;
    assert_eq!(delimiter("id,text\n1,a; b; c\n"), []);
    assert_eq!(delimiter("id;text\n1;a, b, c\n"), [Note::Delimiter(Delimiter::Semicolon)]);
    assert_eq!(delimiter("id\ttext\n1\ta, b | c\n"), [Note::Delimiter(Delimiter::Tab)]);
    assert_eq!(delimiter("id|text\n1|a, b\n"), [Note::Delimiter(Delimiter::Bar)]);
    assert_eq!(delimiter("text\nwell; well\n"), []);
    // The header can be divided by both; the rows by one of them.
    assert_eq!(delimiter("id;what (a, b)\n1;a\n"), [Note::Delimiter(Delimiter::Semicolon)]);
    assert_eq!(delimiter("id,\"a;b\"\n1,a\n"), []);
    // Rows of both, and one has a text column.
    assert_eq!(delimiter("id;x,text\n1;2,a\n"), []);
}

#[test]
fn a_delimiter_that_nothing_tells_is_asked_for() {
    assert_eq!(
        refusal(b"a,b;c\n1,2;3\n"),
        ", line 1: the columns may be separated by any of these: commas, semicolons; \
         put names that hold one of them in double quotes"
    );
    let forced = read_in_blocks(b"a,b;c\n1,2;3\n", 99, Some(Delimiter::Semicolon)).unwrap();
    assert_eq!(forced.rows, [["1,2", "3"]]);
    assert_eq!(forced.notes, [Note::Delimiter(Delimiter::Semicolon)]);
}

#[test]
fn a_forced_delimiter_is_taken_as_it_is() {
    let comma = read_in_blocks(b"id;text\n1;a\n", 99, Some(Delimiter::Comma)).unwrap();
    assert_eq!((comma.header, comma.notes), (vec!["id;text".to_owned()], vec![]));
}

#[test]
fn sep_lines_and_comments_above_the_header_are_skipped() {
    let table = read("sep=;\r\nid;text\r\n1;a, b\r\n");
    assert_eq!((table.header, table.lines), (vec!["id".to_owned(), "text".to_owned()], vec![3]));
    assert_eq!(table.notes, [Note::SepLine(1), Note::Delimiter(Delimiter::Semicolon)]);
    assert_eq!(read("\"sep=,\"\nid,text\n1,a\n").notes, [Note::SepLine(1)]);
    assert_eq!(read("SEP=\t\nid\ttext\n1\ta\n").notes[0], Note::SepLine(1));

    let table = read("# exported by us, today\n\n#\nid,text,joy\n1,a,0\n");
    let comments = Note::Comments(Lines { count: 2, first: 1 });
    assert_eq!((table.lines, table.notes), (vec![5], vec![comments]));
    assert_eq!(read("# one, two, three\ntext\na\n").header, ["text"]);
    // A header that begins with # stays one, and so do rows.
    assert_eq!(read("#id,words\n1,a\n").header, ["#id", "words"]);
    assert_eq!(read("text\n#a\n").rows, [["#a"]]);
    assert_eq!(read("#happy\n#sad\n").header, ["#happy"]);
    assert_eq!(
        refusal(b"sep=^\na^b\n"),
        ", line 1: `sep=^` names an unknown delimiter; \
         separate the columns by commas, semicolons, tabs or bars (`|`)"
    );
}

#[test]
fn names_of_columns_lose_the_spaces_around_them() {
    assert_eq!(read("id , text\u{a0},\" joy \"\n1, a ,0\n").header, ["id", "text", "joy"]);
    assert_eq!(read("id , text\n1, a \n").rows, [["1", " a "]]);
}

#[test]
fn utf16_is_read_with_and_without_a_mark() {
    let text = "id,text\n1,a\n2,Grüße\n";
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (mark, bytes, encoding) in [
        (&b"\xFF\xFE"[..], &le, Encoding::Utf16Le),
        (b"", &le, Encoding::Utf16Le),
        (b"\xFE\xFF", &be, Encoding::Utf16Be),
        (b"", &be, Encoding::Utf16Be),
    ] {
        let table = read_in_blocks(&[mark, bytes].concat(), 3, None).unwrap();
        assert_eq!(table.rows, [["1", "a"], ["2", "Grüße"]]);
        assert_eq!(table.notes, [Note::Encoding(encoding)]);
    }
    let half = [&le[..], &[0x3D, 0xD8, b'x', 0]].concat();
    assert!(refusal(&half).starts_with(", line 4: not UTF-16 (little-endian) text; "));
    assert!(refusal(&le[..le.len() - 1]).starts_with(", line 3: not UTF-16"));
    // Zeros in UTF-8 are characters like others.
    assert_eq!(read("id,text\n1,a\0b\n").rows, [["1", "a\0b"]]);
}

#[test]
fn other_bytes_are_refused_by_their_line() {
    assert!(refusal(b"id,text\n1,\"a\nb\n caf\xE9\"\n").starts_with(", line 4: not UTF-8 text; "));
    assert!(refusal(b"id,text\n1,caf\xC3").starts_with(", line 2: not UTF-8 text; "));
}

#[test]
fn files_of_other_kinds_are_refused_by_name() {
    let cases: [(&[u8], &str); 14] = [
        (b"PK\x03\x04....[Content_Types].xml", "an Excel workbook"),
        (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "an OpenDocument"),
        (b"PK\x03\x04....train.csv", "a ZIP archive"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an Excel workbook"),
        (b"\x1F\x8B\x08", "compressed by gzip"),
        (b"BZh91AY&SY", "compressed by bzip2"),
        (b"\xFD7zXZ\x00", "compressed by xz"),
        (b"PAR1\x15", "in the format Parquet"),
        (b"{\"text\": \"a\"}\n", "JSON"),
        (b" [\n {\"text\": 1}]", "JSON"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"%PDF-1.7", "a PDF"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"\xFF\xFE\x00\x00i\x00\x00\x00", "text in UTF-32"),
    ];
    for (bytes, name) in cases {
        let said = refusal(bytes);
        assert!(said.starts_with(&format!(": the file is {name}")), "{said}");
    }
}

#[test]
fn a_header_that_comes_again_is_refused() {
    let again = ", line 3: the header comes again; \
                 remove this line; files that are joined keep only the first header";
    assert_eq!(refusal(b"id,text\n1,a\nid,text\n2,b\n"), again);
    assert_eq!(refusal("\u{feff}id,text\n1,a\n\u{feff}id, text\n2,b\n".as_bytes()), again);
    assert_eq!(read("text\na\ntext\n").rows, [["a"], ["text"]]);
}

#[test]
fn what_is_malformed_is_refused_where_it_is() {
    for (file, said) in [
        ("", ": the file is empty"),
        ("\n\r\n", ": the file is empty"),
        ("id,text\n", ": the file has a header, but no rows"),
        ("text,joy,text\na,1,b\n", ", line 1: two columns are named `text`"),
        ("id,text,joy\n1,\"a\nb\",1\n2,hello\n", ", line 4: 2 values for 3 columns"),
        ("id;text;joy\n1;a; b;1\n", ", line 2: 4 values for 3 columns"),
        (
            "id,text\n1,a\n2,\"b\n",
            ", line 3, column `text`: the quote that opens here is never closed",
        ),
        (
            "id,text\n1,\"a\n2,b\n3,\"c\"\n",
            ", line 4, column `text`: text after a closing quote (it was opened on line 2)",
        ),
        (
            "id,text\r1,a\r",
            ", line 1, column `2`: a carriage return without a line feed, outside of quotes",
        ),
    ] {
        let found = refusal(file.as_bytes());
        assert!(found.starts_with(&format!("{said}; ")), "{found}");
    }
}

#[test]
fn a_row_that_never_ends_is_refused() {
    let file = [b"text\n\"".as_slice(), &vec![b'x'; 17 << 20]].concat();
    assert!(refusal(&file).starts_with(", line 2: a row of over 16 MiB; "));
}

#[test]
fn columns_are_found_whatever_the_case_of_their_names() {
    let header = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(find_text(&header(&["ID", "Text", "joy"])), Some(1));
    assert_eq!(find_text(&header(&["review", "COMMENT_TEXT"])), Some(1));
    assert_eq!(find_id(&header(&["text", "Id"])), Some(1));
    assert_eq!(find(&header(&["text", "Text"]), "Text"), Match::One(1));
    assert_eq!(find(&header(&["text", "Text"]), "TEXT"), Match::Several(vec![0, 1]));
    assert_eq!(find(&header(&["", "a"]), ""), Match::None);
    for (name, is_id) in [("tweet_id", true), ("commentId", true), ("paid", false), ("ID", true)] {
        assert_eq!(looks_like_id(name), is_id, "{name}");
    }
}

#[test]
fn the_column_with_most_words_reads_like_a_text() {
    let rows = [
        vec!["2018-En-00001", "What a day it was", "https://example.org/a/very/long/path", "1"],
        vec!["2018-En-00002", "No", "https://example.org/a/very/long/path", "0"],
    ];
    assert_eq!(reads_like_text(rows), Some(1));
    assert_eq!(reads_like_text([vec!["1", "0"], vec!["2", "1"]]), None);
}
