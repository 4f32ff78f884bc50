//! Special tokens within a text. The first match is taken, and the longest where several begin there.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::tokenizer::refuse;

/// The most special tokens of a tokenizer: each is compared wherever one might begin.
const MOST: usize = 512;

/// Texts that are not split into pieces but have an id of their own.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SpecialTokens {
    tokens: Vec<SpecialToken>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SpecialToken {
    pub text: String,
    pub id: u32,
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
        if tokens.iter().any(|token| token.text.is_empty()) {
            return refuse("one of its special tokens is empty");
        }
        Ok(Self { tokens })
    }

    pub fn tokens(&self) -> &[SpecialToken] {
        &self.tokens
    }

    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|token| token.id)
    }

    /// Returns the fragments of a text in order; none of them is empty.
    pub fn split<'t>(&self, text: &'t str) -> Vec<Fragment<'t>> {
        let (mut fragments, mut done, mut place) = (Vec::new(), 0, 0);
        while let Some(start) = self.next_candidate(text, place) {
            let Some(token) = self.longest_at(text, start) else {
                place = start + 1;
                continue;
            };
            if done < start {
                fragments.push(Fragment::Text(&text[done..start]));
            }
            fragments.push(Fragment::Special(token.id));
            (done, place) = (start + token.text.len(), start + token.text.len());
        }
        if done < text.len() {
            fragments.push(Fragment::Text(&text[done..]));
        }
        fragments
    }

    /// The next byte that some token begins with.
    fn next_candidate(&self, text: &str, from: usize) -> Option<usize> {
        let begins = |byte: &u8| self.tokens.iter().any(|token| token.text.as_bytes()[0] == *byte);
        text.as_bytes()[from..].iter().position(begins).map(|place| from + place)
    }

    fn longest_at(&self, text: &str, start: usize) -> Option<&SpecialToken> {
        let rest = &text.as_bytes()[start..];
        let here = self.tokens.iter().filter(|token| rest.starts_with(token.text.as_bytes()));
        here.max_by_key(|token| token.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_of_these_the_longest_is_found() {
        let tokens = [("[A]", 1), ("[A]b", 2), ("]b", 3)];
        let tokens = tokens.map(|(text, id)| SpecialToken { text: text.into(), id });
        let tokens = SpecialTokens::new(tokens.into()).unwrap();
        let parts = tokens.split("é[A][A]b[[A]c]b");
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
        assert_eq!(tokens.split(""), []);
        assert_eq!(SpecialTokens::default().split("a"), [Fragment::Text("a")]);
    }
}
