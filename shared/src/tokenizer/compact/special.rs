//! Special tokens within a text. The first match is taken, and the longest where several begin there.
//!
//! Mirrors `AddedVocabulary::find_matches` of `tokenizers` 0.23: a token may take the white space beside it, or be a
//! token only where no word character is beside it. A match that is rejected for that reason is not tried again from its
//! second character on.

use serde::{Deserialize, Serialize};

use super::characters::CharacterSet;
use crate::Result;
use crate::tokenizer::refuse;

/// The most special tokens of a tokenizer.
const MOST: usize = 1 << 16;

/// Texts that are not split into pieces but have an id of their own.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SpecialTokens {
    tokens: Vec<SpecialToken>,
    /// The places in `tokens` of those that begin with each of the 256 bytes, the longest first.
    by_first_byte: Vec<Vec<usize>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct SpecialToken {
    pub text: String,
    pub id: u32,
    /// Whether it takes the white space before it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lstrip: bool,
    /// Whether it takes the white space after it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rstrip: bool,
    /// Whether it is a token only where no word character is beside it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub single_word: bool,
}

/// A special token of a text, or the text between two.
#[derive(Debug, PartialEq)]
pub(super) enum Fragment<'t> {
    Special(u32),
    Text(&'t str),
}

impl SpecialTokens {
    pub fn new(tokens: Vec<SpecialToken>) -> Result<Self> {
        if tokens.len() > MOST {
            return refuse(format!("it has more than {MOST} special tokens"));
        }
        let mut by_first_byte = vec![Vec::new(); 1 << u8::BITS];
        for (place, token) in tokens.iter().enumerate() {
            let Some(first) = token.text.bytes().next() else {
                return refuse("one of its special tokens is empty");
            };
            by_first_byte[usize::from(first)].push(place);
        }
        for places in &mut by_first_byte {
            places.sort_by_key(|&place: &usize| std::cmp::Reverse(tokens[place].text.len()));
        }
        Ok(Self { tokens, by_first_byte })
    }

    pub fn tokens(&self) -> &[SpecialToken] {
        &self.tokens
    }

    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|token| token.id)
    }

    /// Returns the fragments of a text in order; none of them is empty.
    pub fn split<'t>(&self, text: &'t str, word_characters: &CharacterSet) -> Vec<Fragment<'t>> {
        let (mut fragments, mut done, mut place) = (Vec::new(), 0, 0);
        while let Some((start, token)) = self.next(text, place) {
            let end = start + token.text.len();
            place = end;
            let (before, after) = (&text[..start], &text[end..]);
            let is_in_a_word = || {
                before.chars().next_back().is_some_and(|c| word_characters.contains(c))
                    || after.chars().next().is_some_and(|c| word_characters.contains(c))
            };
            if token.single_word && is_in_a_word() {
                continue;
            }
            let begin = if token.lstrip { before.trim_end().len().max(done) } else { start };
            let end = if token.rstrip { text.len() - after.trim_start().len() } else { end };
            if done < begin {
                fragments.push(Fragment::Text(&text[done..begin]));
            }
            fragments.push(Fragment::Special(token.id));
            done = end;
        }
        if done < text.len() {
            fragments.push(Fragment::Text(&text[done..]));
        }
        fragments
    }

    /// The next token, and the place where it begins.
    fn next(&self, text: &str, from: usize) -> Option<(usize, &SpecialToken)> {
        let bytes = text.as_bytes();
        (from..bytes.len()).find_map(|start| {
            let places = self.by_first_byte.get(usize::from(bytes[start]))?;
            let mut tokens = places.iter().map(|&place| &self.tokens[place]);
            let token = tokens.find(|token| bytes[start..].starts_with(token.text.as_bytes()))?;
            Some((start, token))
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_of_these_the_longest_is_found() {
        let tokens = [("[A]", 1), ("[A]b", 2), ("]b", 3)];
        let tokens = tokens.map(|(text, id)| SpecialToken {
            text: text.into(),
            id,
            ..SpecialToken::default()
        });
        let tokens = SpecialTokens::new(tokens.into()).unwrap();
        let none = CharacterSet::default();
        let parts = tokens.split("é[A][A]b[[A]c]b", &none);
        let expected = [
            Fragment::Text("é"),
            Fragment::Special(1),
            Fragment::Special(2),
            Fragment::Text("["),
            Fragment::Special(1),
            Fragment::Text("c"),
            Fragment::Special(3),
        ];
        assert_eq!(parts, expected);
        assert_eq!(tokens.split("", &none), []);
        assert_eq!(SpecialTokens::default().split("a", &none), [Fragment::Text("a")]);
    }

    #[test]
    fn a_rejected_match_hides_what_begins_within_it() {
        let inner = SpecialToken { text: "b".into(), id: 2, ..SpecialToken::default() };
        let outer =
            SpecialToken { text: "ab".into(), id: 1, single_word: true, ..SpecialToken::default() };
        let tokens = SpecialTokens::new(vec![inner, outer]).unwrap();
        let letters = CharacterSet::new(vec![['a', 'z']]).unwrap();
        assert_eq!(tokens.split("xab", &letters), [Fragment::Text("xab")]);
        let found = [Fragment::Special(1), Fragment::Text(" "), Fragment::Special(2)];
        assert_eq!(tokens.split("ab b", &letters), found);
    }
}
