//! The text box, sentences to try, and the button that copies a link to the text.

use leptos::prelude::*;

use crate::state::{ColdRows, ComposerEvent, EXAMPLES, Event};
use crate::store::Store;

#[component]
pub fn Composer() -> impl IntoView {
    let store = Store::of_component();
    let text = store.part(|state| state.composer.text.clone());
    let has_text = store.part(|state| state.composer.has_text());
    let link_note = store.part(|state| state.composer.link_note);
    let type_text =
        move |event| store.send(Event::Composer(ComposerEvent::Typed(event_target_value(&event))));
    view! {
        <section class="card composer" aria-label="Your text">
            <label for="text">"Your text"</label>
            <textarea
                id="text"
                rows="5"
                dir="auto"
                placeholder="Type or paste something someone might say."
                spellcheck="true"
                autocomplete="off"
                prop:value=text
                on:input=type_text
            ></textarea>
            <Truncated />
            <RareWords />
            <div class="row">
                <p class="quiet">{link_note}</p>
                <button
                    id="share"
                    type="button"
                    class="plain"
                    disabled=move || !has_text.get()
                    on:click=move |_| store.send(Event::Composer(ComposerEvent::Share))
                >
                    "Copy a link to this text"
                </button>
            </div>
            <Examples />
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

#[component]
fn Examples() -> impl IntoView {
    let store = Store::of_component();
    let choose = move |index| store.send(Event::Composer(ComposerEvent::ExampleChosen(index)));
    let buttons: Vec<_> = EXAMPLES
        .iter()
        .enumerate()
        .map(|(index, example)| {
            view! {
                <li>
                    <button
                        type="button"
                        class="example"
                        data-example=index.to_string()
                        on:click=move |_| choose(index)
                    >
                        {*example}
                    </button>
                </li>
            }
        })
        .collect();
    view! {
        <div class="as-label" id="examples-title">
            "Or try one of these"
        </div>
        <ul id="examples" class="examples" aria-labelledby="examples-title">
            {buttons}
        </ul>
    }
}
