//! A mark for each model: loading, ready, or answered.

use leptos::prelude::*;

use crate::models::Models;
use crate::state::{FoldStatus, State};
use crate::store::Store;
use crate::words::begun;

#[component]
pub fn Folds() -> impl IntoView {
    let store = Store::of_component();
    let has_models = store.part(|state| state.model.bundle.is_some());
    let folds =
        store.part(|state| if state.model.wants_folds() { state.model.folds.len() } else { 0 });
    let marks = move || (0..folds.get()).map(|fold| view! { <Mark fold /> }).collect_view();
    let told = store.part(told);
    view! {
        <Show when=move || has_models.get()>
            <section class="folds-panel" aria-label="The models' answers">
                <Show when=move || { folds.get() > 0 }>
                    <ul id="folds" class="folds">
                        {marks}
                    </ul>
                </Show>
                <p class="quiet">{told}</p>
            </section>
        </Show>
    }
}

#[component]
fn Mark(fold: usize) -> impl IntoView {
    let store = Store::of_component();
    let standing = store.part(move |state| standing(state, fold));
    view! {
        <li class="fold" data-fold=fold.to_string() data-state=standing>
            <span class="visually-hidden">
                {move || format!("Model {}: {}", fold + 1, in_words(standing.get()))}
            </span>
            <span aria-hidden="true">{fold + 1}</span>
        </li>
    }
}

fn standing(state: &State, fold: usize) -> &'static str {
    let has_answered = || {
        let shown = state.composer.shown().filter(|_| !state.composer.is_stale());
        shown.is_some_and(|reading| reading.gathering.has_answer_of(fold))
    };
    match state.model.folds.get(fold) {
        Some(FoldStatus::Failed(_)) => "failed",
        Some(FoldStatus::Ready) if has_answered() => "answered",
        Some(FoldStatus::Ready) => "ready",
        Some(FoldStatus::Waiting | FoldStatus::Unasked) | None => "loading",
    }
}

fn in_words(standing: &str) -> &'static str {
    match standing {
        "failed" => "failed",
        "answered" => "has answered",
        "ready" => "ready",
        _ => "loading",
    }
}

/// The marks as a sentence.
fn told(state: &State) -> String {
    let folds = state.model.folds.len();
    let failed =
        state.model.folds.iter().filter(|fold| matches!(fold, FoldStatus::Failed(_))).count();
    let shown = state.composer.shown().filter(|_| !state.composer.is_stale());
    let answered = shown.map_or(0, |reading| reading.gathering.answered());
    let speaks = shown.and_then(|reading| reading.gathering.speaker());
    match (state.model.wants_folds(), speaks) {
        (false, Some(_)) => return "The final model has answered, one model alone.".to_owned(),
        (false, None) => {
            return "One model reads each text: the final model, which learned from all texts."
                .to_owned();
        }
        (true, Some(Models::Final)) => {
            return format!(
                "One model has answered. The mean of {folds} others will replace its answer: {answered} of \
                 {folds} have answered."
            );
        }
        (true, _) => {}
    }
    if answered == 0 {
        return match folds {
            1 => "One model reads each text.".to_owned(),
            _ => format!(
                "{}, each trained on a different part of the data, read each text; the bars show \
                 the mean of their answers.",
                begun(folds, "model")
            ),
        };
    }
    if answered == folds {
        return match folds {
            1 => "The model has answered.".to_owned(),
            _ => format!("All {folds} models have answered: the bars show their mean."),
        };
    }
    let others = if failed > 0 && failed + answered == folds { "failed" } else { "will join in" };
    format!(
        "{answered} of {folds} models have answered; the bars show their mean. The others {others}."
    )
}
