//! A labelled file: ids, texts, and a 0 or 1 for each label, or a probability.

use std::path::Path;

use anyhow::Result;
use shared::LabelSet;

use super::columns::{FileOptions, Unlabelled};
use super::label_columns::{LabelChoice, LabelColumns, LabelRule, Labels};
use super::texts::{TextStream, Texts, repeated_ids};
use super::warning::{Tally, Warning};
use crate::error::UserError;
use crate::grid::{Probabilities, Targets};

const CHUNK_ROWS: usize = 8192;

/// Texts with labels; row `i` of each field belongs to the same text.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub ids: Vec<String>,
    pub texts: Vec<String>,
    pub labels: LabelSet,
    /// The labels that are scored: soft labels of 0.5 and more count as 1.
    pub targets: Targets,
    /// What is learned, if the labels are soft; else the targets are.
    pub soft_targets: Option<Probabilities>,
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
    /// If the file or a column is missing, a record is malformed, or a label is none of
    /// [`FileOptions::label_values`].
    pub fn read(path: &Path, options: &FileOptions, labels: LabelChoice) -> Result<Loaded> {
        Self::collect(TextStream::open(path, options)?, options, labels)
    }

    /// Reads the rest of a labelled file.
    ///
    /// # Errors
    /// If a label column is missing, a record is malformed, or a label is none of
    /// [`FileOptions::label_values`].
    pub fn collect(
        mut stream: TextStream,
        options: &FileOptions,
        labels: LabelChoice,
    ) -> Result<Loaded> {
        let values = options.label_values;
        let mut search = LabelColumns::new(stream.reader(), stream.columns(), labels, values)?;
        let mut inputs = Texts::default();
        let mut skipped = Tally::default();
        while let Some((texts, chunk)) = stream.next_with_values(CHUNK_ROWS)? {
            let is_skipped = |row: &usize| {
                options.unlabelled == Unlabelled::Skipped && search.is_unlabelled(&chunk, *row)
            };
            let (left_out, rows): (Vec<usize>, Vec<usize>) = (0..chunk.len()).partition(is_skipped);
            left_out.iter().for_each(|&row| skipped.note(chunk.lines()[row]));
            search.take(&chunk, &rows)?;
            inputs.append(texts.select(&rows));
        }
        let Labels { set: labels, targets, soft_targets, rule: label_rule } =
            search.finish(stream.reader())?;
        let mut warnings = stream.warnings();
        let file = || stream.file().to_owned();
        if !skipped.is_empty() {
            warnings.push(Warning::Unlabelled { file: file(), lines: skipped });
        }
        if let LabelRule::Emotions { others } = &label_rule
            && !others.is_empty()
        {
            let (labels, others) = (labels.names().to_vec(), others.clone());
            warnings.push(Warning::OtherLabels { file: file(), labels, others, values });
        }
        warnings.extend(repeated_ids(&inputs.ids, stream.file()));
        let name = |index: usize| stream.reader().header()[index].clone();
        Ok(Loaded {
            text_column: name(stream.columns().text),
            id_column: stream.columns().id.map(name),
            dataset: Self { ids: inputs.ids, texts: inputs.texts, labels, targets, soft_targets },
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

    /// Checks that the labels differ between rows, and warns of each label that does not, or does so only on one
    /// side of 0.5.
    ///
    /// # Errors
    /// If all rows have the same labels.
    pub fn check_classes(&self) -> Result<Vec<Warning>> {
        let labels = || self.labels.names().iter().enumerate();
        let constant: Vec<Warning> = labels().filter_map(|label| self.constant(label)).collect();
        if constant.len() < self.labels.len() {
            let one_sided = labels().filter_map(|label| self.one_sided(label));
            return Ok(constant.into_iter().chain(one_sided).collect());
        }
        Err(UserError::new(format!("all {} rows have the same labels", self.len()))
            .hint("add rows with other labels: a label is learned from rows that have it and rows that do not")
            .into())
    }

    fn constant(&self, (index, name): (usize, &String)) -> Option<Warning> {
        let value = match &self.soft_targets {
            Some(values) => the_only(values.column(index))?.to_string(),
            None => the_only(self.targets.column(index))?.to_string(),
        };
        Some(Warning::ConstantLabel { label: name.clone(), value })
    }

    /// The warning of a soft label that differs between rows, but is scored as if it did not.
    fn one_sided(&self, (index, name): (usize, &String)) -> Option<Warning> {
        let differs = the_only(self.soft_targets.as_ref()?.column(index)).is_none();
        let counts_as = the_only(self.targets.column(index)).filter(|_| differs)?;
        Some(Warning::OneSidedLabel { label: name.clone(), counts_as })
    }
}

/// The value, if all are the same.
fn the_only<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests;
