//! The text box and what the models make of it: asked when the typing pauses; the newest text wins.

use shared::bundle::TextAnswer;

use super::gathering::Gathering;
use super::{Effect, Ensemble, State, Timer, explanation};
use crate::fragment;
use crate::words::{listed, percent};

/// Short enough to feel live, long enough not to ask about every letter.
const TYPING_PAUSE: u32 = 250;

/// A screen reader shall not interrupt who is typing.
const ANNOUNCE_PAUSE: u32 = 1_000;

/// Sentences to click, for whoever does not know what to type.
pub const EXAMPLES: [&str; 5] = [
    "I got the place! I laughed until I cried.",
    "They promised a refund three times and now nobody picks up.",
    "The house is so quiet since she moved out.",
    "The footsteps behind me stopped when I did.",
    "We met at the bakery at nine.",
];

#[derive(Debug, Clone, Default)]
pub struct Composer {
    pub text: String,
    /// What became of the link that was asked for last.
    pub link_note: &'static str,
    /// Counts the changes of the text: a pause that ends with an older number is over for nothing.
    sequence: u64,
    current: Option<Reading>,
    /// Shown until the first model has answered about the current text.
    previous: Option<Reading>,
}

/// A text the models were asked about.
#[derive(Debug, Clone)]
pub struct Reading {
    pub text: String,
    pub gathering: Gathering,
    /// The folds that wait for word embeddings.
    lacking: Vec<usize>,
    is_announced: bool,
}

/// What the ensemble says about one label.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelResult {
    pub name: String,
    pub probability: f32,
    /// The least and the greatest of the folds.
    pub spread: (f32, f32),
    pub threshold: f64,
    pub is_on: bool,
}

#[derive(Debug, Clone)]
pub enum ComposerEvent {
    Typed(String),
    ExampleChosen(usize),
    /// The page was opened, or its address changed.
    FragmentRead(String),
    Share,
    LinkCopied,
    /// The clipboard is closed to us; the address bar has the link.
    LinkNotCopied,
}

impl Composer {
    /// The newest reading with an answer.
    pub fn shown(&self) -> Option<&Reading> {
        let current = self.current.as_ref().filter(|reading| reading.gathering.answered() > 0);
        current.or(self.previous.as_ref())
    }

    /// The answers shown are about an older text than the one in the box.
    pub fn is_stale(&self) -> bool {
        self.shown().is_some_and(|reading| reading.text != self.text)
    }

    pub fn is_asking(&self, request: u32) -> bool {
        self.current.as_ref().is_some_and(|reading| reading.gathering.request == request)
    }

    /// The newest text has a rare word, and a fold cannot answer before it knows that.
    pub fn waits_for_rare_words(&self) -> bool {
        self.current.as_ref().is_some_and(|reading| {
            reading.lacking.iter().any(|&fold| !reading.gathering.has_answer_of(fold))
        })
    }

    pub fn note_rare_words(&mut self, request: u32, fold: usize) {
        let asked = |reading: &&mut Reading| reading.gathering.request == request;
        if let Some(reading) = self.current.as_mut().filter(asked) {
            reading.lacking.push(fold);
        }
    }

    fn has_text(&self) -> bool {
        !self.text.trim().is_empty()
    }
}

impl Reading {
    /// One a label, in the order of the labels.
    pub fn results(&self, ensemble: &Ensemble) -> Vec<LabelResult> {
        let probabilities = self.gathering.mean(0);
        let decisions: Vec<bool> = ensemble.thresholds.apply(&probabilities).collect();
        let names = ensemble.labels.names().iter();
        names
            .enumerate()
            .map(|(label, name)| LabelResult {
                name: name.clone(),
                probability: probabilities[label],
                spread: self.gathering.spread(0, label),
                threshold: ensemble.thresholds.values()[label],
                is_on: decisions[label],
            })
            .collect()
    }
}

pub fn update(state: &mut State, event: ComposerEvent) -> Vec<Effect> {
    match event {
        ComposerEvent::Typed(text) => change_text(state, text, TYPING_PAUSE),
        ComposerEvent::ExampleChosen(index) => change_text(state, EXAMPLES[index].to_owned(), 0),
        ComposerEvent::FragmentRead(fragment) => match fragment::text_in(&fragment) {
            Some(text) if text != state.composer.text => change_text(state, text, 0),
            _ => Vec::new(),
        },
        ComposerEvent::Share => {
            let fragment = fragment::with_text(&state.composer.text);
            vec![Effect::SetFragment { fragment }, Effect::CopyLink]
        }
        ComposerEvent::LinkCopied => note_link(
            state,
            "Copied. The text is in the link itself, behind the #, where no server sees it.",
        ),
        ComposerEvent::LinkNotCopied => {
            note_link(state, "The link is in the address bar: copy it from there.")
        }
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
    let mut effects = explanation::drop_it(state);
    let composer = &mut state.composer;
    composer.text = text;
    composer.link_note = "";
    composer.sequence += 1;
    if !composer.has_text() {
        effects.extend(withdraw(state));
        state.composer.previous = None;
        return effects;
    }
    let sequence = composer.sequence;
    effects.push(Effect::Wait { timer: Timer::Classify, sequence, milliseconds: pause });
    effects
}

pub fn elapsed(state: &mut State, timer: Timer, sequence: u64) -> Vec<Effect> {
    if sequence != state.composer.sequence {
        return Vec::new();
    }
    match timer {
        Timer::Classify => ask(state),
        Timer::Announce => announce(state),
    }
}

/// Asks the models about the text in the box, where there are any and there is one.
pub fn ask(state: &mut State) -> Vec<Effect> {
    let Some(ensemble) = state.model.ensemble.as_ref().filter(|_| state.model.is_started()) else {
        return Vec::new();
    };
    if !state.composer.has_text() {
        return Vec::new();
    }
    let request = state.requests.next();
    let gathering = Gathering::new(request, ensemble.folds);
    let mut effects = withdraw(state);
    let text = state.composer.text.clone();
    let texts = vec![text.clone()];
    state.composer.current =
        Some(Reading { text, gathering, lacking: Vec::new(), is_announced: false });
    effects.push(Effect::Classify { request, texts });
    effects
}

/// Calls the current question back; its answers so far stay on show.
fn withdraw(state: &mut State) -> Vec<Effect> {
    let expected = state.model.expected_folds();
    let composer = &mut state.composer;
    let Some(reading) = composer.current.take() else { return Vec::new() };
    let request = reading.gathering.request;
    let is_settled = reading.gathering.is_settled(&expected);
    if reading.gathering.answered() > 0 {
        composer.previous = Some(reading);
    }
    if is_settled { Vec::new() } else { vec![Effect::CancelRequest { request }] }
}

pub fn take(state: &mut State, fold: usize, answers: Vec<TextAnswer>) -> Vec<Effect> {
    if let Some(reading) = &mut state.composer.current {
        reading.gathering.take(fold, answers);
    }
    settle(state)
}

/// Once everyone has answered, the result is worth saying aloud, if the text still stands by then.
pub fn settle(state: &mut State) -> Vec<Effect> {
    let expected = state.model.expected_folds();
    let sequence = state.composer.sequence;
    let Some(reading) = &mut state.composer.current else { return Vec::new() };
    if reading.is_announced || !reading.gathering.is_settled(&expected) {
        return Vec::new();
    }
    reading.is_announced = true;
    let milliseconds = ANNOUNCE_PAUSE;
    vec![Effect::Wait { timer: Timer::Announce, sequence, milliseconds }]
}

fn announce(state: &mut State) -> Vec<Effect> {
    let (Some(ensemble), Some(reading)) = (&state.model.ensemble, &state.composer.current) else {
        return Vec::new();
    };
    let mut on = reading.results(ensemble);
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
    if answered < ensemble.folds {
        state.status += &format!(" {answered} of {} models answered.", ensemble.folds);
    }
    Vec::new()
}
