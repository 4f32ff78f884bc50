//! The name of the page, a line that says what it does, and a mark when there is no network.

use leptos::prelude::*;
use shared::words::listed;

use crate::store::Store;
use crate::words::begun;

#[component]
pub fn Header() -> impl IntoView {
    let store = Store::of_component();
    let labels = store.part(|state| state.model.label_names().to_vec());
    let models = store.part(|state| {
        let folds = state.model.bundle.as_ref()?.folds;
        Some(if state.model.wants_folds() { folds } else { 1 })
    });
    let is_online = store.part(|state| state.model.online);
    let line = move || match models.get() {
        Some(models) => {
            let (models, labels) = (begun(models, "model"), listed(&labels.get()));
            format!("{models} looking for {labels} in your words, on your own device.")
        }
        None => "Emotions in a sentence, found on your own device.".to_owned(),
    };
    view! {
        <header>
            <img class="logo" src="favicon.svg" alt="" width="50" height="41" />
            <div class="title">
                <h1>"Quintet"</h1>
                <p>{line}</p>
            </div>
            <Show when=move || !is_online.get()>
                <p id="offline" class="pill">
                    "No network"
                </p>
            </Show>
        </header>
    }
}
