//! A row for each label: its probability, its threshold, the spread of the models, and whether it is on.

use leptos::prelude::*;

use super::css::{DARK, LIGHT, css_percent};
use crate::palette::tone;
use crate::state::{LabelResult, State};
use crate::store::Store;
use crate::words::percent;

#[component]
pub fn Results() -> impl IntoView {
    let store = Store::of_component();
    let labels = store.part(|state| state.model.label_names().len());
    let standing = store.part(standing);
    let answered = store
        .part(|state| state.composer.shown().map_or(0, |reading| reading.gathering.answered()));
    let rows = move || (0..labels.get()).map(|label| view! { <Label label /> }).collect_view();
    view! {
        <section
            id="results"
            class="card results"
            aria-labelledby="results-title"
            data-state=standing
            data-answered=move || answered.get().to_string()
        >
            <h2 id="results-title">"What the models find"</h2>
            <Show
                when=move || { labels.get() > 0 }
                fallback=|| view! { <p class="quiet">"Nothing yet: the models are not loaded."</p> }
            >
                <ul class="labels">{rows}</ul>
                <p class="legend quiet">
                    <span>
                        <i class="key-tick" aria-hidden="true"></i>
                        "threshold"
                    </span>
                    <span>
                        <i class="key-spread" aria-hidden="true"></i>
                        "from the lowest to the highest model"
                    </span>
                </p>
            </Show>
        </section>
    }
}

/// Whether the answers shown are about the text in the box, and whether all models have answered.
fn standing(state: &State) -> &'static str {
    let composer = &state.composer;
    match composer.shown() {
        None if !composer.has_text() => "empty",
        None => "waiting",
        Some(_) if composer.is_stale() => "stale",
        Some(reading) if reading.gathering.is_settled(&state.model.expected_folds()) => {
            // Models that are still being loaded, or have failed, are missing.
            if reading.gathering.answered() == state.model.folds.len() {
                "complete"
            } else {
                "partial"
            }
        }
        Some(_) => "partial",
    }
}

/// The content of one row.
#[derive(Clone, PartialEq)]
struct Shown {
    name: String,
    threshold: f64,
    result: Option<LabelResult>,
}

impl Shown {
    fn of(state: &State, label: usize) -> Option<Self> {
        let bundle = state.model.bundle.as_ref()?;
        let result =
            state.composer.shown().map(|reading| reading.results(bundle).swap_remove(label));
        Some(Self {
            name: bundle.labels.names().get(label)?.clone(),
            threshold: *bundle.thresholds.values().get(label)?,
            result,
        })
    }

    fn probability(&self) -> f64 {
        self.result.as_ref().map_or(0.0, |result| f64::from(result.probability))
    }

    fn spread(&self) -> (f64, f64) {
        let spread = self.result.as_ref().map_or((0.0, 0.0), |result| result.spread);
        (f64::from(spread.0), f64::from(spread.1))
    }

    fn is_on(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.is_on)
    }

    /// The bar in words, for screen readers.
    fn told(&self) -> String {
        let threshold = percent(self.threshold);
        if self.result.is_none() {
            return format!("no answer yet; the threshold is {threshold}");
        }
        let side = if self.is_on() { "on: at or above" } else { "off: below" };
        let (low, high) = self.spread();
        format!(
            "{}, {side} its threshold of {threshold}; the models range from {} to {}",
            percent(self.probability()),
            percent(low),
            percent(high)
        )
    }
}

#[component]
fn Label(label: usize) -> impl IntoView {
    let store = Store::of_component();
    let shown = store.part(move |state| Shown::of(state, label));
    let tone = tone(label);
    let of = move |read: fn(&Shown) -> f64| shown.with(|shown| shown.as_ref().map_or(0.0, read));
    let name = move || shown.with(|shown| shown.as_ref().map(|shown| shown.name.clone()));
    let is_on = move || shown.with(|shown| shown.as_ref().is_some_and(Shown::is_on));
    let has_result =
        move || shown.with(|shown| shown.as_ref().is_some_and(|shown| shown.result.is_some()));
    // `None` leaves the attribute out while there is no answer.
    let number = move |read: fn(&LabelResult) -> f32| {
        shown.with(|shown| Some(read(shown.as_ref()?.result.as_ref()?).to_string()))
    };
    view! {
        <li
            class="label"
            class:on=is_on
            data-label=name
            data-on=move || has_result().then(|| is_on().to_string())
            data-probability=move || number(|result| result.probability)
            data-low=move || number(|result| result.spread.0)
            data-high=move || number(|result| result.spread.1)
            data-threshold=move || of(|shown| shown.threshold).to_string()
            style=(LIGHT, tone.on_light)
            style=(DARK, tone.on_dark)
        >
            <span class="mark" aria-hidden="true"></span>
            <span class="name">{name}</span>
            <span class="verdict" aria-hidden="true">
                {move || if is_on() { "on" } else { "" }}
            </span>
            <span class="number" aria-hidden="true">
                {move || {
                    if has_result() { percent(of(Shown::probability)) } else { "\u{2013}".to_owned() }
                }}
            </span>
            <div
                class="bar"
                role="meter"
                aria-label=name
                aria-valuemin="0"
                aria-valuemax="1"
                aria-valuenow=move || format!("{:.3}", of(Shown::probability))
                aria-valuetext=move || shown.with(|shown| shown.as_ref().map(Shown::told))
            >
                <div class="fill" style=("width", move || css_percent(of(Shown::probability)))></div>
                <div
                    class="spread"
                    style=("inset-inline-start", move || css_percent(of(|shown| shown.spread().0)))
                    style=(
                        "width",
                        move || css_percent(of(|shown| shown.spread().1 - shown.spread().0)),
                    )
                ></div>
                <div
                    class="tick-mark"
                    style=("inset-inline-start", move || css_percent(of(|shown| shown.threshold)))
                ></div>
            </div>
        </li>
    }
}
