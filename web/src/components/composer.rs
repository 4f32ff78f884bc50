//! The box to type in, sentences to try, and the link that carries the text.

use leptos::prelude::*;

use crate::state::{ComposerEvent, EXAMPLES, Event, RareWords};
use crate::store::Store;

#[component]
pub fn Composer() -> impl IntoView {
    let store = Store::of_component();
    let text = store.part(|state| state.composer.text.clone());
    let has_text = store.part(|state| !state.composer.text.trim().is_empty());
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
            <RareWord />
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
        state.model.ensemble.as_ref().filter(|_| is_truncated).map(|ensemble| ensemble.max_len)
    });
    let note = move |max_len| {
        view! {
            <p id="truncated" class="note">
                {format!(
                    "This text is longer than the models read: they see its first {max_len} tokens, about \
                     {} words.",
                    max_len * 3 / 4,
                )}
            </p>
        }
    };
    view! { {move || max_len.get().map(note)} }
}

#[component]
fn RareWord() -> impl IntoView {
    let store = Store::of_component();
    let hope = store.part(|state| {
        let waits = state.composer.waits_for_rare_words();
        waits.then_some(!matches!(state.model.rare_words, RareWords::Failed(_)))
    });
    let note = |comes| {
        let hope = match comes {
            true => "It is answered when the rest of the vocabulary is here.",
            false => "It cannot be answered, as the rest of the vocabulary could not be loaded.",
        };
        view! { <p id="rare-word" class="note">{format!("This text has a rare word. {hope}")}</p> }
    };
    view! { {move || hope.get().map(note)} }
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
