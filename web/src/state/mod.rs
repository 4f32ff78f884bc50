//! Everything the page knows, and how it changes: a pure `update(state, event)` that answers with the
//! effects to carry out. No browser here, so all of it is tested natively; `app` runs the effects.
//!
//! ```text
//! what the visitor does, what the pool says -> Event -> update -> State (components show it)
//!                                                              -> Effect (app does it) -> Event ...
//! ```

mod batches;
mod composer;
mod ensemble;
mod explanation;
mod gathering;
mod many;
mod meter;
mod model;

#[cfg(test)]
mod tests;

pub use composer::{Composer, ComposerEvent, EXAMPLES, LabelResult, Reading};
pub use ensemble::{Card, Ensemble};
pub use explanation::{Explanation, ExplanationEvent, MOST_WORDS, Word};
pub use gathering::Gathering;
pub use many::{Job, Many, ManyEvent, Row, Table};
pub use meter::Meter;
pub use model::{ASK_ABOVE, Fold, Kept, Model, ModelEvent, Phase, RareWords};

use shared::bundle::TextAnswer;

/// The page as the visitor sees it.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub model: Model,
    pub composer: Composer,
    pub many: Many,
    pub explanation: Explanation,
    /// What the live region says: short, and never once a key stroke.
    pub status: String,
    requests: Requests,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    Model(ModelEvent),
    Composer(ComposerEvent),
    Many(ManyEvent),
    Explanation(ExplanationEvent),
    /// A fold's answers to the texts of a request, in their order.
    Answer {
        request: u32,
        fold: usize,
        answers: Vec<TextAnswer>,
    },
    /// A text of a request has a rare word, which the fold does not know yet.
    RareWords {
        request: u32,
        fold: usize,
    },
    /// A [`Effect::Wait`] is over.
    Elapsed {
        timer: Timer,
        sequence: u64,
    },
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    FetchManifest,
    /// Waits until the service worker has the page itself.
    WatchShell,
    StartPool,
    CancelLoading,
    RetryLoading,
    Classify {
        request: u32,
        texts: Vec<String>,
    },
    CancelRequest {
        request: u32,
    },
    /// Comes back as [`Event::Elapsed`]; what went stale meanwhile is told by its sequence number.
    Wait {
        timer: Timer,
        sequence: u64,
        milliseconds: u32,
    },
    ReadCacheSize,
    ClearCache,
    /// Reads the file that the visitor chose last.
    ReadFile,
    /// Hands the visitor a file made here.
    Download {
        name: String,
        content: String,
    },
    /// Puts the text into the address, behind the `#` that no server sees.
    SetFragment {
        fragment: String,
    },
    CopyLink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// From the last key stroke to the classification.
    Classify,
    /// From the last answer to its announcement.
    Announce,
}

/// Numbers for requests: each is used once.
#[derive(Debug, Clone, Default)]
struct Requests {
    last: u32,
}

impl Requests {
    fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }
}

/// The effects to begin with.
pub fn start() -> Vec<Effect> {
    vec![Effect::FetchManifest, Effect::ReadCacheSize, Effect::WatchShell]
}

pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Model(event) => model::update(state, event),
        Event::Composer(event) => composer::update(state, event),
        Event::Many(event) => many::update(state, event),
        Event::Explanation(event) => explanation::update(state, event),
        Event::Answer { request, fold, answers } => take_answers(state, request, fold, answers),
        Event::RareWords { request, fold } => {
            state.composer.note_rare_words(request, fold);
            many::note_rare_words(state, request)
        }
        Event::Elapsed { timer, sequence } => composer::elapsed(state, timer, sequence),
    }
}

/// Offers the answers to whoever asked; answers to what nobody asks any more are dropped.
fn take_answers(
    state: &mut State,
    request: u32,
    fold: usize,
    answers: Vec<TextAnswer>,
) -> Vec<Effect> {
    if state.composer.is_asking(request) {
        return composer::take(state, fold, answers);
    }
    if state.many.is_asking(request) {
        return many::take(state, request, fold, answers);
    }
    if state.explanation.is_asking(request) {
        return explanation::take(state, request, fold, answers);
    }
    Vec::new()
}
