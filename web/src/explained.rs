//! A text explained by its words: what leaving out each of them does to the probabilities.

use std::ops::Range;

/// Words of a text that are explained; the rest of a longer text is not.
pub const MOST_WORDS: usize = 150;

/// An explained text and the answers so far.
#[derive(Debug, Clone)]
pub struct Explained {
    text: String,
    words: Vec<Range<usize>>,
    /// The probabilities of the whole text, and then of the text without each word.
    answers: Vec<Option<Vec<f32>>>,
}

impl Explained {
    /// A text of which nothing is known yet.
    pub fn new(text: &str) -> Self {
        let words = words_of(text);
        let answers = vec![None; words.len() + 1];
        Self { text: text.to_owned(), words, answers }
    }

    /// The texts to classify: the whole one, and then the text without each word.
    pub fn texts(&self) -> Vec<String> {
        (0..self.text_count()).map(|index| self.text_at(index)).collect()
    }

    /// The number of texts to classify.
    pub fn text_count(&self) -> usize {
        self.words.len() + 1
    }

    /// The text to classify at this index of [`texts`](Self::texts). All of them take much memory if the text is long.
    pub fn text_at(&self, index: usize) -> String {
        match index.checked_sub(1) {
            None => self.text.clone(),
            Some(word) => without(&self.text, &self.words[word]),
        }
    }

    /// Notes the probabilities of the text at this index of [`texts`](Self::texts).
    pub fn note(&mut self, index: usize, probabilities: Vec<f32>) {
        self.answers[index] = Some(probabilities);
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The places of the words in the text.
    pub fn words(&self) -> &[Range<usize>] {
        &self.words
    }

    pub fn word(&self, index: usize) -> Option<&str> {
        Some(&self.text[self.words.get(index)?.clone()])
    }

    /// The probability of a label with the word minus that without it; `None` until it is known.
    pub fn change(&self, word: usize, label: usize) -> Option<f32> {
        let (with, without) = (self.answers[0].as_ref()?, self.answers[word + 1].as_ref()?);
        Some(with[label] - without[label])
    }

    /// The number of words whose change is known, once that of the whole text is.
    pub fn known(&self) -> usize {
        self.answers.iter().skip(1).flatten().count()
    }

    /// Whether the text has more words than are explained.
    pub fn is_cut(&self) -> bool {
        let end = self.words.last().map_or(0, |word| word.end);
        !self.text[end..].trim().is_empty()
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
        let explained = Explained::new("what a day");
        assert_eq!(explained.texts(), ["what a day", "a day", "what day", "what a "]);
        assert_eq!(explained.text_count(), 4);
    }

    #[test]
    fn a_change_is_known_when_both_answers_are() {
        let mut explained = Explained::new("what a day");
        explained.note(2, vec![0.25, 0.5]);
        assert_eq!((explained.change(1, 0), explained.known()), (None, 1));
        explained.note(0, vec![0.75, 0.25]);
        assert_eq!((explained.change(1, 0), explained.change(1, 1)), (Some(0.5), Some(-0.25)));
        assert_eq!((explained.change(0, 0), explained.word(1)), (None, Some("a")));
    }
}
