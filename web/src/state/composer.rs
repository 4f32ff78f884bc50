//! The state of the text box: the text, and the newest answers about it.

use shared::bundle::TextAnswer;

use super::bundle_summary::BundleSummary;
use super::effect::Effect;
use super::gathering::Gathering;
use crate::models::Models;

/// Sentences to click, for those who do not know what to type.
pub const EXAMPLES: [&str; 5] = [
    "I got the place! I laughed until I cried.",
    "They promised a refund three times and now nobody picks up.",
    "The house is so quiet since she moved out.",
    "The footsteps behind me stopped when I did.",
    "We met at the bakery at nine.",
];

/// The text in the box and its answers.
#[derive(Debug, Clone, Default)]
pub struct Composer {
    pub text: String,
    /// The result of the last click on the link button, as a sentence.
    pub link_note: &'static str,
    /// The number of changes of the text so far: a pause that began with a lower number is ignored.
    pub(super) sequence: u64,
    pub(super) current: Option<Reading>,
    /// The reading before; shown until the first model has answered about the current text.
    pub(super) previous: Option<Reading>,
}

/// A text that the models were asked about, with the answers so far.
#[derive(Debug, Clone)]
pub struct Reading {
    pub text: String,
    pub gathering: Gathering,
    /// The models that wait for cold rows before they answer.
    needs_cold: Vec<usize>,
    /// The models whose answer was announced.
    pub(super) announced: Option<Models>,
}

/// The answer for one label.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelResult {
    pub name: String,
    pub probability: f32,
    /// The lowest and the highest probability of the models whose answer it is.
    pub spread: (f32, f32),
    pub threshold: f64,
    pub is_on: bool,
}

impl Composer {
    /// The newest reading that has an answer.
    pub fn shown(&self) -> Option<&Reading> {
        let current = self.current.as_ref().filter(|reading| reading.gathering.has_answer());
        current.or(self.previous.as_ref())
    }

    /// Whether the answers shown are about an older text than the one in the box.
    pub fn is_stale(&self) -> bool {
        self.shown().is_some_and(|reading| reading.text != self.text)
    }

    pub fn has_text(&self) -> bool {
        !self.text.trim().is_empty()
    }

    pub fn is_asking(&self, request: u32) -> bool {
        self.current.as_ref().is_some_and(|reading| reading.gathering.request == request)
    }

    /// Whether a model waits for cold rows before it answers about the newest text.
    pub fn waits_for_cold(&self) -> bool {
        let is_open = |reading: &&Reading| !reading.gathering.has_all_folds();
        self.current.as_ref().filter(is_open).is_some_and(|reading| {
            reading.needs_cold.iter().any(|&fold| !reading.gathering.has_answer_of(fold))
        })
    }

    /// Notes that the fold waits for cold rows, if the request is about the newest text.
    pub fn note_needs_cold(&mut self, request: u32, fold: usize) {
        let asked = |reading: &&mut Reading| reading.gathering.request == request;
        if let Some(reading) = self.current.as_mut().filter(asked) {
            reading.needs_cold.push(fold);
        }
    }

    pub fn take(&mut self, fold: usize, answers: Vec<TextAnswer>) {
        if let Some(reading) = &mut self.current {
            reading.gathering.take(fold, answers);
        }
    }

    /// Cancels the current request, unless the `expected` models have answered it. Its answers so far stay
    /// on show.
    pub fn withdraw(&mut self, expected: &[usize]) -> Option<Effect> {
        let reading = self.current.take()?;
        let request = reading.gathering.request;
        let is_settled = reading.gathering.is_settled(expected);
        if reading.gathering.has_answer() {
            self.previous = Some(reading);
        }
        (!is_settled).then_some(Effect::CancelRequest { request })
    }
}

impl Reading {
    pub fn new(text: String, gathering: Gathering) -> Self {
        Self { text, gathering, needs_cold: Vec::new(), announced: None }
    }

    /// One result for each label, in the order of the labels.
    pub fn results(&self, bundle: &BundleSummary) -> Vec<LabelResult> {
        let probabilities = self.gathering.mean(0);
        let decisions: Vec<bool> = bundle.thresholds.apply(&probabilities).collect();
        let names = bundle.labels.names().iter();
        names
            .enumerate()
            .map(|(label, name)| LabelResult {
                name: name.clone(),
                probability: probabilities[label],
                spread: self.gathering.spread(0, label),
                threshold: bundle.thresholds.values()[label],
                is_on: decisions[label],
            })
            .collect()
    }
}
