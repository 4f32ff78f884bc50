//! Changes of the table of many texts: choosing them, classifying them, saving the table.

use shared::bundle::TextAnswer;
use shared::words::counted;

use crate::state::batches::Batches;
use crate::state::effect::Effect;
use crate::state::event::ManyEvent;
use crate::state::many::{Job, LARGEST_FILE, Table};
use crate::state::page::State;
use crate::texts_file::{self, Problem};

/// Texts in a request: few enough that the table grows several times a second.
const BATCH: usize = 16;

pub fn update(state: &mut State, event: ManyEvent) -> Vec<Effect> {
    let many = &mut state.many;
    match event {
        ManyEvent::LinesChanged(lines) => {
            many.set_lines(lines);
            many.problem = None;
        }
        ManyEvent::FileChosen { name, bytes } => {
            many.file = None;
            many.problem = (bytes > LARGEST_FILE).then(|| Problem::too_large(&name, bytes));
            many.file_name = name;
            if many.problem.is_none() {
                return vec![Effect::ReadFile];
            }
        }
        ManyEvent::FileRead { content } if content.len() as u64 > LARGEST_FILE => {
            many.problem = Some(Problem::too_large(&many.file_name, content.len() as u64));
        }
        ManyEvent::FileRead { content } => match texts_file::read(&many.file_name, &content) {
            Ok(file) => many.file = Some(file),
            Err(problem) => many.problem = Some(problem),
        },
        ManyEvent::FileUnreadable { reason } => {
            many.problem = Some(Problem::unreadable(&many.file_name, &reason));
        }
        ManyEvent::FileRemoved => (many.file, many.problem) = (None, None),
        ManyEvent::Run => return run(state),
        ManyEvent::Cancel => return cancel(state),
        ManyEvent::Download => return download(state),
    }
    Vec::new()
}

fn run(state: &mut State) -> Vec<Effect> {
    let Some(bundle) = state.model.bundle.as_ref().filter(|_| state.model.can_do_jobs()) else {
        return Vec::new();
    };
    let many = &mut state.many;
    if many.text_count() == 0 || many.job.is_running() {
        return Vec::new();
    }
    let (ids, texts) = match &many.file {
        Some(file) => (file.ids.clone(), file.texts.clone()),
        None => (None, texts_file::lines(&many.lines).map(str::to_owned).collect()),
    };
    let mut batches = Batches::new(texts, BATCH, bundle.folds, state.model.for_jobs());
    let effects = batches.send(&mut state.requests);
    many.job = Job::Running(Table::new(ids, batches));
    effects
}

fn cancel(state: &mut State) -> Vec<Effect> {
    match std::mem::take(&mut state.many.job) {
        Job::Running(mut table) => {
            let effects = table.batches.cancel();
            state.status = format!("Stopped after {} of {} texts.", table.answered(), table.len());
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

/// Notes that the request waits for a fold's cold rows, and sends the next batch meanwhile.
pub fn note_needs_cold(state: &mut State, request: u32) -> Vec<Effect> {
    if let Job::Running(table) = &mut state.many.job {
        table.batches.note_needs_cold(request);
    }
    settle(state)
}

/// Moves what every expected model has answered into the table, and sends more.
pub fn settle(state: &mut State) -> Vec<Effect> {
    let Some(bundle) = &state.model.bundle else { return Vec::new() };
    let Job::Running(table) = &mut state.many.job else { return Vec::new() };
    let expected = state.model.expected(table.models());
    table.settle(&expected, bundle);
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
    let Some(table) = state.many.job.table() else { return Vec::new() };
    let labels = state.model.label_names();
    let content = texts_file::write(labels, table.ids.as_deref(), table.texts(), table.rows());
    vec![Effect::Download { name: "quintet.csv".to_owned(), content }]
}
