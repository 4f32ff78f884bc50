//! The changes of the state: each event is handled by the file of the part that it is about.

use shared::bundle::TextAnswer;

use super::effect::{Effect, Timer};
use super::event::Event;
use super::page::State;

mod composer;
mod explanation;
mod many;
mod model;

/// The effects to begin with.
pub fn start() -> Vec<Effect> {
    vec![Effect::FetchManifest, Effect::ReadCacheSize, Effect::WatchShell]
}

/// Changes the state by an event and returns the effects to carry out.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Model(event) => model::update(state, event),
        Event::Composer(event) => composer::update(state, event),
        Event::Many(event) => many::update(state, event),
        Event::Explanation(event) => explanation::update(state, event),
        Event::Answer { request, fold, answers } => take_answers(state, request, fold, answers),
        Event::NeedsCold { request, fold } => {
            state.composer.note_needs_cold(request, fold);
            many::note_needs_cold(state, request)
        }
        Event::Elapsed { timer: Timer::Rest, sequence } => model::rest(state, sequence),
        Event::Elapsed { timer, sequence } => composer::elapsed(state, timer, sequence),
    }
}

/// Hands the answers to the part that asked; answers to a cancelled request are dropped.
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
