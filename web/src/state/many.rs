//! Many texts at once: pasted lines or a CSV file, a table of answers, and the table as a file.

use shared::bundle::TextAnswer;

use super::batches::{Answered, Batches};
use super::{Effect, Ensemble, State};
use crate::texts_file::{self, Problem, TextsFile};
use crate::words::counted;

/// Texts a request: progress a few times a second, and work enough to be worth a message.
const BATCH: usize = 16;

/// Larger files are work for `native-train predict`.
pub const LARGEST_FILE: u64 = 20_000_000;

#[derive(Debug, Clone, Default)]
pub struct Many {
    /// What stands in the box, one text a line.
    pub lines: String,
    /// The file that was chosen; it comes before the lines.
    pub file: Option<TextsFile>,
    pub problem: Option<Problem>,
    pub job: Job,
    /// What the last chosen file is called, while it is being read.
    file_name: String,
}

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
    ids: Option<Vec<String>>,
    rows: Vec<Option<Row>>,
    answered: usize,
    batches: Batches,
}

/// What the ensemble says about one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub probabilities: Vec<f32>,
    pub is_on: Vec<bool>,
    pub truncated: bool,
}

#[derive(Debug, Clone)]
pub enum ManyEvent {
    LinesChanged(String),
    FileChosen { name: String, bytes: u64 },
    FileRead { content: Vec<u8> },
    FileUnreadable { reason: String },
    FileDropped,
    Run,
    Cancel,
    Download,
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
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn answered(&self) -> usize {
        self.answered
    }

    pub fn texts(&self) -> &[String] {
        self.batches.texts()
    }

    pub fn rows(&self) -> &[Option<Row>] {
        &self.rows
    }

    fn put(&mut self, answered: Vec<Answered>, ensemble: &Ensemble) {
        for Answered { index, probabilities, truncated } in answered {
            let is_on = ensemble.thresholds.apply(&probabilities).collect();
            self.rows[index] = Some(Row { probabilities, is_on, truncated });
            self.answered += 1;
        }
    }
}

impl Many {
    pub fn is_asking(&self, request: u32) -> bool {
        matches!(&self.job, Job::Running(table) if table.batches.is_asking(request))
    }

    /// How many texts a run would classify.
    pub fn text_count(&self) -> usize {
        match &self.file {
            Some(file) => file.texts.len(),
            None => texts_file::lines(&self.lines).count(),
        }
    }
}

pub fn update(state: &mut State, event: ManyEvent) -> Vec<Effect> {
    let many = &mut state.many;
    match event {
        ManyEvent::LinesChanged(lines) => {
            many.lines = lines;
            many.problem = None;
            Vec::new()
        }
        ManyEvent::FileChosen { name, bytes } => {
            many.file = None;
            many.problem = (bytes > LARGEST_FILE).then(|| Problem::too_large(&name, bytes));
            many.file_name = name;
            if many.problem.is_some() { Vec::new() } else { vec![Effect::ReadFile] }
        }
        ManyEvent::FileRead { content } => {
            match texts_file::read(&many.file_name, &content) {
                Ok(file) => many.file = Some(file),
                Err(problem) => many.problem = Some(problem),
            }
            Vec::new()
        }
        ManyEvent::FileUnreadable { reason } => {
            many.problem = Some(Problem::unreadable(&many.file_name, &reason));
            Vec::new()
        }
        ManyEvent::FileDropped => {
            many.file = None;
            many.problem = None;
            Vec::new()
        }
        ManyEvent::Run => run(state),
        ManyEvent::Cancel => cancel(state),
        ManyEvent::Download => download(state),
    }
}

fn run(state: &mut State) -> Vec<Effect> {
    let Some(ensemble) = state.model.ensemble.as_ref().filter(|_| state.model.can_do_jobs()) else {
        return Vec::new();
    };
    let many = &mut state.many;
    let (ids, texts) = match &many.file {
        Some(file) => (file.ids.clone(), file.texts.clone()),
        None => (None, texts_file::lines(&many.lines).map(str::to_owned).collect()),
    };
    if texts.is_empty() || many.job.is_running() {
        return Vec::new();
    }
    let rows = vec![None; texts.len()];
    let mut batches = Batches::new(texts, BATCH, ensemble.folds);
    let effects = batches.send(&mut state.requests);
    many.job = Job::Running(Table { ids, rows, answered: 0, batches });
    effects
}

fn cancel(state: &mut State) -> Vec<Effect> {
    match std::mem::take(&mut state.many.job) {
        Job::Running(mut table) => {
            let effects = table.batches.cancel();
            let (answered, all) = (table.answered, table.len());
            state.status = format!("Stopped after {answered} of {all} texts.");
            state.many.job = Job::Stopped(table);
            effects
        }
        other => {
            state.many.job = other;
            Vec::new()
        }
    }
}

pub fn take(state: &mut State, request: u32, fold: usize, answers: Vec<TextAnswer>) -> Vec<Effect> {
    if let Job::Running(table) = &mut state.many.job {
        table.batches.take(request, fold, answers);
    }
    settle(state)
}

/// Moves what is answered into the table and sends more.
/// A batch waits for word embeddings: the next goes past it.
pub fn note_rare_words(state: &mut State, request: u32) -> Vec<Effect> {
    let Job::Running(table) = &mut state.many.job else { return Vec::new() };
    table.batches.note_rare_words(request);
    settle(state)
}

pub fn settle(state: &mut State) -> Vec<Effect> {
    let expected = state.model.expected_folds();
    let Some(ensemble) = &state.model.ensemble else { return Vec::new() };
    let Job::Running(table) = &mut state.many.job else { return Vec::new() };
    let answered = table.batches.settle(&expected);
    table.put(answered, ensemble);
    let effects = table.batches.send(&mut state.requests);
    if table.batches.is_done()
        && let Job::Running(table) = std::mem::take(&mut state.many.job)
    {
        state.status = format!("{} classified.", counted(table.len(), "text"));
        state.many.job = Job::Done(table);
    }
    effects
}

fn download(state: &State) -> Vec<Effect> {
    let (Some(ensemble), Some(table)) = (&state.model.ensemble, state.many.job.table()) else {
        return Vec::new();
    };
    let content = texts_file::write(
        ensemble.labels.names(),
        table.ids.as_deref(),
        table.texts(),
        table.rows(),
    );
    vec![Effect::Download { name: "quintet.csv".to_owned(), content }]
}
