//! What drove a decision: each word is left out in turn, and the change of the probabilities says how
//! much it mattered. Computed on demand, as it asks the models once a word.

use std::ops::Range;

use shared::bundle::TextAnswer;

use super::batches::Batches;
use super::{Effect, State};
use crate::words::counted;

/// Texts a request: the highlighting grows as one watches.
const BATCH: usize = 8;

/// A longer text has its first words explained.
pub const MOST_WORDS: usize = 150;

#[derive(Debug, Clone, Default)]
pub struct Explanation {
    /// The label whose probability is explained.
    pub label: usize,
    job: Option<Job>,
}

#[derive(Debug, Clone)]
struct Job {
    text: String,
    words: Vec<Range<usize>>,
    /// The first is about the whole text, the others leave out a word each.
    answers: Vec<Option<Vec<f32>>>,
    batches: Batches,
}

/// A word of the explained text.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    pub text: String,
    /// The probability with the word less that without it; `None` until it is known.
    pub change: Option<f32>,
}

#[derive(Debug, Clone)]
pub enum ExplanationEvent {
    Explain,
    LabelChosen(usize),
    Close,
}

impl Explanation {
    pub fn is_asking(&self, request: u32) -> bool {
        self.job.as_ref().is_some_and(|job| job.batches.is_asking(request))
    }

    pub fn is_open(&self) -> bool {
        self.job.is_some()
    }

    /// Words whose change is known, and words in all.
    pub fn progress(&self) -> Option<(usize, usize)> {
        let job = self.job.as_ref()?;
        let known = job.answers.iter().skip(1).flatten().count();
        Some((known, job.words.len()))
    }

    pub fn is_done(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.batches.is_done())
    }

    /// The text goes on after the words explained.
    pub fn is_cut(&self) -> bool {
        self.job.as_ref().is_some_and(|job| {
            let end = job.words.last().map_or(0, |word| word.end);
            !job.text[end..].trim().is_empty()
        })
    }

    /// The words in order, with what leaving them out does to the chosen label.
    pub fn words(&self) -> impl Iterator<Item = Word> {
        let count = self.job.as_ref().map_or(0, |job| job.words.len());
        (0..count).filter_map(|index| self.word(index))
    }

    pub fn word(&self, index: usize) -> Option<Word> {
        let job = self.job.as_ref()?;
        let text = job.text[job.words.get(index)?.clone()].to_owned();
        let (whole, without) = (&job.answers[0], &job.answers[index + 1]);
        let change = whole.as_ref().zip(without.as_ref());
        Some(Word { text, change: change.map(|(p, q)| p[self.label] - q[self.label]) })
    }

    /// The whole explanation as a sentence, for those who do not see the highlighting.
    pub fn sentence(&self, label: &str) -> String {
        let mut known: Vec<(String, f32)> =
            self.words().filter_map(|word| Some((word.text, word.change?))).collect();
        known.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let told: Vec<String> = known
            .iter()
            .filter(|(_, change)| change.abs() >= 0.01)
            .take(5)
            .map(|(word, change)| {
                let verb = if *change > 0.0 { "raises" } else { "lowers" };
                let points = counted((change.abs() * 100.0).round() as usize, "point");
                format!("\u{201c}{word}\u{201d} {verb} it by {points}")
            })
            .collect();
        match told.as_slice() {
            [] => format!("No single word changes {label} by a percentage point."),
            told => format!("For {label}: {}.", told.join("; ")),
        }
    }
}

pub fn update(state: &mut State, event: ExplanationEvent) -> Vec<Effect> {
    match event {
        ExplanationEvent::Explain => explain(state),
        ExplanationEvent::LabelChosen(label) => {
            let known = state.model.ensemble.as_ref().map_or(0, super::Ensemble::label_count);
            if label < known {
                state.explanation.label = label;
            }
            Vec::new()
        }
        ExplanationEvent::Close => drop_it(state),
    }
}

fn explain(state: &mut State) -> Vec<Effect> {
    let Some(ensemble) = state.model.ensemble.as_ref().filter(|_| state.model.can_do_jobs()) else {
        return Vec::new();
    };
    let text = state.composer.text.clone();
    let words = words_of(&text);
    if words.is_empty() {
        return Vec::new();
    }
    let folds = ensemble.folds;
    let mut effects = drop_it(state);
    if let Some(reading) = state.composer.shown() {
        state.explanation.label = strongest(&reading.gathering.mean(0));
    }
    let mut texts = vec![text.clone()];
    texts.extend(words.iter().map(|word| without(&text, word)));
    let answers = vec![None; texts.len()];
    let mut batches = Batches::new(texts, BATCH, folds);
    effects.extend(batches.send(&mut state.requests));
    state.explanation.job = Some(Job { text, words, answers, batches });
    effects
}

/// Ends an explanation, finished or not: the text it is about is gone.
pub fn drop_it(state: &mut State) -> Vec<Effect> {
    match state.explanation.job.take() {
        Some(mut job) => job.batches.cancel(),
        None => Vec::new(),
    }
}

pub fn take(state: &mut State, request: u32, fold: usize, answers: Vec<TextAnswer>) -> Vec<Effect> {
    if let Some(job) = &mut state.explanation.job {
        job.batches.take(request, fold, answers);
    }
    settle(state)
}

pub fn settle(state: &mut State) -> Vec<Effect> {
    let expected = state.model.expected_folds();
    let Some(job) = &mut state.explanation.job else { return Vec::new() };
    if job.batches.is_done() {
        return Vec::new();
    }
    for answered in job.batches.settle(&expected) {
        job.answers[answered.index] = Some(answered.probabilities);
    }
    let effects = job.batches.send(&mut state.requests);
    if job.batches.is_done()
        && let Some(ensemble) = &state.model.ensemble
    {
        let label = &ensemble.labels.names()[state.explanation.label];
        state.status = state.explanation.sentence(label);
    }
    effects
}

fn strongest(probabilities: &[f32]) -> usize {
    let by_probability = |a: &usize, b: &usize| probabilities[*a].total_cmp(&probabilities[*b]);
    (0..probabilities.len()).max_by(by_probability).unwrap_or(0)
}

fn words_of(text: &str) -> Vec<Range<usize>> {
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace()
        .take(MOST_WORDS)
        .map(|word| start(word)..start(word) + word.len())
        .collect()
}

/// The text without a word and without the space that followed it.
fn without(text: &str, word: &Range<usize>) -> String {
    format!("{}{}", &text[..word.start], text[word.end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_stands_between_white_space() {
        let text = "  so,\twhat\u{a0}now?\n";
        let words: Vec<&str> = words_of(text).into_iter().map(|word| &text[word]).collect();
        assert_eq!(words, ["so,", "what", "now?"]);
    }

    #[test]
    fn leaving_a_word_out_leaves_one_space() {
        let text = "what a day";
        let left: Vec<String> = words_of(text).iter().map(|word| without(text, word)).collect();
        assert_eq!(left, ["a day", "what day", "what a "]);
    }
}
