//! The table of answers about many texts: its first rows, and a button that downloads all of it.

use leptos::prelude::*;
use shared::words::counted;

use super::css::{DARK, LIGHT, css_percent};
use crate::models::Models;
use crate::palette::tone;
use crate::state::{Event, Job, ManyEvent};
use crate::store::Store;
use crate::texts_file::Row;
use crate::words::percent;

/// Rows that are shown. More would make the page slow, and the download has them all.
const MOST_ROWS: usize = 100;

#[component]
pub fn Answers() -> impl IntoView {
    let store = Store::of_component();
    let has_table = store.part(|state| state.many.job.table().is_some());
    view! {
        <Show when=move || has_table.get()>
            <Table />
        </Show>
    }
}

#[component]
fn Table() -> impl IntoView {
    let store = Store::of_component();
    let labels = store.part(|state| state.model.label_names().to_vec());
    let counts = store.part(|state| {
        state.many.job.table().map_or((0, 0), |table| (table.answered(), table.len()))
    });
    let standing = store.part(|state| match state.many.job {
        Job::Running(_) => "running",
        Job::Stopped(_) => "stopped",
        Job::Done(_) | Job::Idle => "done",
    });
    let by = store.part(|state| {
        let table = state.many.job.table();
        let is_of_one = table.is_some_and(|table| table.models() == Models::Final);
        if is_of_one { " by one model" } else { "" }
    });
    let rows = move || (0..counts.get().1.min(MOST_ROWS)).collect::<Vec<usize>>();
    let caption = move || {
        let ((answered, all), by) = (counts.get(), by.get());
        match all > MOST_ROWS {
            true => format!(
                "{answered} of {} classified{by}; the first {MOST_ROWS} are shown, the download has all of them.",
                counted(all, "text")
            ),
            false => format!("{answered} of {} classified{by}.", counted(all, "text")),
        }
    };
    let head = move || {
        labels.get().into_iter().map(|name| view! { <th scope="col">{name}</th> }).collect_view()
    };
    view! {
        <div class="row">
            <p class="quiet">
                "Filled cells are on: the probability reaches the label's threshold."
            </p>
            <button
                id="many-download"
                type="button"
                disabled=move || counts.get().0 == 0
                on:click=move |_| store.send(Event::Many(ManyEvent::Download))
            >
                "Download as CSV"
            </button>
        </div>
        <div class="scroll" role="region" aria-label="Answers" tabindex="0">
            <table
                id="many-table"
                data-state=standing
                data-answered=move || counts.get().0.to_string()
            >
                <caption>{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">"Text"</th>
                        {head}
                    </tr>
                </thead>
                <tbody>
                    <For each=rows key=|index| *index let(index)>
                        <TableRow index />
                    </For>
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn TableRow(index: usize) -> impl IntoView {
    let store = Store::of_component();
    let row = store.part(move |state| {
        let table = state.many.job.table()?;
        Some((table.texts().get(index)?.clone(), table.rows().get(index)?.clone()))
    });
    let labels = store.part(|state| state.model.label_names().to_vec());
    let text = move || row.with(|row| row.as_ref().map(|(text, _)| text.clone()));
    let is_truncated = move || {
        row.with(|row| {
            let answer = row.as_ref().and_then(|(_, answer)| answer.as_ref());
            answer.is_some_and(|answer| answer.truncated)
        })
    };
    let cells = move || {
        let answer = row.with(|row| row.as_ref().and_then(|(_, answer)| answer.clone()));
        let labels = labels.get().into_iter().enumerate();
        labels.map(|(label, name)| cell(label, name, answer.as_ref())).collect_view()
    };
    view! {
        <tr data-row=index.to_string()>
            <th scope="row" dir="auto">
                {text}
                <Show when=is_truncated>
                    <span class="quiet">" (only the beginning was read)"</span>
                </Show>
            </th>
            {cells}
        </tr>
    }
}

fn cell(label: usize, name: String, answer: Option<&Row>) -> impl IntoView + use<> {
    let tone = tone(label);
    let probability = answer.map(|answer| answer.probabilities[label]);
    let is_on = answer.is_some_and(|answer| answer.is_on[label]);
    let share = probability.map_or(0.0, f64::from);
    view! {
        <td
            class:on=is_on
            data-label=name
            data-probability=probability.map(|p| p.to_string())
            data-on=answer.map(|_| is_on.to_string())
            style=(LIGHT, tone.on_light)
            style=(DARK, tone.on_dark)
            style=("--share", css_percent(share))
        >
            {probability.map(|_| percent(share))}
            {is_on.then(|| view! { <span class="visually-hidden">" on"</span> })}
        </td>
    }
}
