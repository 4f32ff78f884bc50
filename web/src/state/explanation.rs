//! The state of an explanation: a text, and what leaving out each of its words does to the
//! probabilities.

use shared::bundle::TextAnswer;
use shared::words::counted;

use super::batches::Batches;
use super::effect::{Effect, Requests};
use crate::explained::Explained;
use crate::models::Models;

/// Texts in a request: few enough that the highlighting grows before the visitor's eyes.
const BATCH: usize = 8;

/// The explained label, and the explanation if there is one.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    /// The index of the label whose probability is explained.
    pub label: usize,
    asked: Option<Asked>,
}

/// An explained text and the requests about it.
#[derive(Debug, Clone)]
struct Asked {
    explained: Explained,
    /// The row of the table of many texts whose text it is; `None` for the text in the box.
    row: Option<usize>,
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
    /// Begins an explanation of the text by these models, if it has words; a previous one ends. The text is that of a `row`
    /// of the table of many texts, or the one in the box.
    pub fn begin(
        &mut self,
        text: &str,
        row: Option<usize>,
        folds: usize,
        models: Models,
        requests: &mut Requests,
    ) -> Vec<Effect> {
        let explained = Explained::new(text);
        if explained.words().is_empty() {
            return Vec::new();
        }
        let mut effects = self.close();
        let batches = Batches::new(explained.text_count(), BATCH, folds, models);
        let mut asked = Asked { explained, row, batches };
        effects.extend(asked.send(requests));
        self.asked = Some(asked);
        effects
    }

    /// Ends the explanation, finished or not.
    pub fn close(&mut self) -> Vec<Effect> {
        self.asked.take().map_or_else(Vec::new, |mut asked| asked.batches.cancel())
    }

    pub fn is_asking(&self, request: u32) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.batches.is_asking(request))
    }

    pub fn take(&mut self, request: u32, fold: usize, answers: Vec<TextAnswer>) {
        if let Some(asked) = &mut self.asked {
            asked.batches.take(request, fold, answers);
        }
    }

    /// Notes what every expected model has answered, and sends more.
    pub fn settle(&mut self, expected: &[usize], requests: &mut Requests) -> Vec<Effect> {
        let Some(asked) = &mut self.asked else { return Vec::new() };
        for answered in asked.batches.settle(expected) {
            asked.explained.note(answered.index, answered.probabilities);
        }
        asked.send(requests)
    }

    /// The models whose answer is explained; `None` if there is no explanation.
    pub fn models(&self) -> Option<Models> {
        self.asked.as_ref().map(|asked| asked.batches.models())
    }

    /// Whether the text in the box is explained.
    pub fn is_of_box(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.row.is_none())
    }

    /// The row of the table of many texts that is explained.
    pub fn row(&self) -> Option<usize> {
        self.asked.as_ref().and_then(|asked| asked.row)
    }

    /// The number of words whose change is known, and the number of words.
    pub fn progress(&self) -> Option<(usize, usize)> {
        let Asked { explained, .. } = self.asked.as_ref()?;
        Some((explained.known(), explained.words().len()))
    }

    pub fn is_done(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.batches.is_done())
    }

    /// Whether the text has more words than are explained.
    pub fn is_cut(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.explained.is_cut())
    }

    /// The words in order, with their effect on the chosen label.
    pub fn words(&self) -> impl Iterator<Item = Word> {
        let count = self.asked.as_ref().map_or(0, |asked| asked.explained.words().len());
        (0..count).filter_map(|index| self.word(index))
    }

    pub fn word(&self, index: usize) -> Option<Word> {
        let Asked { explained, .. } = self.asked.as_ref()?;
        let text = explained.word(index)?.to_owned();
        Some(Word { text, change: explained.change(index, self.label) })
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

impl Asked {
    /// Sends as many batches as may be under way. Only their texts are in memory, as each is nearly the whole text.
    fn send(&mut self, requests: &mut Requests) -> Vec<Effect> {
        self.batches.send(|text| self.explained.text_at(text), requests)
    }
}
