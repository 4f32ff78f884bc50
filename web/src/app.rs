//! The whole page, for now: the product's name and what to expect of it.

use leptos::prelude::*;

/// The page's content. The sentence says what is true today: there is no classifier here yet.
#[component]
pub fn App() -> impl IntoView {
    view! {
        <main>
            <h1>"Quintet"</h1>
            <p>
                "Five models that name the emotions in a sentence, in your own browser: they are not \
                 here yet, so this page cannot classify anything today."
            </p>
        </main>
    }
}
