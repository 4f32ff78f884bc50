//! The download of the models: the question before a large one, its progress, and what the browser keeps.

use leptos::prelude::*;
use shared::words::bytes;

use crate::failure::Failure;
use crate::state::{ColdRows, Event, FoldStatus, Meter, ModelEvent, Offer, Phase, Saved};
use crate::store::Store;
use crate::words::{begun, duration};

#[component]
pub fn Download() -> impl IntoView {
    let store = Store::of_component();
    let phase = store.part(|state| state.model.phase.clone());
    let cold_rows = store.part(|state| state.model.cold_rows.clone());
    let content = move || match phase.get() {
        Phase::Manifest => view! { <p>"Looking for the models\u{2026}"</p> }.into_any(),
        Phase::Asking { bytes } => view! { <Asking bytes /> }.into_any(),
        Phase::Loading => view! { <Loading /> }.into_any(),
        Phase::Cancelled => view! { <Cancelled /> }.into_any(),
        Phase::Ready => view! { <Usable /> }.into_any(),
        // The error panel says why.
        Phase::Failed(_) => view! { <Cache /> }.into_any(),
    };
    view! {
        <section
            id="download"
            class="card download"
            aria-label="The models"
            data-phase=move || name_of(&phase.get())
            data-rare-words=move || cold_rows.with(stage_of)
        >
            {content}
            <Short />
        </section>
    }
}

/// A note after a worker ran out of memory.
#[component]
fn Short() -> impl IntoView {
    let store = Store::of_component();
    let is_short = store.part(|state| state.model.is_short_of_memory);
    view! {
        <Show when=move || is_short.get()>
            <p id="short-of-memory" class="note" role="status">
                "This device did not have the memory for all models at once. They take turns now, which is slower; the \
                 next visit begins with fewer in memory."
            </p>
        </Show>
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

fn stage_of(cold_rows: &ColdRows) -> &'static str {
    match cold_rows {
        ColdRows::Here => "here",
        ColdRows::Awaited => "awaited",
        ColdRows::Failed(_) => "failed",
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
    let size = shared::words::bytes(bytes);
    view! {
        <div class="row">
            <p>
                <strong>{format!("The models are {size}. ")}</strong>
                "They are downloaded once and stay in this browser for your next visit. Your text is never \
                 sent to a server, so nothing can be classified without them."
            </p>
            {button(store, "start", ModelEvent::Accepted, "Download the models")}
        </div>
    }
}

#[component]
fn Loading() -> impl IntoView {
    let store = Store::of_component();
    let hint = store.part(|state| {
        let model = &state.model;
        match model.ready_folds() {
            _ if model.final_model == Some(FoldStatus::Ready) => {
                "One model already answers; the mean of the others will replace its answer."
            }
            0 => "You can already type: the first model answers as soon as it is loaded.",
            _ => "The loaded models already answer; the others will join in.",
        }
    });
    let hint = move || hint.get();
    view! { <Progress told=told hint /> }
}

/// The panel while all models answer; rare words may still be missing.
#[component]
fn Usable() -> impl IntoView {
    let store = Store::of_component();
    let cold_rows = store.part(|state| state.model.cold_rows.clone());
    let hint = || "Texts without rare words are already answered; the others wait.";
    move || match cold_rows.get() {
        ColdRows::Here => view! { <Ready /> }.into_any(),
        ColdRows::Awaited => view! { <Progress told=told_of_rare_words hint /> }.into_any(),
        ColdRows::Failed(failure) => view! { <NoRareWords failure /> }.into_any(),
    }
}

/// The panel after rare words could not be loaded.
#[component]
fn NoRareWords(failure: Failure) -> impl IntoView {
    let store = Store::of_component();
    let (told, again) = match &failure {
        Failure::Cancelled => ("Loading was stopped.".to_owned(), "Resume"),
        failure => (format!("{}. {}", failure.message(), failure.remedy()), "Try again"),
    };
    view! {
        <div class="row">
            <p id="rare-words-failed" role="alert" data-failure=failure.code()>
                <strong>"Ready, except for rare words. "</strong>
                {told}
                " Texts without rare words are answered."
            </p>
            {button(store, "retry", ModelEvent::Retry, again)}
        </div>
    }
}

/// The progress bar, with its state in words and a hint for the visitor.
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

/// The state of the download, as `Loading the models: 12 MB of 184 MB, 4.1 MB/s, about 40 s left`.
fn told(meter: &Meter) -> String {
    if meter.total == 0 {
        return "Loading the models\u{2026}".to_owned();
    }
    if meter.received >= meter.total {
        return "The models are downloaded; preparing them\u{2026}".to_owned();
    }
    format!("Loading the models: {}", amounts(meter))
}

fn told_of_rare_words(meter: &Meter) -> String {
    if meter.received >= meter.total {
        return "Ready; rare words are downloaded and being added\u{2026}".to_owned();
    }
    format!("Ready; rare words are still loading: {}", amounts(meter))
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
                " What has been downloaded is kept."
            </p>
            {button(store, "retry", ModelEvent::Retry, "Resume")}
        </div>
    }
}

#[component]
fn Ready() -> impl IntoView {
    let store = Store::of_component();
    let saved = store.part(|state| state.model.saved.clone());
    let is_offline = store.part(|state| state.model.is_ready_offline());
    // Only the final model is loaded where the folds are not wanted.
    let what = store.part(|state| match state.model.wants_folds() {
        true => "the models are",
        false => "the model that answers is",
    });
    let said = move || {
        match saved.get() {
        Saved::Yes if !is_offline.get() => {
            view! { <p>{format!("Ready: {} on this device.", what.get())}</p> }.into_any()
        }
        Saved::Yes => view! {
            <p id="offline-ready">
                <span class="tick" aria-hidden="true">
                    "\u{2713}"
                </span>
                {format!("Ready, even offline: {} on this device.", what.get())}
            </p>
        }
        .into_any(),
        Saved::No { reason } => view! {
            <p id="not-cached">
                "Ready for this visit. The models cannot be kept for the next one: "
                {reason} "."
            </p>
        }
        .into_any(),
        Saved::Removed => view! {
            <p>"Ready until you close this page. Your next visit will download the models again."</p>
        }
        .into_any(),
    }
    };
    view! {
        <div class="row">
            {said} <Cache />
        </div>
        <FoldsOffer />
    }
}

/// The offer to load the folds besides the final model: what one gains by them, and how much they are.
#[component]
fn FoldsOffer() -> impl IntoView {
    let store = Store::of_component();
    let offer = store.part(|state| state.model.offer);
    let folds = store.part(|state| state.model.folds.len());
    move || {
        let (bytes, is_declined) = match offer.get() {
            Offer::None => return ().into_any(),
            Offer::Open { bytes } => (bytes, false),
            Offer::Declined { bytes } => (bytes, true),
        };
        let folds = folds.get();
        let more = begun(folds, "model");
        let size = match bytes {
            0 => "they are on this device already".to_owned(),
            bytes => format!("{} more to download", shared::words::bytes(bytes)),
        };
        let told = match (is_declined, folds) {
            (true, _) => format!("One model answers. {more} can be loaded besides: {size}."),
            (false, 1) => format!(
                "One model answers, which has no score of its own. The one whose scores are below can be loaded \
                 instead: {size}."
            ),
            (false, _) => format!(
                "One model answers. {more} together are more exact, and show how far models agree: {size}. The \
                 choice is remembered on this device."
            ),
        };
        let keep = (!is_declined).then(|| {
            plain(store, "decline-folds", ModelEvent::FoldsDeclined, "Keep one model".to_owned())
        });
        let load = format!("Load {}", more.to_lowercase());
        view! {
            <div id="offer" class="row offer" data-bytes=bytes.to_string()>
                <p class="quiet">{told}</p>
                <div class="buttons">
                    {keep} {plain(store, "load-folds", ModelEvent::FoldsAsked, load)}
                </div>
            </div>
        }
        .into_any()
    }
}

fn plain(store: Store, id: &'static str, event: ModelEvent, words: String) -> impl IntoView {
    let send = move |_| store.send(Event::Model(event.clone()));
    view! {
        <button id=id type="button" class="plain" on:click=send>
            {words}
        </button>
    }
}

/// The size of what the browser keeps, and the button that removes it.
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
