//! Files of texts whose other columns do not matter: a table with a text column, or `.txt` with a text on each line.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::columns::FileOptions;
use super::csv::read_plain;
use super::texts::{TextStream, Texts};
use super::warning::Warning;
use crate::error::UserError;
use crate::progress::Progress;

fn read_texts(path: &Path, options: &FileOptions) -> Result<(Vec<String>, Vec<Warning>)> {
    if is_plain(path) {
        return Ok((lines(path)?, Vec::new()));
    }
    let found = || FileOptions { text_column: None, ..options.clone() };
    let stream = match TextStream::open(path, options) {
        Err(_) if options.text_column.is_some() => TextStream::open(path, &found())?,
        stream => stream?,
    };
    let (texts, warnings) = Texts::collect(stream)?;
    // Nobody asks for the ids of these texts.
    let matters = |warning: &Warning| {
        !matches!(warning, Warning::Decided { .. } | Warning::RepeatedIds { .. })
    };
    Ok((texts.texts, warnings.into_iter().filter(matters).collect()))
}

/// Reads the texts of several files, one after another, and tells what is odd about them. If `options` names a text column
/// that a table lacks, it is found as if none was named.
///
/// # Errors
/// If a file is missing, is no text, has no text column, or holds no text.
pub fn read_all_texts(
    files: &[PathBuf],
    options: &FileOptions,
    progress: &Progress,
) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        let (texts, warnings) = read_texts(file, options)?;
        warnings.iter().for_each(|warning| warning.tell(progress));
        all.extend(texts);
    }
    Ok(all)
}

/// Whether a file is `.txt`, perhaps compressed.
fn is_plain(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(".txt")
}

/// The lines that are not blank.
fn lines(path: &Path) -> Result<Vec<String>> {
    let whole = read_plain(path)?;
    let lines = whole.lines().map(str::trim).filter(|line| !line.is_empty());
    let texts: Vec<String> = lines.map(str::to_owned).collect();
    if texts.is_empty() {
        let message = format!("`{}` holds no text", path.display());
        return Err(UserError::new(message).hint("each line of a `.txt` file is a text").into());
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(name: &str, bytes: &[u8], text_column: Option<&str>) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let text_column = text_column.map(str::to_owned);
        let options = FileOptions { text_column, ..FileOptions::default() };
        Ok(read_texts(&path, &options)?.0)
    }

    #[test]
    fn each_line_of_a_plain_file_is_a_text_and_blank_ones_are_none() {
        let text = "\u{feff}one, two\n\n  three \"four\"\r\n \t\nfive".as_bytes();
        let expected = ["one, two", "three \"four\"", "five"];
        assert_eq!(read("a.txt", text, None).unwrap(), expected);
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(text).unwrap();
        let compressed = compressed.finish().unwrap();
        assert_eq!(read("a.TXT.gz", &compressed, None).unwrap(), expected);
        let error = read("a.txt", b"\n \n", None).unwrap_err().to_string();
        assert!(error.ends_with("a.txt` holds no text"), "{error}");
        assert!(read("a.txt", b"\xff\xfe\xff", None).is_err());
    }

    #[test]
    fn a_table_may_lack_the_named_column() {
        let table = b"tweet,text\na,b\n";
        assert_eq!(read("a.csv", table, Some("tweet")).unwrap(), ["a"]);
        assert_eq!(read("a.csv", table, Some("comment")).unwrap(), ["b"]);
        assert!(read("a.csv", b"tweet\na\n", Some("comment")).is_err());
    }
}
