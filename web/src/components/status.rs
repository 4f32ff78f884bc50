//! The live region: what a screen reader says about results, politely and briefly.

use leptos::prelude::*;

use crate::store::Store;

#[component]
pub fn Status() -> impl IntoView {
    let store = Store::of_component();
    let status = store.part(|state| state.status.clone());
    view! {
        <p id="status" class="status" role="status" aria-live="polite">
            {status}
        </p>
    }
}
