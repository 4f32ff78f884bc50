//! The live region: a sentence that screen readers read out when there is a result.

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
