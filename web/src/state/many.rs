//! The state of many texts at once: the lines or the file, and the table of answers.

use std::sync::Arc;

use super::batches::{Answered, Batches};
use super::bundle_summary::BundleSummary;
use crate::models::Models;
use crate::texts_file::{self, Problem, Row, TextsFile};

/// Bytes of the largest file; `native-train predict` is for larger ones.
pub const LARGEST_FILE: u64 = 20_000_000;

/// The texts to classify and their table.
#[derive(Debug, Clone, Default)]
pub struct Many {
    /// The content of the box, one text per line. It may have thousands of lines, and components compare
    /// it after every event: an `Arc` of the same allocation is equal at once.
    pub lines: Arc<String>,
    /// The number of texts in `lines`.
    line_count: usize,
    /// The chosen file; its texts are classified instead of the lines.
    pub file: Option<TextsFile>,
    pub problem: Option<Problem>,
    pub job: Job,
    /// The name of the file that was chosen last.
    pub(super) file_name: String,
}

/// The table and whether it is still being filled.
#[derive(Debug, Clone, Default)]
pub enum Job {
    #[default]
    Idle,
    Running(Table),
    Stopped(Table),
    Done(Table),
}

/// The texts of a job and the answers so far.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) ids: Option<Vec<String>>,
    rows: Vec<Option<Row>>,
    answered: usize,
    pub(super) batches: Batches,
}

impl Job {
    pub fn table(&self) -> Option<&Table> {
        match self {
            Self::Idle => None,
            Self::Running(table) | Self::Stopped(table) | Self::Done(table) => Some(table),
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }
}

impl Table {
    pub fn new(ids: Option<Vec<String>>, batches: Batches) -> Self {
        Self { ids, rows: vec![None; batches.texts().len()], answered: 0, batches }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of texts that have an answer.
    pub fn answered(&self) -> usize {
        self.answered
    }

    pub fn texts(&self) -> &[String] {
        self.batches.texts()
    }

    /// The models that answer.
    pub fn models(&self) -> Models {
        self.batches.models()
    }

    pub fn rows(&self) -> &[Option<Row>] {
        &self.rows
    }

    /// Fills in the rows of the texts that all of the `expected` models have answered.
    pub fn settle(&mut self, expected: &[usize], bundle: &BundleSummary) {
        for Answered { index, probabilities, truncated } in self.batches.settle(expected) {
            let is_on = bundle.thresholds.apply(&probabilities).collect();
            self.rows[index] = Some(Row { probabilities, is_on, truncated });
            self.answered += 1;
        }
    }
}

impl Many {
    pub fn set_lines(&mut self, lines: String) {
        self.line_count = texts_file::lines(&lines).count();
        self.lines = Arc::new(lines);
    }

    pub fn is_asking(&self, request: u32) -> bool {
        matches!(&self.job, Job::Running(table) if table.batches.is_asking(request))
    }

    /// The number of texts that a run would classify.
    pub fn text_count(&self) -> usize {
        self.file.as_ref().map_or(self.line_count, |file| file.texts.len())
    }
}
