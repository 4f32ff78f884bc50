//! The formats of tables in files, told by a file's name or named by the user.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Columns separated by commas, or by what is found in the file.
    Csv,
    /// CSV whose columns are separated by tabs.
    Tsv,
    /// JSON Lines: an object on each line.
    #[value(name = "jsonl")]
    #[serde(rename = "jsonl")]
    JsonLines,
    Parquet,
}

impl Format {
    /// The format of a file: the one that is named, else that of its name, else CSV.
    pub fn of(path: &Path, named: Option<Self>) -> Self {
        named.or_else(|| Self::by_name(path)).unwrap_or(Self::Csv)
    }

    /// The format that the end of a file's name tells, before `.gz` if it ends so.
    pub fn by_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let (_, extension) = name.strip_suffix(GZIP).unwrap_or(&name).rsplit_once('.')?;
        match extension {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The value of the flag `--format`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::JsonLines => "JSON Lines",
            Self::Parquet => "Parquet",
        })
    }
}

const GZIP: &str = ".gz";

/// Whether a file's name says that it is compressed by gzip.
pub fn is_gzip(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().ends_with(GZIP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_the_format() {
        let cases = [
            ("a.csv", Some(Format::Csv)),
            ("a.CSV.GZ", Some(Format::Csv)),
            ("deep.parquet/a.tsv", Some(Format::Tsv)),
            ("a.jsonl.gz", Some(Format::JsonLines)),
            ("a.json", Some(Format::JsonLines)),
            ("a.b.parquet", Some(Format::Parquet)),
            ("a.txt", None),
            ("csv", None),
            ("/dev/fd/63", None),
            ("a.gz", None),
        ];
        for (name, format) in cases {
            assert_eq!(Format::by_name(Path::new(name)), format, "{name}");
        }
        assert_eq!(Format::of(Path::new("a.txt"), None), Format::Csv);
        assert_eq!(Format::of(Path::new("a.csv"), Some(Format::Tsv)), Format::Tsv);
        assert!(is_gzip(Path::new("a.csv.gz")) && !is_gzip(Path::new("gz/a.csv")));
    }

    #[test]
    fn the_flag_and_the_config_file_take_the_same_names() {
        for format in Format::value_variants() {
            let named = format.to_possible_value().expect("none is hidden");
            assert_eq!(named.get_name(), format.key());
            assert_eq!(serde_json::to_value(format).unwrap(), format.key());
        }
    }
}
