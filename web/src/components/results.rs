//! A row for each label: its probability, its threshold, the spread of the models, and whether it is on.

use leptos::prelude::*;
use shared::bundle::Evidence;
use shared::words::thousands;

use super::css::{DARK, LIGHT, css_percent};
use crate::models::Models;
use crate::palette::tone;
use crate::state::{LabelResult, State};
use crate::store::Store;
use crate::words::percent;

/// Below so many texts a share says little: of 30, it is known to within 18 points.
const FEW: u64 = 30;

#[component]
pub fn Results() -> impl IntoView {
    let store = Store::of_component();
    let labels = store.part(|state| state.model.label_names().len());
    let standing = store.part(standing);
    let answered = store
        .part(|state| state.composer.shown().map_or(0, |reading| reading.gathering.answered()));
    let speaker = store.part(speaker);
    let is_one = move || speaker.get() == Some(Models::Final);
    let said = store.part(said);
    let basis = store.part(basis);
    let rows = move || (0..labels.get()).map(|label| view! { <Label label /> }).collect_view();
    view! {
        <section
            id="results"
            class="card results"
            aria-labelledby="results-title"
            data-state=standing
            data-answered=move || answered.get().to_string()
            data-models=move || {
                speaker.get().map(|models| if models == Models::Final { "final" } else { "folds" })
            }
        >
            <h2 id="results-title">"What the models find"</h2>
            {move || said.get().map(|said| view! { <p id="speaker" class="quiet">{said}</p> })}
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
                    <Show when=move || !is_one()>
                        <span>
                            <i class="key-spread" aria-hidden="true"></i>
                            "from the lowest to the highest model"
                        </span>
                    </Show>
                </p>
                {move || basis.get().map(|basis| view! { <Basis basis /> })}
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
        Some(reading) if reading.gathering.has_all_folds() => "complete",
        // No other model is to come, unless the visitor asks for it.
        Some(_) if speaker(state) == Some(Models::Final) && !state.model.wants_folds() => {
            "complete"
        }
        // Models that are still being loaded, or have failed, are missing.
        Some(_) => "partial",
    }
}

/// The models whose answer is shown.
fn speaker(state: &State) -> Option<Models> {
    state.composer.shown()?.gathering.speaker()
}

/// Whose answer is shown, in words, where that is not the same for all answers of the page.
fn said(state: &State) -> Option<String> {
    state.model.final_model.as_ref()?;
    let folds = state.model.folds.len();
    let reading = state.composer.shown()?;
    Some(match reading.gathering.speaker()? {
        Models::Final => "One model's answer.".to_owned(),
        _ if reading.gathering.has_all_folds() => match folds {
            1 => "The answer of the model that was tested on other texts.".to_owned(),
            _ => format!("The mean of {folds} models."),
        },
        _ => format!("The mean of {} of {folds} models.", reading.gathering.answered()),
    })
}

/// The basis of what is said under each label, if the bundle has a reliability table.
fn basis(state: &State) -> Option<String> {
    let bundle = state.model.bundle.as_ref()?;
    let scores = &bundle.card.scores;
    scores.per_label.iter().find(|label| !label.reliability.is_empty())?;
    let speaker = speaker(state)?;
    let told = format!(
        "Under each bar stands how many texts that were given such a probability had the label, of {} texts with known labels, each \
         judged by the one model that had not seen it.",
        thousands(scores.rows)
    );
    let is_final = speaker == Models::Final || bundle.card.provenance.final_model;
    Some(match (is_final, bundle.folds) {
        (true, _) => format!(
            "{told} This one model is not among them: it has seen all of the texts, so others that learned likewise stand for it."
        ),
        (false, 1) => told,
        (false, _) => format!(
            "{told} A bar shows the mean of several models, which have seen all of these texts between them, so single ones \
             stand for it."
        ),
    })
}

#[component]
fn Basis(basis: String) -> impl IntoView {
    view! {
        <details class="small quiet basis">
            <summary>"What the lines under the bars mean"</summary>
            <p id="basis">{basis}</p>
        </details>
    }
}

/// The content of one row.
#[derive(Clone, PartialEq)]
struct Shown {
    name: String,
    threshold: f64,
    result: Option<LabelResult>,
    /// Texts that were given about this probability.
    evidence: Option<Evidence>,
    /// Whether one model answers, and so no models can differ.
    is_one: bool,
}

impl Shown {
    fn of(state: &State, label: usize) -> Option<Self> {
        let bundle = state.model.bundle.as_ref()?;
        let result =
            state.composer.shown().map(|reading| reading.results(bundle).swap_remove(label));
        let scores = bundle.card.scores.per_label.get(label);
        let evidence = result.as_ref().zip(scores).and_then(|(result, scores)| {
            scores.evidence(f64::from(result.probability)).filter(|found| found.texts > 0)
        });
        Some(Self {
            name: bundle.labels.names().get(label)?.clone(),
            threshold: *bundle.thresholds.values().get(label)?,
            result,
            evidence,
            is_one: speaker(state) == Some(Models::Final),
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

    /// How sure one may be of the probability.
    fn sure(&self) -> Option<String> {
        let Evidence { from, to, texts, with_label } = self.evidence?;
        let given = match (from > 0.0, to < 1.0) {
            (true, true) => format!(" given {} to {}", percent(from), percent(to)),
            (true, false) => format!(" given {} or more", percent(from)),
            (false, true) => format!(" given less than {}", percent(to)),
            (false, false) => String::new(),
        };
        let only = if texts < FEW { "only " } else { "" };
        let share = percent(with_label as f64 / texts as f64);
        Some(format!("Of {only}{} texts{given}, {share} had this label", thousands(texts as usize)))
    }

    /// The bar in words, for screen readers.
    fn told(&self) -> String {
        let threshold = percent(self.threshold);
        if self.result.is_none() {
            return format!("no answer yet; the threshold is {threshold}");
        }
        let side = if self.is_on() { "on: at or above" } else { "off: below" };
        let told = format!("{}, {side} its threshold of {threshold}", percent(self.probability()));
        if self.is_one {
            return format!("{told}; one model's answer");
        }
        let (low, high) = self.spread();
        format!("{told}; the models range from {} to {}", percent(low), percent(high))
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
    let sure = move || shown.with(|shown| shown.as_ref().and_then(Shown::sure));
    let alike = move |read: fn(&Evidence) -> u64| {
        shown.with(|shown| Some(read(shown.as_ref()?.evidence.as_ref()?).to_string()))
    };
    let has_table = store.part(move |state| {
        let bundle = state.model.bundle.as_ref()?;
        Some(!bundle.card.scores.per_label.get(label)?.reliability.is_empty())
    });
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
            data-alike=move || alike(|evidence| evidence.texts)
            data-alike-on=move || alike(|evidence| evidence.with_label)
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
            <Show when=move || has_table.get() == Some(true)>
                // The line is there before the answer, so that nothing moves.
                <p class="sure small quiet">{sure}</p>
            </Show>
        </li>
    }
}
