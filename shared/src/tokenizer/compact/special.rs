//! Special tokens written in a text: the first that matches, and of those that begin there the longest.

use serde::{Deserialize, Serialize};

use super::super::refuse;
use crate::Result;

/// Far more than any model has, few enough to look at each wherever one might begin.
const MOST: usize = 512;

/// Texts that have an id as they stand.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SpecialTokens {
    tokens: Vec<SpecialToken>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SpecialToken {
    pub text: String,
    pub id: u32,
}

/// A piece of a text: a special token, or what stands between two.
#[derive(Debug, PartialEq)]
pub(super) enum Part<'t> {
    Special(u32),
    Text(&'t str),
}

impl SpecialTokens {
    pub fn new(tokens: Vec<SpecialToken>) -> Result<Self> {
        if tokens.len() > MOST {
            return refuse(format!("it has more than {MOST} special tokens"));
        }
        if tokens.iter().any(|token| token.text.is_empty()) {
            return refuse("it has a special token without a text");
        }
        Ok(Self { tokens })
    }

    pub fn tokens(&self) -> &[SpecialToken] {
        &self.tokens
    }

    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|token| token.id)
    }

    /// The parts of a text in order; none of them is empty.
    pub fn split<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        let (mut parts, mut done, mut place) = (Vec::new(), 0, 0);
        while let Some(start) = self.next_candidate(text, place) {
            let Some(token) = self.longest_at(text, start) else {
                place = start + 1;
                continue;
            };
            if done < start {
                parts.push(Part::Text(&text[done..start]));
            }
            parts.push(Part::Special(token.id));
            (done, place) = (start + token.text.len(), start + token.text.len());
        }
        if done < text.len() {
            parts.push(Part::Text(&text[done..]));
        }
        parts
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
            Part::Text("é"),
            Part::Special(1),
            Part::Special(2),
            Part::Text("["),
            Part::Special(1),
            Part::Text("c"),
            Part::Special(3),
        ];
        assert_eq!(parts, expected);
        assert_eq!(tokens.split(""), []);
        assert_eq!(SpecialTokens::default().split("a"), [Part::Text("a")]);
    }
}
