//! The tables and the order in which they are applied.

use super::characters::CharacterSet;
use super::normalizer::Normalizer;
use super::pieces::Pieces;
use super::special::{Fragment, SpecialTokens};
use crate::tokenizer::{Encoding, FRAME};

/// The character that stands for a space inside pieces.
pub(super) const SPACE: char = '▁';

/// A tokenizer that only encodes, to the ids of the tokenizer it was made of.
///
/// It is made by `Tokenizer::compact` (feature `tokenizers`) and travels as the tensors of
/// [`to_tensors`](Self::to_tensors).
#[derive(Debug, Clone, PartialEq)]
pub struct CompactTokenizer {
    /// The special tokens that are looked for before normalisation.
    pub(super) as_written: SpecialTokens,
    pub(super) normalizer: Normalizer,
    /// The special tokens that are looked for after normalisation.
    pub(super) normalised: SpecialTokens,
    pub(super) pieces: Pieces,
    /// The characters that are words of their own; none where words are split at spaces alone.
    pub(super) punctuation: CharacterSet,
    /// The characters of words, beside which a `single_word` token is none; none where there is no such token.
    pub(super) word_characters: CharacterSet,
    pub(super) cls_id: u32,
    pub(super) sep_id: u32,
}

impl CompactTokenizer {
    /// Returns the ids of a text, at most `max_len` with `[CLS]` and `[SEP]` counted. Tokens beyond that are cut from
    /// the end of the text.
    ///
    /// # Panics
    /// If `max_len` is less than 2, the length of an empty text.
    pub fn encode(&self, text: &str, max_len: usize) -> Encoding {
        assert!(max_len >= FRAME, "max_len {max_len} has no room for [CLS] and [SEP]");
        let most = max_len - 1; // with [CLS], without [SEP]
        let mut input_ids = vec![self.cls_id];
        for fragment in self.as_written.split(text, &self.word_characters) {
            match fragment {
                Fragment::Special(id) => input_ids.push(id),
                Fragment::Text(text) => self.encode_plain(text, most, &mut input_ids),
            }
            if input_ids.len() > most {
                break;
            }
        }
        let truncated = input_ids.len() > most;
        input_ids.truncate(most);
        input_ids.push(self.sep_id);
        Encoding { input_ids, truncated }
    }

    /// Returns one more than the largest id: the rows that a word embedding needs at least.
    pub fn vocab_size(&self) -> usize {
        let special = self.as_written.ids().chain(self.normalised.ids());
        let all = special.chain([self.pieces.largest_id(), self.cls_id, self.sep_id]);
        all.max().expect("of three at least") as usize + 1
    }

    /// Appends the ids of a text without special tokens as written; stops once there are more than `most`.
    fn encode_plain(&self, text: &str, most: usize, ids: &mut Vec<u32>) {
        let text = self.normalizer.apply(text);
        for fragment in self.normalised.split(&text, &self.word_characters) {
            match fragment {
                Fragment::Special(id) => ids.push(id),
                Fragment::Text(text) => {
                    for part in self.parts(text) {
                        let part = with_spaces_marked(part);
                        for word in words(&part) {
                            self.pieces.encode(word, ids);
                            if ids.len() > most {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    /// A text that is not empty, cut before and after each punctuation character.
    fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        if self.punctuation.is_empty() {
            return vec![text];
        }
        let (mut parts, mut done) = (Vec::new(), 0);
        for (start, character) in text.char_indices() {
            if self.punctuation.contains(character) {
                let end = start + character.len_utf8();
                parts.extend([&text[done..start], &text[start..end]]);
                done = end;
            }
        }
        parts.push(&text[done..]);
        parts.retain(|part| !part.is_empty());
        parts
    }
}

fn with_spaces_marked(text: &str) -> String {
    let mut marked = text.replace(' ', SPACE.encode_utf8(&mut [0; 4]));
    if !marked.starts_with(SPACE) {
        marked.insert(0, SPACE);
    }
    marked
}

/// A text that begins with a space, cut before each.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices(SPACE).map(|(start, _)| start);
    let ends = starts.clone().skip(1).chain([text.len()]);
    starts.zip(ends).map(|(start, end)| &text[start..end])
}
