//! The text box, and what is to be said of the text in it.

use leptos::prelude::*;

use super::in_sight::keep_the_answer_in_sight;
use crate::state::{ColdRows, ComposerEvent, Event};
use crate::store::Store;

#[component]
pub fn Composer() -> impl IntoView {
    let store = Store::of_component();
    let text = store.part(|state| state.composer.text.clone());
    let type_text = move |event| {
        store.send(Event::Composer(ComposerEvent::Typed(event_target_value(&event))));
        keep_the_answer_in_sight();
    };
    view! {
        <section class="card composer" aria-label="Your text">
            <label for="text">"Your text"</label>
            <textarea
                id="text"
                rows="3"
                dir="auto"
                placeholder="Type or paste something someone might say."
                spellcheck="true"
                autocomplete="off"
                prop:value=text
                on:input=type_text
            ></textarea>
            <Truncated />
            <RareWords />
        </section>
    }
}

#[component]
fn Truncated() -> impl IntoView {
    let store = Store::of_component();
    let max_len = store.part(|state| {
        let is_truncated =
            state.composer.shown().is_some_and(|reading| reading.gathering.is_truncated(0));
        state.model.bundle.as_ref().filter(|_| is_truncated).map(|bundle| bundle.max_len)
    });
    let note = move |max_len| {
        view! {
            <p id="truncated" class="note">
                {format!(
                    "This text is longer than the models can read: they see only its first {max_len} tokens, \
                     about {} words.",
                    max_len * 3 / 4,
                )}
            </p>
        }
    };
    view! { {move || max_len.get().map(note)} }
}

#[component]
fn RareWords() -> impl IntoView {
    let store = Store::of_component();
    let have_failed = store.part(|state| {
        let waits = state.composer.waits_for_cold();
        waits.then_some(matches!(state.model.cold_rows, ColdRows::Failed(_)))
    });
    let note = |have_failed| {
        let note = match have_failed {
            false => "This text has rare words. It will be answered when rare words are loaded.",
            true => "This text has rare words, and rare words could not be loaded.",
        };
        view! { <p id="rare-words" class="note">{note}</p> }
    };
    view! { {move || have_failed.get().map(note)} }
}
