//! The whole page: creates the store, listens to the window, and lays out the components.

use std::rc::Rc;

use leptos::ev;
use leptos::prelude::*;

use crate::components::{
    About, Composer, Download, ErrorPanel, ExplanationPanel, Folds, Header, ManyTexts, Results,
    Status, Suggestions,
};
use crate::effects::EffectRunner;
use crate::state::{self, ComposerEvent, Event, ModelEvent, State};
use crate::store::Store;

/// The page with its models.
#[component]
pub fn App() -> impl IntoView {
    let runner = Rc::new(EffectRunner::default());
    let store = Store::new(State::default(), move |store, effect| runner.carry_out(store, effect));
    listen(store);
    store.carry_out(state::start());
    view! { <Page store /> }
}

/// The components over any store; tests mount this.
#[component]
pub fn Page(store: Store) -> impl IntoView {
    provide_context(store);
    let has_text = store.part(|state| state.composer.has_text());
    view! {
        <a class="skip" href="#text">
            "Skip to the text"
        </a>
        <Header />
        <main>
            <Download />
            <ErrorPanel />
            <div class="desk" data-has-text=move || has_text.get().to_string()>
                <Composer />
                <Suggestions />
                <div class="desk-answer">
                    <Results />
                    <Folds />
                    <ExplanationPanel />
                </div>
            </div>
            <ManyTexts />
            <About />
        </main>
        <footer>
            <p>
                "What you type stays on this device: the models run in your browser, and no request \
                 carries a word of it."
            </p>
        </footer>
        <Status />
    }
}

/// Sends an event when the address or the connection changes, and when the page is hidden, seen again or left.
fn listen(store: Store) {
    let read_fragment = move || {
        let fragment = window().location().hash().unwrap_or_default();
        store.send(Event::Composer(ComposerEvent::FragmentRead(fragment)));
    };
    let tell_online = move || {
        store.send(Event::Model(ModelEvent::Online(window().navigator().on_line())));
    };
    let tell_seen = move || store.send(Event::Model(ModelEvent::Seen(!document().hidden())));
    read_fragment();
    tell_online();
    let _ = window_event_listener(ev::hashchange, move |_| read_fragment());
    let _ = window_event_listener(ev::online, move |_| tell_online());
    let _ = window_event_listener(ev::offline, move |_| tell_online());
    // A page that is left is hidden next, which tells the models nothing new. The state must not be touched then: Firefox
    // stops the scripts of a process that it ends wherever they are, and the state may be locked for good.
    let is_left = StoredValue::new_local(false);
    let _ = window_event_listener_untyped("visibilitychange", move |_| {
        if !is_left.get_value() {
            tell_seen();
        }
    });
    let _ = window_event_listener_untyped("pageshow", move |_| {
        is_left.set_value(false);
        tell_seen();
    });
    let _ = window_event_listener_untyped("pagehide", move |_| {
        is_left.set_value(true);
        store.send(Event::Model(ModelEvent::Left));
    });
}
