//! Many texts at once: lines to paste or a file to choose, the progress, and the table of answers.

use std::sync::Arc;

use leptos::ev::{DragEvent, Event as DomEvent};
use leptos::prelude::*;
use shared::words::{bytes, counted};
use web_sys::HtmlInputElement;

use super::many_table::Answers;
use crate::state::{Event, FileReading, ManyEvent};
use crate::store::Store;
use crate::texts_file::Problem;

fn send(store: Store, event: ManyEvent) {
    store.send(Event::Many(event));
}

#[component]
pub fn ManyTexts() -> impl IntoView {
    let store = Store::of_component();
    let lines = store.part(|state| Arc::clone(&state.many.lines));
    let has_file = store.part(|state| state.many.file.is_some());
    view! {
        <details id="many" class="card">
            <summary>
                <h2>"Many texts"</h2>
            </summary>
            <label for="many-text">"One text per line"</label>
            <textarea
                id="many-text"
                rows="4"
                dir="auto"
                autocomplete="off"
                disabled=has_file
                prop:value=move || lines.get().to_string()
                on:input=move |event| {
                    send(store, ManyEvent::LinesChanged(event_target_value(&event)));
                }
            ></textarea>
            <FileChoice />
            <FileProblem />
            <Run />
            <Answers />
        </details>
    }
}

#[component]
fn FileChoice() -> impl IntoView {
    let store = Store::of_component();
    let file = store.part(|state| {
        let file = state.many.file.as_ref()?;
        Some((file.name.clone(), file.column.clone(), file.texts.len(), file.notes.join(" ")))
    });
    let is_over = RwSignal::new(false);
    let choose = move |event: DomEvent| {
        let input: HtmlInputElement = event_target(&event);
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            store.choose_file(file);
        }
        // Without this, choosing the same file again would be no change and send no event.
        input.set_value("");
    };
    let take_dropped = move |event: DragEvent| {
        event.prevent_default();
        is_over.set(false);
        let files = event.data_transfer().and_then(|carried| carried.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            store.choose_file(file);
        }
    };
    let chosen = move |(name, column, texts, notes): (String, Option<String>, usize, String)| {
        let from = column
            .map(|column| format!(" from the column \u{201c}{column}\u{201d}"))
            .unwrap_or_default();
        view! {
            <p id="many-file-name" class="row" data-texts=texts.to_string()>
                {format!("{name}: {}{from}. {notes} ", counted(texts, "text"))}
                <LeaveFile id="many-file-remove" words="Use the lines instead" />
            </p>
        }
    };
    view! {
        <div
            id="many-drop"
            class="drop"
            class:over=is_over
            on:dragover=move |event| {
                event.prevent_default();
                is_over.set(true);
            }
            on:dragleave=move |_| is_over.set(false)
            on:drop=take_dropped
        >
            <label for="many-file">"Or choose or drop a CSV file with a column \u{201c}text\u{201d}"</label>
            <input
                id="many-file"
                type="file"
                accept=".csv,.tsv,.txt,.gz,text/csv,text/tab-separated-values,text/plain,application/gzip"
                on:change=choose
            />
            {move || file.get().map(chosen)}
            <Reading />
        </div>
    }
}

/// The button that does without the file.
#[component]
fn LeaveFile(id: &'static str, words: &'static str) -> impl IntoView {
    let store = Store::of_component();
    view! {
        <button
            id=id
            type="button"
            class="plain"
            on:click=move |_| send(store, ManyEvent::FileRemoved)
        >
            {words}
        </button>
    }
}

/// The bytes of a file that have been read.
#[component]
fn Reading() -> impl IntoView {
    let store = Store::of_component();
    let reading = store.part(|state| state.many.reading.clone());
    let shown = move |reading: FileReading| {
        view! {
            <p id="many-reading" class="row">
                {format!("Reading {}: {} so far\u{2026} ", reading.name, bytes(reading.received))}
                <LeaveFile id="many-reading-stop" words="Stop" />
            </p>
        }
    };
    view! { {move || reading.get().map(shown)} }
}

#[component]
fn FileProblem() -> impl IntoView {
    let store = Store::of_component();
    let problem = store.part(|state| state.many.problem.clone());
    let shown = move |problem: Problem| {
        view! {
            <div id="many-error" class="note error" role="alert">
                <p>
                    <strong>{problem.message}</strong>
                </p>
                <p>{problem.remedy}</p>
            </div>
        }
    };
    view! { {move || problem.get().map(shown)} }
}

#[component]
fn Run() -> impl IntoView {
    let store = Store::of_component();
    let is_running = store.part(|state| state.many.job.is_running());
    view! {
        <div class="row">
            <Show when=move || is_running.get() fallback=|| view! { <Start /> }>
                <Progress />
            </Show>
        </div>
    }
}

#[component]
fn Start() -> impl IntoView {
    let store = Store::of_component();
    let count = store.part(|state| state.many.text_count());
    let can = store.part(|state| state.model.can_do_jobs());
    let words = move || match count.get() {
        0 => "Classify".to_owned(),
        count => format!("Classify {}", counted(count, "text")),
    };
    view! {
        <button
            id="many-run"
            type="button"
            disabled=move || count.get() == 0 || !can.get()
            on:click=move |_| send(store, ManyEvent::Run)
        >
            {words}
        </button>
        <Show when=move || !can.get()>
            <p class="quiet">"Available once the models are loaded."</p>
        </Show>
    }
}

#[component]
fn Progress() -> impl IntoView {
    let store = Store::of_component();
    let done = store.part(|state| {
        state.many.job.table().map_or((0, 1), |table| (table.answered(), table.len()))
    });
    view! {
        <div class="grow">
            <label for="many-progress">
                {move || {
                    let (answered, all) = done.get();
                    format!("{answered} of {all} texts")
                }}
            </label>
            <progress
                id="many-progress"
                prop:max=move || done.get().1 as f64
                prop:value=move || done.get().0 as f64
            />
        </div>
        <button id="many-cancel" type="button" on:click=move |_| send(store, ManyEvent::Cancel)>
            "Stop"
        </button>
    }
}
