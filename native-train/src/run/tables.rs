//! The tables of a run: folds.csv, label tables (oof.csv, submission.csv) and thresholds.json.
//!
//! A written table reads back the same: ids with commas, quotes and newlines, and probabilities to the
//! bit. Every cell is checked when it is read. A file that is cut off exactly at the end of a line can
//! only be noticed by comparing its ids with another table's, which is left to the caller.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use polars::prelude::{
    Column, CsvReadOptions, CsvReader, DataFrame, DataType, Field, Schema, SerReader, StringChunked,
};
use serde::{Deserialize, Serialize};
use shared::{LabelSet, Thresholds};

use super::files::{damaged, read, read_json, write_atomically, write_json};
use super::label_table::{Cells, Form, Header, LabelTable, write_csv};
use crate::format::Format;
use crate::grid::{Grid, Probabilities};

/// The name of the ids, unless the file that they come from has another.
pub const ID: &str = "id";

const CSV: Form = Form { format: Format::Csv, gzip: false };

/// The fold that holds out each row: folds.csv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldTable {
    /// The ids of the rows of the training file.
    pub ids: Vec<String>,
    pub fold_of: Vec<usize>,
}

/// The labels and their thresholds: thresholds.json.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdTable {
    pub labels: LabelSet,
    pub thresholds: Thresholds,
}

impl FoldTable {
    pub fn write(&self, path: &Path) -> Result<()> {
        let numbers = |numbers: &mut dyn Iterator<Item = usize>| -> Vec<u64> {
            numbers.map(|number| number as u64).collect()
        };
        let columns = vec![
            Column::new("row".into(), numbers(&mut (0..self.ids.len()))),
            Column::new("id".into(), &self.ids),
            Column::new("fold".into(), numbers(&mut self.fold_of.iter().copied())),
        ];
        write_columns(path, columns)
    }

    pub fn read(path: &Path) -> Result<Self> {
        let table = Table::read(path, &["row", "id", "fold"])?;
        let number = |cell: &str| cell.parse::<usize>().ok();
        let rows = table.parse(0, number)?;
        if let Some(row) = (0..rows.len()).find(|&row| rows[row] != row) {
            return Err(damaged(path, format!("row {row} has the number {}", rows[row])));
        }
        Ok(Self {
            ids: table.parse(1, |id| Some(id.to_owned()))?,
            fold_of: table.parse(2, number)?,
        })
    }
}

/// Writes a file of probabilities, whose ids have the name `id`.
pub fn write_probabilities(
    path: &Path,
    labels: &LabelSet,
    ids: &[String],
    rows: &Probabilities,
) -> Result<()> {
    write_atomically(path, |output| {
        let begun = (&[ID][..], Cells::Probabilities, Header::Yes);
        let mut table = LabelTable::begin(output, CSV, begun, labels)?;
        table.probabilities(&[ids], rows)?;
        table.finish()
    })
}

/// Writes a file of decisions. `id` is the name of the ids.
pub fn write_decisions(
    path: &Path,
    id: &str,
    labels: &LabelSet,
    ids: &[String],
    rows: &Grid<bool>,
) -> Result<()> {
    write_atomically(path, |output| {
        let begun = (&[id][..], Cells::Decisions, Header::Yes);
        let mut table = LabelTable::begin(output, CSV, begun, labels)?;
        table.decisions(&[ids], rows)?;
        table.finish()
    })
}

/// Reads the ids and probabilities of a file that has these labels in this order.
pub fn read_probabilities(path: &Path, labels: &LabelSet) -> Result<(Vec<String>, Probabilities)> {
    read_label_table(path, labels, |cell| {
        cell.parse().ok().filter(|probability| (0.0..=1.0).contains(probability))
    })
}

/// Reads the ids and decisions of a file that has these labels in this order.
pub fn read_decisions(path: &Path, labels: &LabelSet) -> Result<(Vec<String>, Grid<bool>)> {
    read_label_table(path, labels, |cell| match cell {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    })
}

impl ThresholdTable {
    pub fn write(&self, path: &Path) -> Result<()> {
        let thresholds = self.thresholds.values().to_vec();
        write_json(path, &ThresholdFile { labels: self.labels.clone(), thresholds })
    }

    pub fn read(path: &Path) -> Result<Self> {
        let ThresholdFile { labels, thresholds } = read_json(path)?;
        let thresholds =
            Thresholds::new(thresholds, labels.len()).map_err(|error| damaged(path, error))?;
        Ok(Self { labels, thresholds })
    }
}

#[derive(Serialize, Deserialize)]
struct ThresholdFile {
    labels: LabelSet,
    thresholds: Vec<f64>,
}

/// Writes a table of `columns` with a header.
pub fn write_columns(path: &Path, columns: Vec<Column>) -> Result<()> {
    write_atomically(path, |output| write_csv(output, columns, Header::Yes, b','))
}

/// The cells of a table as text, after its header was checked.
struct Table<'a> {
    path: &'a Path,
    header: &'a [&'a str],
    cells: DataFrame,
}

impl<'a> Table<'a> {
    fn read(path: &'a Path, header: &'a [&'a str]) -> Result<Self> {
        let bytes = read(path)?;
        if bytes.last() != Some(&b'\n') {
            return Err(damaged(path, "its last line is cut off"));
        }
        // The header is read as a row: polars unquotes rows but not names, and renames equal names.
        let schema =
            (0..header.len()).map(|column| Field::new(column.to_string().into(), DataType::String));
        let options = CsvReadOptions::default()
            .with_has_header(false)
            .with_schema(Some(Arc::new(Schema::from_iter(schema))))
            .with_rechunk(true);
        let cells = CsvReader::new(Cursor::new(bytes))
            .with_options(options)
            .finish()
            .map_err(|error| damaged(path, error))?;
        let table = Self { path, header, cells };
        for (column, &name) in header.iter().enumerate() {
            if table.text(column)?.get(0) != Some(name) {
                return Err(damaged(path, format!("column {} is not `{name}`", column + 1)));
            }
        }
        Ok(table)
    }

    fn text(&self, column: usize) -> Result<&StringChunked> {
        Ok(self.cells.columns()[column].str()?)
    }

    /// The values of a column below the header. A cell that `parse` rejects is an error.
    fn parse<T>(&self, column: usize, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let wrong = |row: usize, cell: Option<&str>| {
            let found = cell.map_or_else(|| "missing".to_owned(), |cell| format!("`{cell}`"));
            damaged(self.path, format!("`{}` of row {row} is {found}", self.header[column]))
        };
        let cells = self.text(column)?.iter().enumerate().skip(1);
        cells.map(|(row, cell)| cell.and_then(&parse).ok_or_else(|| wrong(row, cell))).collect()
    }
}

fn read_label_table<T: Copy>(
    path: &Path,
    labels: &LabelSet,
    cell: impl Fn(&str) -> Option<T>,
) -> Result<(Vec<String>, Grid<T>)> {
    let header: Vec<&str> =
        std::iter::once(ID).chain(labels.names().iter().map(String::as_str)).collect();
    let table = Table::read(path, &header)?;
    let ids = table.parse(0, |id| Some(id.to_owned()))?;
    let columns: Vec<Vec<T>> =
        (1..header.len()).map(|column| table.parse(column, &cell)).collect::<Result<_>>()?;
    let values = (0..ids.len()).flat_map(|row| columns.iter().map(move |column| column[row]));
    Ok((ids, Grid::new(labels.len(), values.collect())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::error::UserError;
    use crate::evaluation::threshold_search::candidates;

    fn labels(number: usize) -> LabelSet {
        let names = ["joy", "anger, mild", "\"fear\"", "überraschung"];
        LabelSet::new(names[..number].iter().map(ToString::to_string).collect()).unwrap()
    }

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        (folder, path)
    }

    fn damage(result: Result<impl std::fmt::Debug>) -> String {
        let error = result.expect_err("damaged");
        let error = error.downcast_ref::<UserError>().expect("with a remedy");
        assert!(error.remedy().unwrap().contains("train --resume"));
        error.to_string()
    }

    #[test]
    fn a_submission_by_hand() {
        let (_folder, path) = file();
        let ids = ["7", "a,b", "say \"x\"", "two\nlines", ""].map(str::to_owned);
        let rows = Grid::new(2, [true, false].repeat(5));
        write_decisions(&path, ID, &labels(2), &ids, &rows).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "id,joy,\"anger, mild\"\n7,1,0\n\"a,b\",1,0\n\"say \"\"x\"\"\",1,0\n\
             \"two\nlines\",1,0\n\"\",1,0\n"
        );
        assert_eq!(read_decisions(&path, &labels(2)).unwrap(), (ids.to_vec(), rows));
    }

    #[test]
    fn a_table_in_parts_is_the_table_in_one() {
        let ids = ["a", "b", "c"].map(str::to_owned);
        let rows = Grid::new(1, vec![0.25, 1e-7, 1.0]);
        let labels = labels(1);
        let keys = (&[ID][..], Cells::Probabilities, Header::Yes);
        let begin = |output| LabelTable::begin(output, CSV, keys, &labels).unwrap();
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        let mut table = begin(&mut whole);
        table.probabilities(&[&ids], &rows).unwrap();
        table.finish().unwrap();
        let mut table = begin(&mut parts);
        table.probabilities(&[&ids[..2]], &rows.select(&[0, 1])).unwrap();
        table.probabilities(&[&[]], &rows.select(&[])).unwrap();
        table.probabilities(&[&ids[2..]], &rows.select(&[2])).unwrap();
        table.finish().unwrap();
        assert_eq!(parts, whole);
        assert_eq!(String::from_utf8(whole).unwrap(), "id,joy\na,0.25\nb,1e-7\nc,1.0\n");
    }

    #[test]
    fn every_threshold_of_the_search_reads_back_to_the_bit() {
        let (_folder, path) = file();
        for threshold in candidates() {
            let table = ThresholdTable {
                labels: labels(3),
                thresholds: Thresholds::uniform(threshold, 3).unwrap(),
            };
            table.write(&path).unwrap();
            assert_eq!(ThresholdTable::read(&path).unwrap(), table);
        }
    }

    #[test]
    fn thresholds_that_are_none_are_refused() {
        let (_folder, path) = file();
        for file in [
            r#"{"labels": ["a"], "thresholds": [1.5]}"#,
            r#"{"labels": ["a"], "thresholds": [0.5, 0.5]}"#,
            r#"{"labels": ["a", "a"], "thresholds": [0.5, 0.5]}"#,
            r#"{"labels": ["a"]}"#,
        ] {
            fs::write(&path, file).unwrap();
            assert!(damage(ThresholdTable::read(&path)).contains("is damaged: "));
        }
    }

    #[test]
    fn what_is_wrong_in_a_table_is_named() {
        let (_folder, path) = file();
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            damage(read_probabilities(&path, &labels(1)))
        };
        assert!(read("").contains("cut off"));
        assert!(read("id,joy\na,0.5\nb,0.2").contains("cut off"));
        assert!(read("id,joy\na,0.5\nb\n").contains("`joy` of row 2 is missing"));
        assert!(read("id,joy\na,0.5\nb,x\n").contains("`joy` of row 2 is `x`"));
        assert!(read("id,joy\na,1.5\n").contains("`joy` of row 1 is `1.5`"));
        assert!(read("id,joy\na,NaN\n").contains("`joy` of row 1 is `NaN`"));
        assert!(read("id,fear\na,0.5\n").contains("column 2 is not `joy`"));
        assert!(read("id,joy\na,0.5,0.5\n").contains("is damaged: "));
        assert!(read("id,joy\n\"a,0.5\n").contains("is damaged: "));
        fs::write(&path, b"id,joy\n\xff,0.5\n").unwrap();
        assert!(damage(read_probabilities(&path, &labels(1))).contains("is damaged: "));

        fs::write(&path, "row,id,fold\n0,a,1\n2,b,0\n").unwrap();
        assert!(damage(FoldTable::read(&path)).contains("row 1 has the number 2"));
        fs::write(&path, "row,id,fold\n0,a,-1\n").unwrap();
        assert!(damage(FoldTable::read(&path)).contains("`fold` of row 1 is `-1`"));
    }

    #[test]
    fn a_file_that_is_not_there_is_a_users_mistake() {
        let (_folder, path) = file();
        let error = FoldTable::read(&path).unwrap_err();
        let error = error.downcast_ref::<UserError>().unwrap();
        assert!(error.to_string().ends_with("table.csv` does not exist"), "{error}");
    }

    /// Large enough that polars cuts it into pieces, at places that may lie within quotes.
    #[test]
    fn a_large_table_of_awkward_ids_reads_back() {
        let (_folder, path) = file();
        let rows = 200_000;
        let ids = (0..rows).map(|row| format!("{}\"\n,\"{row}", "\n".repeat(row % 7))).collect();
        let fold_of = (0..rows).map(|row| row % 5).collect();
        let table = FoldTable { ids, fold_of };
        table.write(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 1 << 20);
        assert!(FoldTable::read(&path).unwrap() == table);
    }

    /// Ids of all kinds; a quarter of the characters are those that CSV treats specially.
    fn id() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            3 => any::<char>(),
            1 => proptest::sample::select(vec![',', '"', '\n', '\r', ' ', '\'', '#']),
        ];
        proptest::collection::vec(character, 0..6).prop_map(String::from_iter)
    }

    /// Every f32 from 0 to 1, the small ones as often as the large.
    fn probability() -> impl Strategy<Value = f32> {
        (0..=1f32.to_bits()).prop_map(f32::from_bits)
    }

    proptest! {
        #[test]
        fn folds_read_back(rows in proptest::collection::vec((id(), 0..5usize), 0..30)) {
            let (_folder, path) = file();
            let (ids, fold_of) = rows.into_iter().unzip();
            let table = FoldTable { ids, fold_of };
            table.write(&path).unwrap();
            prop_assert_eq!(FoldTable::read(&path).unwrap(), table);
        }

        #[test]
        fn probabilities_read_back_to_the_bit(
            rows in proptest::collection::vec((id(), [probability(), probability(), probability(), probability()]), 0..30)
        ) {
            let (_folder, path) = file();
            let (ids, values): (Vec<String>, Vec<[f32; 4]>) = rows.into_iter().unzip();
            let probabilities = Grid::new(4, values.concat());
            write_probabilities(&path, &labels(4), &ids, &probabilities).unwrap();
            let (read_ids, read) = read_probabilities(&path, &labels(4)).unwrap();
            prop_assert_eq!(read_ids, ids);
            let bits = |grid: &Probabilities| -> Vec<u32> {
                grid.rows().flatten().map(|probability| probability.to_bits()).collect()
            };
            prop_assert_eq!(bits(&read), bits(&probabilities));
        }
    }
}
