//! A tokenizer that is flat tables: read from a bundle in milliseconds, without Hugging Face's crate.
//!
//! ```text
//! text -> special tokens as written -> normalisation -> special tokens in what came of it
//!      -> words, each beginning with a space (Metaspace) -> pieces of the likeliest path (Unigram) -> ids
//! ```
//!
//! Each step does what the `tokenizers` crate does in a tokenizer of DeBERTa-v3's form, to the same ids; [`compile`] makes
//! one of such a tokenizer and refuses others.

#[cfg(feature = "tokenizers")]
mod compile;
mod normalizer;
mod pieces;
mod special;
mod tensors;
#[cfg(test)]
#[cfg(feature = "tokenizers")]
mod tests;

use self::normalizer::Normalizer;
use self::pieces::Pieces;
use self::special::{Part, SpecialTokens};
pub use self::tensors::TokenizerTensor;
use super::{Encoding, FRAME};

/// What stands for a space inside pieces.
const SPACE: char = '▁';

/// Text to ids; nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct CompactTokenizer {
    /// Found in a text before it is normalised.
    as_written: SpecialTokens,
    normalizer: Normalizer,
    /// Found in what normalisation left.
    normalised: SpecialTokens,
    pieces: Pieces,
    cls_id: u32,
    sep_id: u32,
}

impl CompactTokenizer {
    /// The ids of a text, at most `max_len` with [CLS] and [SEP] counted; what does not fit is cut from the
    /// end of the text.
    ///
    /// # Panics
    /// If `max_len` is less than 2, the length of an empty text.
    pub fn encode(&self, text: &str, max_len: usize) -> Encoding {
        assert!(max_len >= FRAME, "max_len {max_len} has no room for [CLS] and [SEP]");
        let most = max_len - 1; // with [CLS], without [SEP]
        let mut input_ids = vec![self.cls_id];
        for part in self.as_written.split(text) {
            match part {
                Part::Special(id) => input_ids.push(id),
                Part::Text(text) => self.encode_plain(text, most, &mut input_ids),
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

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        let special = self.as_written.ids().chain(self.normalised.ids());
        let all = special.chain([self.pieces.largest_id(), self.cls_id, self.sep_id]);
        all.max().expect("of three at least") as usize + 1
    }

    /// Appends the ids of a text without special tokens as written; stops once there are more than `most`.
    fn encode_plain(&self, text: &str, most: usize, ids: &mut Vec<u32>) {
        let text = self.normalizer.apply(text);
        for part in self.normalised.split(&text) {
            match part {
                Part::Special(id) => ids.push(id),
                Part::Text(text) => {
                    let text = with_spaces_marked(text);
                    for word in words(&text) {
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
