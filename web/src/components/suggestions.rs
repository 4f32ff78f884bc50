//! What to do with the text: sentences to try, and the button that copies a link to it.
//!
//! On a narrow screen, where all is in one column, the sentences fold away once there is a text, as its answer stands there.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::MediaQueryList;

use crate::state::{ComposerEvent, EXAMPLES, Event};
use crate::store::Store;

/// The screens on which text and answer stand side by side, as `style.css` has it.
const TWO_COLUMNS: &str = "(min-width: 56rem)";

#[component]
pub fn Suggestions() -> impl IntoView {
    let store = Store::of_component();
    let has_text = store.part(|state| state.composer.has_text());
    let link_note = store.part(|state| state.composer.link_note);
    let has_room = has_two_columns();
    view! {
        <section class="card suggestions" aria-label="Sentences to try, and a link">
            <details id="suggestions" prop:open=move || has_room.get() || !has_text.get()>
                <summary class="as-label">"Or try one of these"</summary>
                <Examples />
            </details>
            <div class="row">
                <p class="quiet">{link_note}</p>
                <button
                    id="share"
                    type="button"
                    class="plain"
                    disabled=move || !has_text.get()
                    on:click=move |_| store.send(Event::Composer(ComposerEvent::Share))
                >
                    "Copy a link to this text"
                </button>
            </div>
        </section>
    }
}

#[component]
fn Examples() -> impl IntoView {
    let store = Store::of_component();
    let choose = move |index| store.send(Event::Composer(ComposerEvent::ExampleChosen(index)));
    let buttons: Vec<_> = EXAMPLES
        .iter()
        .enumerate()
        .map(|(index, example)| {
            view! {
                <li>
                    <button
                        type="button"
                        class="example"
                        data-example=index.to_string()
                        on:click=move |_| choose(index)
                    >
                        {*example}
                    </button>
                </li>
            }
        })
        .collect();
    view! {
        <ul id="examples" class="examples">
            {buttons}
        </ul>
    }
}

/// Whether there are two columns now. The window is listened to as long as the page lives.
fn has_two_columns() -> ReadSignal<bool> {
    let query = window().match_media(TWO_COLUMNS).ok().flatten();
    let (has, set) = signal(query.as_ref().is_none_or(MediaQueryList::matches));
    if let Some(query) = query {
        let asked = query.clone();
        let listener = Closure::<dyn FnMut()>::new(move || set.set(asked.matches()));
        query.set_onchange(Some(listener.as_ref().unchecked_ref()));
        listener.forget();
    }
    has
}
