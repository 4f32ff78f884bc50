//! The text with the words highlighted that raise or lower a label's probability.

use leptos::prelude::*;

use super::css::{DARK, LIGHT};
use crate::explained::MOST_WORDS;
use crate::models::Models;
use crate::palette::tone;
use crate::state::{Event, ExplanationEvent, State, Word};
use crate::store::Store;

/// The change from which on the highlighting is strongest.
const STRONG: f32 = 0.35;

/// The smallest change that is highlighted.
const FAINT: f32 = 0.01;

fn send(store: Store, event: ExplanationEvent) {
    store.send(Event::Explanation(event));
}

#[component]
pub fn ExplanationPanel() -> impl IntoView {
    let store = Store::of_component();
    let is_open = store.part(|state| state.explanation.is_of_box());
    let can_explain = store.part(|state| {
        state.model.can_do_jobs() && state.composer.has_text() && state.composer.shown().is_some()
    });
    let has_models = store.part(|state| state.model.bundle.is_some());
    view! {
        <section class="explain" aria-label="Which words matter" hidden=move || !has_models.get()>
            <Show
                when=move || is_open.get()
                fallback=move || {
                    view! {
                        <div class="row">
                            <button
                                id="explain"
                                type="button"
                                disabled=move || !can_explain.get()
                                on:click=move |_| send(store, ExplanationEvent::Explain)
                            >
                                "Which words matter?"
                            </button>
                            <p class="quiet">
                                "Asks the models again with each word left out in turn."
                            </p>
                        </div>
                    }
                }
            >
                <OpenExplanation />
            </Show>
        </section>
    }
}

/// An explanation, of the text in the box or of one of the table of many texts.
#[component]
pub fn OpenExplanation() -> impl IntoView {
    let store = Store::of_component();
    let label = store.part(|state| state.explanation.label);
    let name = store.part(label_name);
    let is_done = store.part(|state| state.explanation.is_done());
    let count = store.part(|state| state.explanation.progress().map_or(0, |(_, words)| words));
    let is_cut = store.part(|state| state.explanation.is_cut());
    let is_of_one = store.part(|state| state.explanation.models() == Some(Models::Final));
    let words = move || (0..count.get()).map(|index| view! { <WordMark index /> }).collect_view();
    view! {
        <div
            id="explanation"
            class="card explanation"
            data-state=move || if is_done.get() { "done" } else { "running" }
            data-label=name
            style=(LIGHT, move || tone(label.get()).on_light)
            style=(DARK, move || tone(label.get()).on_dark)
        >
            <div class="row">
                <h2>"Which words matter"</h2>
                <button
                    id="explain-close"
                    type="button"
                    class="plain"
                    on:click=move |_| send(store, ExplanationEvent::Close)
                >
                    "Close"
                </button>
            </div>
            <LabelChoice />
            // Hidden from screen readers, which read the sentence below instead.
            <p class="words" dir="auto" aria-hidden="true">
                {words}
                {move || is_cut.get().then_some("\u{2026}")}
            </p>
            <p class="legend quiet" aria-hidden="true">
                <span>
                    <b class="word up">"word"</b>
                    " raises it"
                </span>
                <span>
                    <b class="word down">"word"</b>
                    " lowers it"
                </span>
            </p>
            <Told />
            <Show when=move || is_of_one.get()>
                <p class="quiet">"One model's answer is explained."</p>
            </Show>
            <Show when=move || is_cut.get()>
                <p class="quiet">
                    {format!("Only the first {MOST_WORDS} words are examined.")}
                </p>
            </Show>
        </div>
    }
}

fn label_name(state: &State) -> String {
    state.model.label_names().get(state.explanation.label).cloned().unwrap_or_default()
}

/// The label to explain, as radio buttons, so that the arrow keys work.
#[component]
fn LabelChoice() -> impl IntoView {
    let store = Store::of_component();
    let names = store.part(|state| state.model.label_names().to_vec());
    let chosen = store.part(|state| state.explanation.label);
    let choice = move |(index, name): (usize, String)| {
        let tone = tone(index);
        view! {
            <label class="choice" style=(LIGHT, tone.on_light) style=(DARK, tone.on_dark)>
                <input
                    type="radio"
                    name="explain-label"
                    value=index.to_string()
                    prop:checked=move || chosen.get() == index
                    on:change=move |_| send(store, ExplanationEvent::LabelChosen(index))
                />
                <span>{name}</span>
            </label>
        }
    };
    view! {
        <fieldset id="explain-labels" class="choices">
            <legend class="visually-hidden">"The label to explain"</legend>
            {move || names.get().into_iter().enumerate().map(choice).collect_view()}
        </fieldset>
    }
}

#[component]
fn WordMark(index: usize) -> impl IntoView {
    let store = Store::of_component();
    let word = store.part(move |state| state.explanation.word(index));
    let change = move || word.with(|word| word.as_ref().and_then(|word| word.change));
    let is = move |sign: f32| change().is_some_and(|change| change * sign >= FAINT);
    let points = move || change().map(|change| format!("{:+.1} points", change * 100.0));
    let strength = move || {
        let share = (change().unwrap_or_default().abs() / STRONG).min(1.0);
        // The square root makes small changes visible.
        format!("{:.0}%", share.sqrt() * 60.0)
    };
    view! {
        <span
            class="word"
            class:up=move || is(1.0)
            class:down=move || is(-1.0)
            class:unknown=move || change().is_none()
            title=points
            data-word=index.to_string()
            data-change=move || change().map(|change| change.to_string())
            style=("--strength", strength)
        >
            {move || word.with(|word| word.as_ref().map(|word: &Word| word.text.clone()))}
        </span>
        " "
    }
}

#[component]
fn Told() -> impl IntoView {
    let store = Store::of_component();
    let told = store.part(|state| {
        let explanation = &state.explanation;
        match explanation.progress() {
            Some((known, words)) if !explanation.is_done() => {
                format!("{known} of {words} words examined so far\u{2026}")
            }
            _ => explanation.sentence(&label_name(state)),
        }
    });
    view! {
        <p id="explanation-text">{told}</p>
    }
}
