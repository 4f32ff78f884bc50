//! A labelled file: ids, texts, and a 0 or 1 for each label, or a probability.

use std::path::Path;

use anyhow::Result;
use shared::LabelSet;

use super::chunk::Chunk;
use super::columns::{FileOptions, Unlabelled, index_of};
use super::label_columns::{LabelChoice, LabelColumns, LabelRule, Labels};
use super::label_lists::LabelLists;
use super::label_values::LabelValues;
use super::texts::{TextStream, Texts, repeated_ids};
use super::warning::{Tally, Warning};
use crate::digest::Digest;
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

    /// A digest of the labels' names, and of the rows' ids, texts and labels.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        digest.texts(self.labels.names());
        digest.texts(&self.ids);
        digest.texts(&self.texts);
        self.targets.rows().for_each(|row| digest.bytes(row));
        if let Some(soft) = &self.soft_targets {
            soft.rows().flatten().for_each(|value| digest.bytes(&value.to_le_bytes()));
        }
        digest.finish()
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
        stream.need_all()?;
        let (mut search, decided) = Search::new(&stream, options, labels)?;
        let mut inputs = Texts::default();
        let mut skipped = Tally::default();
        while let Some((texts, chunk)) = stream.next_with_values(CHUNK_ROWS)? {
            let unlabelled = match options.unlabelled {
                Unlabelled::Skipped => search.unlabelled(&chunk),
                Unlabelled::Refused => vec![false; chunk.len()],
            };
            let (left_out, rows): (Vec<usize>, Vec<usize>) =
                (0..chunk.len()).partition(|&row| unlabelled[row]);
            left_out.iter().for_each(|&row| skipped.note(chunk.numbers()[row]));
            search.take(&chunk, &rows)?;
            inputs.append(texts.select(&rows));
        }
        let (found, left_out) = search.finish(&stream)?;
        let Labels { set: labels, targets, soft_targets, rule: label_rule } = found;
        let mut warnings = stream.warnings();
        warnings.extend(decided.into_iter().chain(left_out));
        let file = || stream.file().to_owned();
        if !skipped.is_empty() {
            warnings.push(Warning::Unlabelled {
                file: file(),
                rows: skipped,
                unit: stream.table().unit(),
            });
        }
        if let LabelRule::Emotions { others } = &label_rule
            && !others.is_empty()
        {
            let (labels, others) = (labels.names().to_vec(), others.clone());
            warnings.push(Warning::OtherLabels { file: file(), labels, others, values });
        }
        warnings.extend(repeated_ids(&inputs.ids, stream.file()));
        let name = |index: usize| stream.table().header()[index].clone();
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

/// The search for labels: each has a column, or all are in the lists of one.
enum Search {
    Columns(LabelColumns),
    Lists(LabelLists),
}

impl Search {
    /// The search that `options` ask for, and what was decided if a run's labels lie otherwise in this file.
    fn new(
        stream: &TextStream,
        options: &FileOptions,
        choice: LabelChoice,
    ) -> Result<(Self, Option<Warning>)> {
        let (table, inputs, values) = (stream.table(), stream.columns(), options.label_values);
        let of_columns = || LabelColumns::new(table, inputs, choice, values).map(Self::Columns);
        let Some(name) = &options.label_list_column else { return Ok((of_columns()?, None)) };
        if let LabelChoice::OfRun(labels) = choice
            && matches!(index_of(table, name), Ok(None))
            && stream.has_columns(labels)
        {
            let what = format!("no column is named `{name}`, so each label is read from its own");
            let decided = Warning::Decided { file: stream.file().to_owned(), what };
            return Ok((of_columns()?, Some(decided)));
        }
        if values == LabelValues::Probabilities {
            let message = "`--soft-labels` does not go with `--label-list-column`";
            let hint = "a list only says which labels a text has; give each label a column of probabilities";
            return Err(UserError::new(message).hint(hint).into());
        }
        Ok((Self::Lists(LabelLists::new(table, inputs, name, choice)?), None))
    }

    /// Tells for each row of a chunk whether no one has labelled it.
    fn unlabelled(&self, chunk: &Chunk) -> Vec<bool> {
        match self {
            Self::Columns(columns) => columns.unlabelled(chunk),
            Self::Lists(lists) => {
                (0..chunk.len()).map(|row| lists.is_unlabelled(chunk, row)).collect()
            }
        }
    }

    fn take(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        match self {
            Self::Columns(columns) => columns.take(chunk, rows),
            Self::Lists(lists) => lists.take(chunk, rows),
        }
    }

    /// The labels, and a warning if some are left out.
    fn finish(self, stream: &TextStream) -> Result<(Labels, Option<Warning>)> {
        match self {
            Self::Columns(columns) => Ok((columns.finish(stream.table())?, None)),
            Self::Lists(lists) => lists.finish(),
        }
    }
}

/// The value, if all are the same.
fn the_only<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests;
