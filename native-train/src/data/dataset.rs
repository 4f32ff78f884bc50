//! A labelled file: ids, texts, and a 0 or 1 for each label.

use std::path::Path;

use anyhow::Result;
use shared::LabelSet;

use super::columns::{FileOptions, Unlabelled};
use super::label_columns::{LabelChoice, LabelColumns, LabelRule};
use super::texts::{TextStream, Texts, repeated_ids};
use super::warning::{Tally, Warning};
use crate::error::UserError;
use crate::grid::Targets;

const CHUNK_ROWS: usize = 8192;

/// Texts with labels; row `i` of each field belongs to the same text.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub ids: Vec<String>,
    pub texts: Vec<String>,
    pub labels: LabelSet,
    pub targets: Targets,
}

/// A data set, and what was found in its file.
#[derive(Debug)]
pub struct Loaded {
    pub dataset: Dataset,
    pub text_column: String,
    /// `None` if the ids are the row numbers from 0.
    pub id_column: Option<String>,
    pub label_rule: LabelRule,
    pub warnings: Vec<Warning>,
}

impl Dataset {
    /// Reads a labelled file.
    ///
    /// # Errors
    /// If the file or a column is missing, a record is malformed, or a label is not 0 or 1.
    pub fn read(path: &Path, options: &FileOptions, labels: LabelChoice) -> Result<Loaded> {
        Self::collect(TextStream::open(path, options)?, options.unlabelled, labels)
    }

    /// Reads the rest of a labelled file.
    ///
    /// # Errors
    /// If a label column is missing, a record is malformed, or a label is not 0 or 1.
    pub fn collect(
        mut stream: TextStream,
        unlabelled: Unlabelled,
        labels: LabelChoice,
    ) -> Result<Loaded> {
        let mut search = LabelColumns::new(stream.reader(), stream.columns(), labels)?;
        let mut inputs = Texts::default();
        let mut skipped = Tally::default();
        while let Some((texts, chunk)) = stream.next_with_values(CHUNK_ROWS)? {
            let is_skipped = |row: &usize| {
                unlabelled == Unlabelled::Skipped && search.is_unlabelled(&chunk, *row)
            };
            let (left_out, rows): (Vec<usize>, Vec<usize>) = (0..chunk.len()).partition(is_skipped);
            left_out.iter().for_each(|&row| skipped.note(chunk.lines()[row]));
            search.take(&chunk, &rows)?;
            inputs.append(texts.select(&rows));
        }
        let (labels, targets, label_rule) = search.finish(stream.reader())?;
        let mut warnings = stream.warnings();
        let file = || stream.file().to_owned();
        if !skipped.is_empty() {
            warnings.push(Warning::Unlabelled { file: file(), lines: skipped });
        }
        if let LabelRule::Emotions { others } = &label_rule
            && !others.is_empty()
        {
            let (labels, others) = (labels.names().to_vec(), others.clone());
            warnings.push(Warning::OtherLabels { file: file(), labels, others });
        }
        warnings.extend(repeated_ids(&inputs.ids, stream.file()));
        let name = |index: usize| stream.reader().header()[index].clone();
        Ok(Loaded {
            text_column: name(stream.columns().text),
            id_column: stream.columns().id.map(name),
            dataset: Self { ids: inputs.ids, texts: inputs.texts, labels, targets },
            label_rule,
            warnings,
        })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Checks that the labels differ between rows, and warns of each label that does not.
    ///
    /// # Errors
    /// If all rows have the same labels.
    pub fn check_classes(&self) -> Result<Vec<Warning>> {
        let constant: Vec<Warning> = self
            .labels
            .names()
            .iter()
            .enumerate()
            .filter_map(|label| self.constant(label))
            .collect();
        if constant.len() < self.labels.len() {
            return Ok(constant);
        }
        Err(UserError::new(format!("all {} rows have the same labels", self.len()))
            .hint("add rows with other labels: a label is learned from rows that have it and rows that do not")
            .into())
    }

    fn constant(&self, (index, name): (usize, &String)) -> Option<Warning> {
        let mut values = self.targets.column(index);
        let value = values.next()?;
        values
            .all(|other| other == value)
            .then(|| Warning::ConstantLabel { label: name.clone(), value })
    }
}

#[cfg(test)]
mod tests;
