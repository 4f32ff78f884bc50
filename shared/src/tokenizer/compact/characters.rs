//! Sets of characters, as the ranges that a bundle lists: which characters are punctuation or belong to words is said by
//! the tokenizer that was compiled, so that no table of Unicode has to agree with its tables.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::tokenizer::refuse;

/// The most ranges; all of Unicode's word characters are some 800.
const MOST: usize = 1 << 14;

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct CharacterSet {
    /// First and last character of each range, ascending.
    ranges: Vec<[char; 2]>,
}

impl CharacterSet {
    /// # Errors
    /// If the ranges are not ascending, or too many.
    pub fn new(ranges: Vec<[char; 2]>) -> Result<Self> {
        let ascending = ranges.is_sorted_by(|[_, end], [start, _]| end < start)
            && ranges.iter().all(|[start, end]| start <= end);
        match ascending && ranges.len() <= MOST {
            true => Ok(Self { ranges }),
            false => refuse("a set of characters is not made of ascending ranges"),
        }
    }

    /// Collects the characters that fulfil a condition.
    #[cfg(feature = "tokenizers")]
    pub fn collect(contains: impl Fn(char) -> bool) -> Self {
        let mut ranges: Vec<[char; 2]> = Vec::new();
        let mut before = None;
        for character in ('\0'..=char::MAX).filter(|&character| contains(character)) {
            match ranges.last_mut() {
                Some([_, end]) if Some(*end) == before && next(*end) == Some(character) => {
                    *end = character;
                }
                _ => ranges.push([character; 2]),
            }
            before = Some(character);
        }
        Self { ranges }
    }

    /// The set again, checked: it may come from a stranger.
    pub fn checked(self) -> Result<Self> {
        Self::new(self.ranges)
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn contains(&self, character: char) -> bool {
        let place = self.ranges.partition_point(|[_, end]| *end < character);
        self.ranges.get(place).is_some_and(|[start, _]| *start <= character)
    }
}

#[cfg(feature = "tokenizers")]
fn next(character: char) -> Option<char> {
    (character..=char::MAX).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "tokenizers")]
    fn holds_what_was_collected() {
        let is_vowel = |c: char| "aeiouäö\u{10FFFF}\u{D7FF}\u{E000}".contains(c);
        let vowels = CharacterSet::collect(is_vowel);
        assert!(('\0'..=char::MAX).all(|c| vowels.contains(c) == is_vowel(c)));
        assert!(vowels.clone().checked().is_ok());
        assert!(!CharacterSet::default().contains('a'));
    }

    #[test]
    fn refuses_ranges_out_of_order() {
        for ranges in [vec![['b', 'a']], vec![['a', 'c'], ['c', 'd']], vec![['x', 'y'], ['a', 'b']]]
        {
            assert!(CharacterSet::new(ranges).is_err());
        }
    }
}
