//! The models on their way to this device: the question before, the progress, and what is kept.

use leptos::prelude::*;

use crate::failure::Failure;
use crate::state::{Event, Kept, Meter, ModelEvent, Phase, RareWords};
use crate::store::Store;
use crate::words::{bytes, duration};

#[component]
pub fn Download() -> impl IntoView {
    let store = Store::of_component();
    let phase = store.part(|state| state.model.phase.clone());
    let rare_words = store.part(|state| state.model.rare_words.clone());
    let content = move || match phase.get() {
        Phase::Manifest => view! { <p>"Looking for the models\u{2026}"</p> }.into_any(),
        Phase::Asking { bytes } => view! { <Asking bytes /> }.into_any(),
        Phase::Loading => view! { <Loading /> }.into_any(),
        Phase::Cancelled => view! { <Cancelled /> }.into_any(),
        Phase::Ready => view! { <Vocabulary /> }.into_any(),
        // The error panel says why.
        Phase::Failed(_) => view! { <Cache /> }.into_any(),
    };
    view! {
        <section
            id="download"
            class="card download"
            aria-label="The models"
            data-phase=move || name_of(&phase.get())
            data-rare-words=move || rare_words.with(lack_of)
        >
            {content}
        </section>
    }
}

fn name_of(phase: &Phase) -> &'static str {
    match phase {
        Phase::Manifest => "manifest",
        Phase::Asking { .. } => "asking",
        Phase::Loading => "loading",
        Phase::Cancelled => "cancelled",
        Phase::Ready => "ready",
        Phase::Failed(_) => "failed",
    }
}

/// How the page stands with the words that come last.
fn lack_of(rare_words: &RareWords) -> &'static str {
    match rare_words {
        RareWords::Here => "here",
        RareWords::Awaited => "awaited",
        RareWords::Failed(_) => "failed",
    }
}

fn button(store: Store, id: &'static str, event: ModelEvent, words: &'static str) -> impl IntoView {
    let send = move |_| store.send(Event::Model(event.clone()));
    view! {
        <button id=id type="button" on:click=send>
            {words}
        </button>
    }
}

#[component]
fn Asking(bytes: u64) -> impl IntoView {
    let store = Store::of_component();
    let size = crate::words::bytes(bytes);
    view! {
        <div class="row">
            <p>
                <strong>{format!("The models are {size}. ")}</strong>
                "They come to this device once and stay in the browser for your next visit. Without them \
                 nothing can be classified, as your text goes to no server."
            </p>
            {button(store, "start", ModelEvent::Accepted, "Download the models")}
        </div>
    }
}

#[component]
fn Loading() -> impl IntoView {
    let store = Store::of_component();
    let first = store.part(|state| state.model.ready_folds() == 0);
    let hint = move || match first.get() {
        true => "You can type already: the first model answers as soon as it is here.",
        false => "The models that are here answer already; the others join in.",
    };
    view! { <Progress told=told hint /> }
}

/// The models answer; their rarer words may still be on the way.
#[component]
fn Vocabulary() -> impl IntoView {
    let store = Store::of_component();
    let rare_words = store.part(|state| state.model.rare_words.clone());
    let hint = || "Texts are answered already; one with a rare word waits until it is here.";
    move || match rare_words.get() {
        RareWords::Here => view! { <Ready /> }.into_any(),
        RareWords::Awaited => view! { <Progress told=told_of_the_rest hint /> }.into_any(),
        RareWords::Failed(failure) => view! { <Unfinished failure /> }.into_any(),
    }
}

/// Without the rest of the vocabulary, until the visitor wants it again.
#[component]
fn Unfinished(failure: Failure) -> impl IntoView {
    let store = Store::of_component();
    let (told, again) = match &failure {
        Failure::Cancelled => ("Stopped".to_owned(), "Go on"),
        failure => (format!("{}. {}", failure.message(), failure.remedy()), "Try again"),
    };
    view! {
        <div class="row">
            <p id="rest-failed" role="alert" data-failure=failure.code()>
                <strong>"Ready, but the rest of the vocabulary is not here. "</strong>
                {told}
                " Texts without rare words are answered."
            </p>
            {button(store, "retry", ModelEvent::Retry, again)}
        </div>
    }
}

/// The bar, with what is told of it and what it means for the visitor.
#[component]
fn Progress(
    told: fn(&Meter) -> String,
    hint: impl Fn() -> &'static str + Send + 'static,
) -> impl IntoView {
    let store = Store::of_component();
    let meter = store.part(|state| state.model.meter.clone());
    view! {
        <div class="row">
            <div class="grow">
                <label id="progress-text" for="progress">
                    {move || told(&meter.get())}
                </label>
                <progress
                    id="progress"
                    prop:max=move || meter.with(|meter| meter.total.max(1) as f64)
                    prop:value=move || meter.with(|meter| meter.received as f64)
                />
                <p class="quiet">{hint}</p>
            </div>
            {button(store, "cancel", ModelEvent::Cancel, "Stop")}
        </div>
    }
}

/// `Loading the models: 12 MB of 184 MB, 4.1 MB/s, about 40 s left`.
fn told(meter: &Meter) -> String {
    if meter.total == 0 {
        return "Loading the models\u{2026}".to_owned();
    }
    if meter.received >= meter.total {
        return "The models are here; making them ready\u{2026}".to_owned();
    }
    format!("Loading the models: {}", amounts(meter))
}

fn told_of_the_rest(meter: &Meter) -> String {
    if meter.received >= meter.total {
        return "Ready; the rest of the vocabulary is here and being added\u{2026}".to_owned();
    }
    format!("Ready; the rest of the vocabulary is still loading: {}", amounts(meter))
}

fn amounts(meter: &Meter) -> String {
    let mut told = format!("{} of {}", bytes(meter.received), bytes(meter.total));
    if let (Some(rate), Some(left)) = (meter.rate(), meter.seconds_left()) {
        told += &format!(", {}/s, {} left", bytes(rate as u64), duration(left));
    }
    told
}

#[component]
fn Cancelled() -> impl IntoView {
    let store = Store::of_component();
    let meter = store.peek(|state| state.model.meter.clone());
    let arrived = format!("Stopped at {} of {}.", bytes(meter.received), bytes(meter.total));
    view! {
        <div class="row">
            <p>
                <strong>{arrived}</strong>
                " What has arrived is kept."
            </p>
            {button(store, "retry", ModelEvent::Retry, "Go on")}
        </div>
    }
}

#[component]
fn Ready() -> impl IntoView {
    let store = Store::of_component();
    let kept = store.part(|state| state.model.kept.clone());
    let is_offline = store.part(|state| state.model.is_ready_offline());
    let said = move || match kept.get() {
        Kept::Yes if !is_offline.get() => {
            view! { <p>"Ready: the models are on this device."</p> }.into_any()
        }
        Kept::Yes => view! {
            <p id="offline-ready">
                <span class="tick" aria-hidden="true">
                    "\u{2713}"
                </span>
                "Ready, offline too: the models are on this device."
            </p>
        }
        .into_any(),
        Kept::No { reason } => view! {
            <p id="not-cached">
                "Ready for this visit. The browser cannot keep the models for the next one: "
                {reason} "."
            </p>
        }
        .into_any(),
        Kept::Cleared => view! {
            <p>"Ready until you close this page. The next visit downloads the models again."</p>
        }
        .into_any(),
    };
    view! {
        <div class="row">
            {said} <Cache />
        </div>
    }
}

/// What the browser keeps, and the way to be rid of it.
#[component]
fn Cache() -> impl IntoView {
    let store = Store::of_component();
    let kept = store.part(|state| state.model.cache_bytes);
    view! {
        <Show when=move || { kept.get() > 0 }>
            <p class="cache">
                <span id="cache-size" data-bytes=move || kept.get().to_string()>
                    {move || format!("{} kept in this browser", bytes(kept.get()))}
                </span>
                {button(store, "clear-cache", ModelEvent::ClearCache, "Remove")}
            </p>
        </Show>
    }
}
