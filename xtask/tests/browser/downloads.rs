//! Files that the browser saves: when they are whole, and what is in them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::visitor::Visitor;
use crate::waiting::PATIENCE;

/// The time between two looks at a file, which must have been the same in both.
const PAUSE: Duration = Duration::from_millis(200);

/// A row of a table: its fields by the names of their columns.
pub type Row = HashMap<String, String>;

/// A file that looks whole, and its bytes.
type Found = (PathBuf, Vec<u8>);

impl Visitor {
    /// Clicks `button`, which saves a table, and waits for the whole file; returns its rows.
    pub fn download_table_by(&self, button: &str) -> Vec<Row> {
        let folder = self.downloads();
        assert_eq!(names(&folder), [""; 0], "an earlier download is in the way");
        self.click(button);
        let start = Instant::now();
        let mut before = None;
        loop {
            let now = whole_table(&folder);
            if let Some((file, bytes)) = &now
                && now == before
            {
                let rows = rows_of(bytes);
                fs::remove_file(file).unwrap();
                return rows;
            }
            assert!(start.elapsed() < PATIENCE, "no whole table, but {:?}", names(&folder));
            before = now;
            thread::sleep(PAUSE);
        }
    }
}

/// The table in the folder, unless it is still coming. Chromium takes the table's name with an empty file, writes into another
/// beside it, and gives that one the name at the end.
fn whole_table(folder: &Path) -> Option<Found> {
    let names = names(folder);
    // Nothing else is there once the download has ended.
    let [name] = &names[..] else { return None };
    let file = folder.join(name);
    // It may be renamed between two looks.
    let bytes = fs::read(&file).ok()?;
    (name.ends_with(".csv") && bytes.ends_with(b"\n")).then_some((file, bytes))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

pub fn read_csv(file: &Path) -> Vec<Row> {
    rows_of(&fs::read(file).unwrap())
}

fn rows_of(table: &[u8]) -> Vec<Row> {
    csv::Reader::from_reader(table).deserialize().map(Result::unwrap).collect()
}

/// Chromium held the place of the table with an empty file, and a story found a table without rows.
#[test]
fn a_table_is_taken_when_it_is_whole_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("quintet.csv");
    let coming = folder.path().join("quintet.csv.crdownload");
    assert_eq!(whole_table(folder.path()), None, "nothing there");
    fs::write(&place, "").unwrap();
    assert_eq!(whole_table(folder.path()), None, "the empty place");
    fs::write(&coming, "text,joy\na,1\n").unwrap();
    assert_eq!(whole_table(folder.path()), None, "half of it beside the empty place");
    fs::remove_file(&place).unwrap();
    assert_eq!(whole_table(folder.path()), None, "half of it alone");
    fs::rename(&coming, &place).unwrap();
    let (file, bytes) = whole_table(folder.path()).unwrap();
    assert_eq!((file, rows_of(&bytes).len()), (place.clone(), 1));
    fs::write(&place, "text,joy\na,1\nb,").unwrap();
    assert_eq!(whole_table(folder.path()), None, "a line that has not ended");
}
