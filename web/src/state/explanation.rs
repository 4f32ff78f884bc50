//! The state of an explanation: a text, and what leaving out each of its words does to the
//! probabilities.

use std::ops::Range;

use shared::bundle::TextAnswer;
use shared::words::counted;

use super::batches::Batches;
use super::effect::{Effect, Requests};
use crate::models::Models;

/// Texts in a request: few enough that the highlighting grows before the visitor's eyes.
const BATCH: usize = 8;

/// Words of a text that are explained; the rest of a longer text is not.
pub const MOST_WORDS: usize = 150;

/// The explained label, and the explanation if there is one.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    /// The index of the label whose probability is explained.
    pub label: usize,
    explained: Option<Explained>,
}

/// An explained text and the answers so far.
#[derive(Debug, Clone)]
struct Explained {
    text: String,
    words: Vec<Range<usize>>,
    /// The probabilities of the whole text, and then of the text without each word.
    answers: Vec<Option<Vec<f32>>>,
    batches: Batches,
}

/// A word of the explained text.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    pub text: String,
    /// The probability with the word minus that without it; `None` until it is known.
    pub change: Option<f32>,
}

impl Explanation {
    /// Begins an explanation of the text by these models, if it has words; a previous one ends.
    pub fn begin(
        &mut self,
        text: &str,
        folds: usize,
        models: Models,
        requests: &mut Requests,
    ) -> Vec<Effect> {
        let words = words_of(text);
        if words.is_empty() {
            return Vec::new();
        }
        let mut effects = self.close();
        let mut texts = vec![text.to_owned()];
        texts.extend(words.iter().map(|word| without(text, word)));
        let answers = vec![None; texts.len()];
        let mut batches = Batches::new(texts, BATCH, folds, models);
        effects.extend(batches.send(requests));
        self.explained = Some(Explained { text: text.to_owned(), words, answers, batches });
        effects
    }

    /// Ends the explanation, finished or not.
    pub fn close(&mut self) -> Vec<Effect> {
        self.explained.take().map_or_else(Vec::new, |mut explained| explained.batches.cancel())
    }

    pub fn is_asking(&self, request: u32) -> bool {
        self.explained.as_ref().is_some_and(|explained| explained.batches.is_asking(request))
    }

    pub fn take(&mut self, request: u32, fold: usize, answers: Vec<TextAnswer>) {
        if let Some(explained) = &mut self.explained {
            explained.batches.take(request, fold, answers);
        }
    }

    /// Notes what every expected model has answered, and sends more.
    pub fn settle(&mut self, expected: &[usize], requests: &mut Requests) -> Vec<Effect> {
        let Some(explained) = &mut self.explained else { return Vec::new() };
        for answered in explained.batches.settle(expected) {
            explained.answers[answered.index] = Some(answered.probabilities);
        }
        explained.batches.send(requests)
    }

    /// The models whose answer is explained; `None` if there is no explanation.
    pub fn models(&self) -> Option<Models> {
        self.explained.as_ref().map(|explained| explained.batches.models())
    }

    pub fn is_open(&self) -> bool {
        self.explained.is_some()
    }

    /// The number of words whose change is known, and the number of words.
    pub fn progress(&self) -> Option<(usize, usize)> {
        let explained = self.explained.as_ref()?;
        let known = explained.answers.iter().skip(1).flatten().count();
        Some((known, explained.words.len()))
    }

    pub fn is_done(&self) -> bool {
        self.explained.as_ref().is_some_and(|explained| explained.batches.is_done())
    }

    /// Whether the text has more words than are explained.
    pub fn is_cut(&self) -> bool {
        self.explained.as_ref().is_some_and(|explained| {
            let end = explained.words.last().map_or(0, |word| word.end);
            !explained.text[end..].trim().is_empty()
        })
    }

    /// The words in order, with their effect on the chosen label.
    pub fn words(&self) -> impl Iterator<Item = Word> {
        let count = self.explained.as_ref().map_or(0, |explained| explained.words.len());
        (0..count).filter_map(|index| self.word(index))
    }

    pub fn word(&self, index: usize) -> Option<Word> {
        let Explained { text, words, answers, .. } = self.explained.as_ref()?;
        let text = text[words.get(index)?.clone()].to_owned();
        let change = answers[0].as_ref().zip(answers[index + 1].as_ref());
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

fn words_of(text: &str) -> Vec<Range<usize>> {
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace()
        .take(MOST_WORDS)
        .map(|word| start(word)..start(word) + word.len())
        .collect()
}

/// The text without the word and the space that follows it.
fn without(text: &str, word: &Range<usize>) -> String {
    format!("{}{}", &text[..word.start], text[word.end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_separated_by_white_space() {
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
