//! The state of many texts at once: the lines or the file, and the table of answers.

use std::sync::Arc;

use super::table::Table;
use crate::texts_file::{self, Problem, TextsFile};

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
    /// The file that is being read.
    pub reading: Option<Reading>,
    pub problem: Option<Problem>,
    pub job: Job,
    /// The number of files chosen so far: news of an earlier one is ignored.
    pub(super) file_count: u32,
    /// The number of tables so far.
    pub(super) table_count: u32,
}

/// A file that is being read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub name: String,
    /// The bytes of text so far.
    pub received: u64,
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

impl Job {
    pub fn table(&self) -> Option<&Table> {
        match self {
            Self::Idle => None,
            Self::Running(table) | Self::Stopped(table) | Self::Done(table) => Some(table),
        }
    }

    pub(super) fn table_mut(&mut self) -> Option<&mut Table> {
        match self {
            Self::Idle => None,
            Self::Running(table) | Self::Stopped(table) | Self::Done(table) => Some(table),
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }
}

impl Many {
    pub fn set_lines(&mut self, lines: String) {
        self.line_count = texts_file::lines(&lines).count();
        self.lines = Arc::new(lines);
    }

    /// Whether the file of this number is being read.
    pub fn is_reading(&self, file: u32) -> bool {
        self.reading.is_some() && self.file_count == file
    }

    pub fn is_asking(&self, request: u32) -> bool {
        matches!(&self.job, Job::Running(table) if table.batches.is_asking(request))
    }

    /// The number of texts that a run would classify.
    pub fn text_count(&self) -> usize {
        self.file.as_ref().map_or(self.line_count, |file| file.texts.len())
    }
}
