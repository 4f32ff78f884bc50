//! The JavaScript package's answer to a text and its explanation, as plain objects. They are made here, where they are tested
//! natively; the exports are in `bin/quintet`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use shared::bundle::{Manifest, TextAnswer};
use shared::ensemble;

use crate::explained::Explained;
use crate::models::Models;

/// The answer to a text; serialises to the package's type `Answer`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    labels: Labels<'a>,
    models: Models,
    truncated: bool,
}

/// A map from label names, in the order of the labels.
#[derive(Debug)]
struct Labels<'a>(Vec<(&'a str, Label)>);

#[derive(Debug, Serialize)]
struct Label {
    probability: f32,
    threshold: f64,
    on: bool,
    lowest: f32,
    highest: f32,
    folds: Vec<f32>,
}

impl<'a> Answer<'a> {
    /// Combines the answers of these models, the folds or the final model alone: their mean, compared with the
    /// bundle's thresholds.
    pub fn new(manifest: &'a Manifest, models: Models, answers: &[&TextAnswer]) -> Self {
        let probabilities: Vec<Vec<f32>> =
            answers.iter().map(|answer| answer.probabilities.clone()).collect();
        let means = ensemble::mean(&probabilities);
        let thresholds = manifest.thresholds();
        let decisions: Vec<bool> = thresholds.apply(&means).collect();
        let names = manifest.labels().names().iter().enumerate();
        let labels = names.map(|(index, name)| {
            let all: Vec<f32> = probabilities.iter().map(|model| model[index]).collect();
            let label = Label {
                probability: means[index],
                threshold: thresholds.values()[index],
                on: decisions[index],
                lowest: all.iter().copied().fold(f32::INFINITY, f32::min),
                highest: all.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                folds: if models == Models::Final { Vec::new() } else { all },
            };
            (name.as_str(), label)
        });
        Self {
            labels: Labels(labels.collect()),
            models,
            truncated: answers.iter().any(|answer| answer.truncated),
        }
    }
}

/// An explanation of an answer; serialises to the package's type `Explanation`.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    label: &'a str,
    probability: f32,
    words: Vec<Word>,
    models: Models,
    cut: bool,
}

#[derive(Debug, Serialize)]
struct Word {
    text: String,
    /// Places in the text as JavaScript counts them, in units of UTF-16.
    start: usize,
    end: usize,
    change: f32,
}

impl<'a> Explanation<'a> {
    /// Takes the answers to all texts of `explained`, for the label at this index.
    pub fn new(mut explained: Explained, label: usize, answers: &'a [Answer]) -> Self {
        for (index, answer) in answers.iter().enumerate() {
            explained
                .note(index, answer.labels.0.iter().map(|(_, label)| label.probability).collect());
        }
        // The end of the word before, in bytes and in units of UTF-16.
        let (mut read, mut units) = (0, 0);
        let words = explained.words().iter().enumerate().map(|(index, place)| {
            let text = explained.word(index).unwrap_or_default().to_owned();
            let start = units + explained.text()[read..place.start].encode_utf16().count();
            let end = start + text.encode_utf16().count();
            (read, units) = (place.end, end);
            Word { text, start, end, change: explained.change(index, label).unwrap_or_default() }
        });
        let (name, of_label) = &answers[0].labels.0[label];
        Self {
            label: name,
            probability: of_label.probability,
            words: words.collect(),
            models: answers[0].models,
            cut: explained.is_cut(),
        }
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, label) in &self.0 {
            map.serialize_entry(name, label)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_words_are_those_of_javascript() {
        let text = "ach \u{1f600}\u{1f600} größer,  so";
        let explained = Explained::new(text);
        let answer = |probability| Answer {
            labels: Labels(vec![(
                "joy",
                Label {
                    probability,
                    threshold: 0.5,
                    on: false,
                    lowest: probability,
                    highest: probability,
                    folds: Vec::new(),
                },
            )]),
            models: Models::Final,
            truncated: false,
        };
        let answers: Vec<Answer<'_>> = [0.75, 0.5, 0.75, 0.75, 1.0].map(answer).into();
        let explanation = Explanation::new(explained, 0, &answers);
        let units: Vec<u16> = text.encode_utf16().collect();
        for word in &explanation.words {
            let found = String::from_utf16(&units[word.start..word.end]).unwrap();
            assert_eq!(found, word.text);
        }
        let changes: Vec<f32> = explanation.words.iter().map(|word| word.change).collect();
        assert_eq!(changes, [0.25, 0.0, 0.0, -0.25]);
    }
}
