//! The panel for a failure: what went wrong, what to do about it, and a button to try again.

use leptos::prelude::*;

use crate::failure::Failure;
use crate::state::{Event, FoldStatus, ModelEvent, Phase};
use crate::store::Store;

#[component]
pub fn ErrorPanel() -> impl IntoView {
    let store = Store::of_component();
    let failure = store.part(|state| match &state.model.phase {
        Phase::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    let still = store.part(|state| {
        let (ready, folds) = (state.model.ready_folds(), state.model.folds.len());
        match &state.model.final_model {
            Some(FoldStatus::Ready) if ready < folds => {
                Some("One model works and answers.".to_owned())
            }
            _ => (ready > 0).then(|| format!("{ready} of {folds} models work and answer.")),
        }
    });
    view! { {move || failure.get().map(|failure| panel(store, &failure, still.get()))} }
}

fn panel(store: Store, failure: &Failure, still: Option<String>) -> impl IntoView + use<> {
    let still = still.map(|still| view! { <p>{still}</p> });
    view! {
        <section id="error" class="card error" role="alert" data-failure=failure.code()>
            <h2>{format!("{}.", failure.message())}</h2>
            <p>{failure.remedy()}</p>
            {still}
            <button
                id="retry"
                type="button"
                on:click=move |_| store.send(Event::Model(ModelEvent::Retry))
            >
                "Try again"
            </button>
        </section>
    }
}
