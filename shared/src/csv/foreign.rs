//! Files that are no tables of text, by their first bytes.

/// A kind of file that is no table of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// An Excel workbook, old or new.
    Excel,
    /// An OpenDocument spreadsheet.
    OpenDocument,
    /// A ZIP archive.
    Zip,
    /// Another compressed file, by the program that unpacks it.
    Compressed(&'static str),
    /// A Parquet, Arrow or Feather file.
    Columnar(&'static str),
    /// JSON or JSON Lines.
    Json,
    /// A web page, often what a server answers instead of the file.
    Html,
    /// A PDF.
    Pdf,
    /// A database.
    Sqlite,
    /// Text in UTF-32.
    Utf32,
}

impl Foreign {
    /// The kind of a file that begins with these bytes; `None` if it may be a table.
    pub(super) fn of(beginning: &[u8]) -> Option<Self> {
        by_signature(beginning).or_else(|| by_text(beginning))
    }

    /// A phrase for it: `an Excel workbook`.
    pub fn name(self) -> String {
        match self {
            Self::Excel => "an Excel workbook".to_owned(),
            Self::OpenDocument => "an OpenDocument spreadsheet".to_owned(),
            Self::Zip => "a ZIP archive".to_owned(),
            Self::Compressed(program) => format!("compressed by {program}"),
            Self::Columnar(format) => format!("in the format {format}"),
            Self::Json => "JSON".to_owned(),
            Self::Html => "a web page (HTML)".to_owned(),
            Self::Pdf => "a PDF document".to_owned(),
            Self::Sqlite => "an SQLite database".to_owned(),
            Self::Utf32 => "text in UTF-32".to_owned(),
        }
    }

    /// The way to a CSV file.
    pub(super) fn remedy(self) -> String {
        match self {
            Self::Excel | Self::OpenDocument => {
                "open it in the spreadsheet program and save the sheet as \u{201c}CSV UTF-8\u{201d}"
                    .to_owned()
            }
            Self::Zip => "unpack it and give the CSV file inside".to_owned(),
            Self::Compressed(program) => {
                format!("unpack it with {program}, or compress it with gzip instead")
            }
            Self::Columnar(_) | Self::Json | Self::Sqlite => {
                "convert it to CSV, for example with pandas' `to_csv(index=False)`".to_owned()
            }
            Self::Html => "download the file itself; a login page may have come instead".to_owned(),
            Self::Pdf => {
                "copy its table into a spreadsheet program and save that as CSV".to_owned()
            }
            Self::Utf32 => "save it as UTF-8".to_owned(),
        }
    }
}

fn by_signature(beginning: &[u8]) -> Option<Foreign> {
    const SIGNATURES: [(&[u8], Foreign); 13] = [
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Foreign::Excel),
        (b"\x1F\x8B", Foreign::Compressed("gzip")),
        (b"\x28\xB5\x2F\xFD", Foreign::Compressed("zstd")),
        (b"\xFD7zXZ\x00", Foreign::Compressed("xz")),
        (b"7z\xBC\xAF\x27\x1C", Foreign::Compressed("7-Zip")),
        (b"Rar!\x1A\x07", Foreign::Compressed("RAR")),
        (b"PAR1", Foreign::Columnar("Parquet")),
        (b"ARROW1\x00\x00", Foreign::Columnar("Arrow")),
        (b"FEA1", Foreign::Columnar("Feather")),
        (b"SQLite format 3\x00", Foreign::Sqlite),
        (b"%PDF-", Foreign::Pdf),
        (b"\xFF\xFE\x00\x00", Foreign::Utf32),
        (b"\x00\x00\xFE\xFF", Foreign::Utf32),
    ];
    if beginning.starts_with(b"PK\x03\x04") {
        return Some(inside_zip(beginning));
    }
    if let [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] = beginning {
        return Some(Foreign::Compressed("bzip2"));
    }
    SIGNATURES.iter().find(|(bytes, _)| beginning.starts_with(bytes)).map(|&(_, kind)| kind)
}

fn inside_zip(beginning: &[u8]) -> Foreign {
    let holds = |name: &[u8]| beginning.windows(name.len()).any(|bytes| bytes == name);
    if holds(b"application/vnd.oasis.opendocument") {
        Foreign::OpenDocument
    } else if holds(b"[Content_Types].xml") || holds(b"xl/") {
        Foreign::Excel
    } else {
        Foreign::Zip
    }
}

fn by_text(beginning: &[u8]) -> Option<Foreign> {
    let text = beginning.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(beginning).trim_ascii_start();
    let begins = |word: &str| {
        text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    if begins("<!doctype html") || begins("<html") {
        return Some(Foreign::Html);
    }
    let (first, rest) = text.split_first()?;
    match (first, rest.trim_ascii_start().first()?) {
        (b'{', b'"' | b'}') | (b'[', b'{' | b'[' | b'"' | b']') => Some(Foreign::Json),
        _ => None,
    }
}
