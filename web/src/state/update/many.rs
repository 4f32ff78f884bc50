//! Changes of the table of many texts: choosing them, classifying them, choosing and sorting rows, saving the table.

use std::sync::Arc;

use shared::bundle::TextAnswer;
use shared::words::counted;

use crate::state::batches::Batches;
use crate::state::bundle_summary::BundleSummary;
use crate::state::effect::Effect;
use crate::state::event::ManyEvent;
use crate::state::many::{Job, Many, Reading};
use crate::state::page::State;
use crate::state::table::Table;
use crate::texts_file::{self, LARGEST_FILE, Problem};

/// Texts in a request: few enough that the table grows several times a second.
const BATCH: usize = 16;

pub fn update(state: &mut State, event: ManyEvent) -> Vec<Effect> {
    let many = &mut state.many;
    match event {
        ManyEvent::LinesChanged(lines) => {
            many.set_lines(lines);
            many.problem = None;
        }
        ManyEvent::FileChosen { name, bytes } => return choose_file(many, name, bytes),
        ManyEvent::FileProgress { file, received } if many.is_reading(file) => {
            if let Some(reading) = &mut many.reading {
                reading.received = received;
            }
        }
        ManyEvent::FileRead { file, outcome } if many.is_reading(file) => {
            many.reading = None;
            match outcome {
                Ok(file) => many.file = Some(file),
                Err(problem) => many.problem = Some(problem),
            }
        }
        // Of a file that is not wanted any more.
        ManyEvent::FileProgress { .. } | ManyEvent::FileRead { .. } => {}
        ManyEvent::FileRemoved => (many.file, many.reading, many.problem) = (None, None, None),
        ManyEvent::Run => return run(state),
        ManyEvent::Cancel => return cancel(state),
        ManyEvent::Filtered(filter) => {
            change_table(state, |table, bundle| table.choose(filter, bundle));
        }
        ManyEvent::SortedBy(key) => change_table(state, |table, bundle| table.sort_by(key, bundle)),
        ManyEvent::Download => {
            let has_table = state.many.job.table().is_some();
            return has_table.then_some(Effect::SaveTable).into_iter().collect();
        }
    }
    Vec::new()
}

fn choose_file(many: &mut Many, name: String, bytes: u64) -> Vec<Effect> {
    many.file_count += 1;
    (many.file, many.reading, many.problem) = (None, None, None);
    if bytes > LARGEST_FILE {
        many.problem = Some(Problem::too_large(&name, bytes));
        return Vec::new();
    }
    many.reading = Some(Reading { name, received: 0 });
    vec![Effect::ReadFile { file: many.file_count }]
}

fn change_table(state: &mut State, change: impl FnOnce(&mut Table, &BundleSummary)) {
    if let (Some(table), Some(bundle)) = (state.many.job.table_mut(), &state.model.bundle) {
        change(table, bundle);
    }
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
        None => (None, Arc::new(texts_file::lines(&many.lines).collect())),
    };
    many.table_count += 1;
    let batches = Batches::new(texts.len(), BATCH, bundle.folds, state.model.for_jobs());
    let mut table = Table::new(many.table_count, ids, texts, batches, bundle.labels.len());
    let mut effects = table.send(&mut state.requests);
    many.job = Job::Running(table);
    // The row that it is about has gone.
    if state.explanation.row().is_some() {
        effects.extend(state.explanation.close());
    }
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
    let effects = table.send(&mut state.requests);
    if table.batches.is_done()
        && let Job::Running(table) = std::mem::take(&mut state.many.job)
    {
        state.status = format!("{} classified.", counted(table.len(), "text"));
        state.many.job = Job::Done(table);
    }
    effects
}
