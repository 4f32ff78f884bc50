//! The whole page: makes the store, listens to the window, and lays out the components.

use std::rc::Rc;

use leptos::ev;
use leptos::prelude::*;

use crate::components::{
    About, Composer, Download, ErrorPanel, ExplanationPanel, Folds, Header, ManyTexts, Results,
    Status,
};
use crate::effects::Hands;
use crate::state::{self, ComposerEvent, Event, ModelEvent, State};
use crate::store::Store;

/// The page's content, at work.
#[component]
pub fn App() -> impl IntoView {
    let hands = Rc::new(Hands::default());
    let store = Store::new(State::default(), move |store, effect| hands.carry_out(store, effect));
    listen(store);
    store.carry_out(state::start());
    view! { <Page store /> }
}

/// The components over any store, which is how tests mount them.
#[component]
pub fn Page(store: Store) -> impl IntoView {
    provide_context(store);
    view! {
        <a class="skip" href="#text">
            "Skip to the text"
        </a>
        <Header />
        <main>
            <Download />
            <ErrorPanel />
            <div class="desk">
                <div class="desk-text">
                    <Composer />
                </div>
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
                "What you type stays on this device: the models run in your browser, and this page talks to \
                 no server once they are loaded."
            </p>
        </footer>
        <Status />
    }
}

/// The address and the network change without us.
fn listen(store: Store) {
    let read_fragment = move || {
        let fragment = window().location().hash().unwrap_or_default();
        store.send(Event::Composer(ComposerEvent::FragmentRead(fragment)));
    };
    let tell_online = move || {
        store.send(Event::Model(ModelEvent::Online(window().navigator().on_line())));
    };
    read_fragment();
    tell_online();
    let _ = window_event_listener(ev::hashchange, move |_| read_fragment());
    let _ = window_event_listener(ev::online, move |_| tell_online());
    let _ = window_event_listener(ev::offline, move |_| tell_online());
}
