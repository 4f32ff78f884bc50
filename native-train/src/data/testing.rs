//! Helpers of this folder's tests.

use std::io::Cursor;
use std::path::PathBuf;

use shared::LabelSet;

use super::FileOptions;
use super::dataset::Dataset;
use super::table::Table;
use super::texts::TextStream;
use crate::error::UserError;
use crate::grid::Targets;

/// The competition's files: not ours to ship, so tests that need them are skipped without.
pub fn kaggle(file: &str) -> Option<PathBuf> {
    shared_file(&format!("data/kaggle-2025-sep-dl-genai/{file}"))
}

/// A file of the folder named by `QUINTET_SHARED`, or of the one beside the workspace.
pub fn shared_file(path: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let folder = std::env::var_os("QUINTET_SHARED").map_or_else(|| default.into(), PathBuf::from);
    let file = folder.join(path);
    if !file.exists() {
        eprintln!("skipped: no {path} in {}", folder.display());
        return None;
    }
    Some(file)
}

pub fn reader(bytes: &[u8]) -> anyhow::Result<Table> {
    Table::of_csv("train.csv".to_owned(), Box::new(Cursor::new(bytes.to_vec())), None)
}

pub fn stream(bytes: &[u8]) -> anyhow::Result<TextStream> {
    TextStream::new(reader(bytes)?, &FileOptions::default())
}

/// A data set of the given texts and label rows.
pub fn dataset(rows: &[(&str, &[u8])]) -> Dataset {
    let labels = rows[0].1.len();
    Dataset {
        ids: (0..rows.len()).map(|row| row.to_string()).collect(),
        texts: rows.iter().map(|(text, _)| (*text).to_owned()).collect(),
        labels: LabelSet::new((0..labels).map(|label| format!("label-{label}")).collect()).unwrap(),
        targets: Targets::new(labels, rows.iter().flat_map(|row| row.1.to_vec()).collect()),
        soft_targets: None,
    }
}

/// A user's mistake as it is printed.
pub fn printed<T>(result: anyhow::Result<T>) -> String {
    let error = result.err().expect("an error");
    let mistake = error.downcast_ref::<UserError>().expect("a user's mistake");
    format!("error: {mistake}\nhint: {}", mistake.remedy().expect("a remedy"))
}
