//! Changes of the text box: the models are asked when the typing pauses, and the newest text wins.

use shared::bundle::TextAnswer;
use shared::words::listed;

use crate::fragment;
use crate::models::Models;
use crate::state::composer::{EXAMPLES, Reading};
use crate::state::effect::{Effect, Timer};
use crate::state::event::ComposerEvent;
use crate::state::gathering::Gathering;
use crate::state::page::State;
use crate::words::percent;

/// Milliseconds: short enough to feel immediate, long enough not to ask about every letter.
const TYPING_PAUSE: u32 = 250;

/// Milliseconds that keep a screen reader from interrupting somebody who types.
const ANNOUNCE_PAUSE: u32 = 1_000;

pub fn update(state: &mut State, event: ComposerEvent) -> Vec<Effect> {
    match event {
        ComposerEvent::Typed(text) => change_text(state, text, TYPING_PAUSE),
        ComposerEvent::ExampleChosen(index) => change_text(state, EXAMPLES[index].to_owned(), 0),
        ComposerEvent::FragmentRead(fragment) => match fragment::text_in(&fragment) {
            Some(text) => change_text(state, text, 0),
            None => Vec::new(),
        },
        ComposerEvent::Share => {
            let fragment = fragment::with_text(&state.composer.text);
            vec![Effect::SetFragment { fragment: fragment.clone() }, Effect::CopyLink { fragment }]
        }
        ComposerEvent::LinkCopied => note_link(
            state,
            "Link copied. The text is in the link itself, after the #, where no server sees it.",
        ),
        ComposerEvent::LinkNotCopied => {
            note_link(state, "The link is in the address bar: copy it from there.")
        }
        ComposerEvent::LinkRefused => note_link(
            state,
            "The browser refused the link. Try again in a minute, or with a shorter text.",
        ),
    }
}

fn note_link(state: &mut State, note: &'static str) -> Vec<Effect> {
    state.composer.link_note = note;
    note.clone_into(&mut state.status);
    Vec::new()
}

fn change_text(state: &mut State, text: String, pause: u32) -> Vec<Effect> {
    if text == state.composer.text {
        return Vec::new();
    }
    // The explanation is about the old text.
    let mut effects = match state.explanation.is_of_box() {
        true => state.explanation.close(),
        false => Vec::new(),
    };
    let composer = &mut state.composer;
    composer.text = text;
    composer.link_note = "";
    composer.sequence += 1;
    if composer.has_text() {
        let (timer, sequence) = (Timer::Classify, composer.sequence);
        effects.push(Effect::Wait { timer, sequence, milliseconds: pause });
    } else {
        effects.extend(composer.withdraw(&state.model.expected(Models::Both)));
        composer.previous = None;
    }
    effects
}

pub fn elapsed(state: &mut State, timer: Timer, sequence: u64) -> Vec<Effect> {
    if sequence != state.composer.sequence {
        return Vec::new();
    }
    match timer {
        Timer::Classify => ask(state),
        Timer::Announce => announce(state),
        Timer::Rest => Vec::new(),
    }
}

/// Asks the models about the text in the box, if there is a text and the models are started.
pub fn ask(state: &mut State) -> Vec<Effect> {
    let Some(bundle) = state.model.bundle.as_ref().filter(|_| state.model.is_started) else {
        return Vec::new();
    };
    let composer = &mut state.composer;
    if !composer.has_text() {
        return Vec::new();
    }
    let request = state.requests.next();
    let cancelled = composer.withdraw(&state.model.expected(Models::Both));
    let text = composer.text.clone();
    let models = state.model.asked();
    let classify = Effect::Classify { request, texts: vec![text.clone()], models };
    composer.current = Some(Reading::new(text, Gathering::new(request, bundle.folds)));
    cancelled.into_iter().chain([classify]).collect()
}

pub fn take(state: &mut State, fold: usize, answers: Vec<TextAnswer>) -> Vec<Effect> {
    state.composer.take(fold, answers);
    settle(state)
}

/// Asks the folds about the text that the final model was asked about before they were wanted.
pub fn ask_folds(state: &State) -> Vec<Effect> {
    let Some(reading) = &state.composer.current else { return Vec::new() };
    let has_final = reading.gathering.speaker() == Some(Models::Final);
    let models = if has_final { Models::Folds } else { Models::Both };
    // The pool drops the earlier request of this number.
    let request = reading.gathering.request;
    vec![Effect::Classify { request, texts: vec![reading.text.clone()], models }]
}

/// Plans the announcement once the final model or every expected fold has answered, and again when the folds' answer
/// replaces the final model's. It is made if the text does not change before.
pub fn settle(state: &mut State) -> Vec<Effect> {
    let sequence = state.composer.sequence;
    let Some(reading) = &mut state.composer.current else { return Vec::new() };
    let speaker = reading.gathering.speaker();
    if reading.announced == speaker || !state.model.is_settled(&reading.gathering) {
        return Vec::new();
    }
    reading.announced = speaker;
    vec![Effect::Wait { timer: Timer::Announce, sequence, milliseconds: ANNOUNCE_PAUSE }]
}

fn announce(state: &mut State) -> Vec<Effect> {
    // The same text may have been asked about anew during the pause.
    let current = state.composer.current.as_ref();
    let settled = current.filter(|reading| reading.announced.is_some());
    let (Some(bundle), Some(reading)) = (&state.model.bundle, settled) else {
        return Vec::new();
    };
    let mut on = reading.results(bundle);
    on.retain(|result| result.is_on);
    on.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let said: Vec<String> = on
        .iter()
        .map(|result| format!("{} {}", result.name, percent(f64::from(result.probability))))
        .collect();
    state.status = match said.as_slice() {
        [] => "No label reaches its threshold.".to_owned(),
        said => format!("Found: {}.", listed(said)),
    };
    let answered = reading.gathering.answered();
    if reading.gathering.speaker() == Some(Models::Final) {
        state.status += " One model answered.";
    } else if answered < bundle.folds {
        state.status += &format!(" {answered} of {} models answered.", bundle.folds);
    }
    Vec::new()
}
