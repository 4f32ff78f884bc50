//! The table of answers about many texts: which rows are shown, by what they are sorted, and the button that saves them.

use leptos::prelude::*;
use shared::words::counted;

use super::explanation::OpenExplanation;
use super::many_rows::Rows;
use crate::models::Models;
use crate::state::{Event, Filter, Job, ManyEvent};
use crate::store::Store;

/// The values of the choice of rows that name no label.
const ALL: &str = "all";
const NO_LABEL: &str = "none";

#[component]
pub fn Answers() -> impl IntoView {
    let store = Store::of_component();
    let has_table = store.part(|state| state.many.job.table().is_some());
    view! {
        <Show when=move || has_table.get()>
            <div class="row">
                <Choice />
                <Save />
            </div>
            <Told />
            <Rows />
            <Explained />
        </Show>
    }
}

/// The choice of rows.
#[component]
fn Choice() -> impl IntoView {
    let store = Store::of_component();
    let labels = store.part(|state| state.model.label_names().to_vec());
    let filter = store.part_of_table(|_, table| table.selection().filter());
    let value = move || match filter.get() {
        Filter::All => ALL.to_owned(),
        Filter::NoLabel => NO_LABEL.to_owned(),
        Filter::Label(label) => label.to_string(),
    };
    let choose = move |value: String| {
        let filter = match &*value {
            NO_LABEL => Filter::NoLabel,
            value => value.parse().map_or(Filter::All, Filter::Label),
        };
        store.send(Event::Many(ManyEvent::Filtered(filter)));
    };
    let option = |(label, name): (usize, String)| {
        view! { <option value=label.to_string()>{name}</option> }
    };
    view! {
        <div class="field">
            <label for="many-filter">"Show"</label>
            <select
                id="many-filter"
                prop:value=value
                on:change=move |event| choose(event_target_value(&event))
            >
                <option value=ALL>"all texts"</option>
                {move || labels.get().into_iter().enumerate().map(option).collect_view()}
                <option value=NO_LABEL>"no label"</option>
            </select>
        </div>
    }
}

#[component]
fn Save() -> impl IntoView {
    let store = Store::of_component();
    let is_empty = store.part_of_table(|_, table| table.answered() == 0 || table.shown() == 0);
    let chosen = store.part_of_table(|_, table| {
        (!table.selection().is_plain()).then(|| counted(table.shown(), "row"))
    });
    let words = move || match chosen.get() {
        Some(rows) => format!("Download these {rows} as CSV"),
        None => "Download as CSV".to_owned(),
    };
    view! {
        <button
            id="many-download"
            type="button"
            disabled=move || is_empty.get()
            on:click=move |_| store.send(Event::Many(ManyEvent::Download))
        >
            {words}
        </button>
    }
}

/// The progress of the job, and the number of rows shown.
#[component]
fn Told() -> impl IntoView {
    let store = Store::of_component();
    let standing = store.part(|state| match state.many.job {
        Job::Running(_) => "running",
        Job::Stopped(_) => "stopped",
        Job::Done(_) | Job::Idle => "done",
    });
    let counts = store.part_of_table(|_, table| (table.answered(), table.len()));
    let shown =
        store.part_of_table(|_, table| (!table.selection().is_plain()).then(|| table.shown()));
    let by = store.part_of_table(|_, table| match table.models() {
        Models::Final => " by one model",
        Models::Folds | Models::Both => "",
    });
    let words = move || {
        let (answered, all) = counts.get();
        let shown = match shown.get() {
            None => String::new(),
            Some(1) => " One of them is shown.".to_owned(),
            Some(shown) => format!(" {shown} of them are shown."),
        };
        format!("{answered} of {} classified{}.{shown}", counted(all, "text"), by.get())
    };
    view! {
        <p
            id="many-told"
            class="quiet"
            data-state=standing
            data-answered=move || counts.get().0.to_string()
        >
            {words}
        </p>
        <p class="quiet">
            "Filled cells are on: the probability reaches the label's threshold. The name of a column sorts by it; a text tells which \
             of its words matter."
        </p>
    }
}

/// The explanation of a text of the table.
#[component]
fn Explained() -> impl IntoView {
    let store = Store::of_component();
    let row = store.part(|state| state.explanation.row());
    view! {
        <section id="many-explained" aria-label="Which words of the text matter" hidden=move || row.get().is_none()>
            <Show when=move || row.get().is_some()>
                <OpenExplanation />
            </Show>
        </section>
    }
}
