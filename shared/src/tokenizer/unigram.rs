//! Finds the pieces of a Unigram model in counted words: it begins with too many, estimates their
//! probabilities by EM and repeatedly removes those whose loss lowers the likelihood of the words least.
//!
//! The method is SentencePiece's (Kudo 2018, <https://arxiv.org/abs/1804.10959>). The trainer of the
//! `tokenizers` crate is not used: it never tries a piece that is found at the end of words only
//! ("because"), its result depends on hash seeds and the number of threads, and the suffix array under it
//! was seen to panic on a long list of words. Here all sums are taken in the order of the words.

use std::collections::{HashMap, HashSet};

/// A piece is at most this many characters long.
const LONGEST: usize = 16;

/// EM steps between two prunings.
const EM_STEPS: usize = 2;

/// A piece whose expected count is below this is removed.
const RARE: f64 = 0.5;

/// The share of the pieces that a pruning keeps.
const KEPT: f64 = 0.75;

/// Returns at most `size` pieces with their log probabilities, likeliest first; all characters are among them.
/// The words must be distinct and have at most `size` characters.
pub fn learn_pieces(words: &[(String, u32)], size: usize) -> Vec<(String, f64)> {
    let enough = size + size / 10; // the last choice is by probability, not by loss
    let mut pieces = Vocabulary::seed(words);
    loop {
        for _ in 0..EM_STEPS {
            let expected = pieces.expected_counts(words);
            pieces = pieces.reestimate(&expected);
        }
        if pieces.texts.len() <= enough {
            return pieces.likeliest(size);
        }
        pieces = pieces.prune(words, enough);
    }
}

/// Vocabulary of the words `'w`, with their log probabilities.
struct Vocabulary<'w> {
    texts: Vec<&'w str>,
    scores: Vec<f64>,
    index: HashMap<&'w str, usize>,
}

/// A piece in a word: first byte, byte after the last, number of the piece.
type Edge = (usize, usize, usize);

impl<'w> Vocabulary<'w> {
    /// Begins with all characters, and all texts that occur more than once and not always within one longer piece.
    fn seed(words: &'w [(String, u32)]) -> Self {
        let mut counts: HashMap<&str, f64> = HashMap::new();
        for (word, count) in words {
            for (start, end) in spans(word) {
                *counts.entry(&word[start..end]).or_default() += f64::from(*count);
            }
        }
        let parts =
            counts.iter().flat_map(|(text, count)| shortened(text).map(move |part| (part, count)));
        let redundant: HashSet<&str> = parts
            .filter(|(part, count)| counts.get(part) == Some(count))
            .map(|(part, _)| part)
            .collect();
        let seeds = counts
            .iter()
            .filter(|&(text, &count)| {
                is_character(text) || (count > 1.0 && !redundant.contains(text))
            })
            .map(|(&text, &count)| (text, count * text.chars().count() as f64));
        let mut seeds: Vec<(&str, f64)> = seeds.collect();
        seeds.sort_by_key(|(text, _)| *text);
        let total: f64 = seeds.iter().map(|(_, weight)| weight).sum();
        Self::new(seeds.into_iter().map(|(text, weight)| (text, (weight / total).ln())).collect())
    }

    fn new(pieces: Vec<(&'w str, f64)>) -> Self {
        let (texts, scores): (Vec<&str>, Vec<f64>) = pieces.into_iter().unzip();
        let index = texts.iter().enumerate().map(|(id, &text)| (text, id)).collect();
        Self { texts, scores, index }
    }

    /// E step: the expected count of each piece, over all segmentations of the words.
    fn expected_counts(&self, words: &[(String, u32)]) -> Vec<f64> {
        let mut expected = vec![0.0; self.texts.len()];
        for (word, count) in words {
            let edges: Vec<Edge> = self.edges(word).collect();
            let mut before = vec![f64::NEG_INFINITY; word.len() + 1];
            before[0] = 0.0;
            for &(start, end, id) in &edges {
                before[end] = log_add(before[end], before[start] + self.scores[id]);
            }
            let mut after = vec![f64::NEG_INFINITY; word.len() + 1];
            after[word.len()] = 0.0;
            for &(start, end, id) in edges.iter().rev() {
                after[start] = log_add(after[start], self.scores[id] + after[end]);
            }
            for &(start, end, id) in &edges {
                let share = (before[start] + self.scores[id] + after[end] - after[0]).exp();
                expected[id] += f64::from(*count) * share;
            }
        }
        expected
    }

    /// M step, in the Bayesian form (digamma for the logarithm), which lowers rare pieces.
    fn reestimate(&self, expected: &[f64]) -> Self {
        let kept: Vec<(&str, f64)> = std::iter::zip(&self.texts, expected)
            .filter(|&(text, &count)| is_character(text) || count >= RARE)
            .map(|(&text, &count)| (text, count.max(RARE)))
            .collect();
        let total = digamma(kept.iter().map(|(_, count)| count).sum());
        Self::new(kept.into_iter().map(|(text, count)| (text, digamma(count) - total)).collect())
    }

    /// Keeps the characters, and those other pieces whose removal would lower the likelihood most.
    fn prune(&self, words: &[(String, u32)], enough: usize) -> Self {
        let mut counts = vec![0.0; self.texts.len()];
        for (word, count) in words {
            for id in self.best_path(word, None) {
                counts[id] += f64::from(*count);
            }
        }
        let total: f64 = counts.iter().sum();
        let mut pieces: Vec<(usize, f64)> =
            (0..self.texts.len()).map(|id| (id, self.loss(id, &counts, total))).collect();
        pieces.retain(|(_, loss)| *loss > f64::NEG_INFINITY);
        pieces.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        pieces.truncate(enough.max((self.texts.len() as f64 * KEPT) as usize));
        pieces.sort_unstable_by_key(|(id, _)| *id);
        Self::new(pieces.into_iter().map(|(id, _)| (self.texts[id], self.scores[id])).collect())
    }

    /// Returns the loss of likelihood if each use of a piece is replaced by its best other segmentation.
    fn loss(&self, id: usize, counts: &[f64], total: f64) -> f64 {
        if is_character(self.texts[id]) {
            return f64::INFINITY;
        }
        let count = counts[id];
        if count == 0.0 {
            return f64::NEG_INFINITY;
        }
        let other = self.best_path(self.texts[id], Some(id));
        let other_total = total + count * (other.len() as f64 - 1.0);
        let other_score: f64 =
            other.iter().map(|&id| ((counts[id] + count) / other_total).ln()).sum();
        count * ((count / total).ln() - other_score)
    }

    /// Returns the likeliest segmentation of a text, which may be asked to do without one piece.
    fn best_path(&self, text: &str, without: Option<usize>) -> Vec<usize> {
        let mut best: Vec<(f64, Option<Edge>)> = vec![(f64::NEG_INFINITY, None); text.len() + 1];
        best[0].0 = 0.0;
        for edge in self.edges(text).filter(|&(_, _, id)| Some(id) != without) {
            let (start, end, id) = edge;
            let score = best[start].0 + self.scores[id];
            if score > best[end].0 {
                best[end] = (score, Some(edge));
            }
        }
        let mut path = Vec::new();
        let mut place = text.len();
        while let Some((start, _, id)) = best[place].1 {
            path.push(id);
            place = start;
        }
        path
    }

    /// Returns every piece found in a text, in the order of their starts.
    fn edges<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Edge> + 'a {
        spans(text)
            .filter_map(move |(start, end)| Some((start, end, *self.index.get(&text[start..end])?)))
    }

    fn likeliest(&self, size: usize) -> Vec<(String, f64)> {
        let mut pieces: Vec<(&str, f64)> =
            std::iter::zip(&self.texts, &self.scores).map(|(&t, &s)| (t, s)).collect();
        let by_score = |(a, a_score): &(&str, f64), (b, b_score): &(&str, f64)| {
            b_score.total_cmp(a_score).then(a.cmp(b))
        };
        pieces.sort_by(by_score);
        pieces.sort_by_key(|(text, _)| !is_character(text));
        pieces.truncate(size);
        pieces.sort_by(by_score);
        pieces.into_iter().map(|(text, score)| (text.to_owned(), score)).collect()
    }
}

/// Returns the start and end, in bytes, of everything in a text that may be a piece, in the order of the starts.
fn spans(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.char_indices().flat_map(|(start, _)| {
        let ends = text[start..].char_indices().take(LONGEST);
        ends.map(move |(place, character)| (start, start + place + character.len_utf8()))
    })
}

/// Returns a text without its first and without its last character, and nothing for a single character.
fn shortened(text: &str) -> impl Iterator<Item = &str> {
    let mut without_first = text.chars();
    let mut without_last = text.chars();
    without_first.next();
    without_last.next_back();
    [without_first.as_str(), without_last.as_str()].into_iter().filter(|part| !part.is_empty())
}

fn is_character(text: &str) -> bool {
    text.chars().nth(1).is_none()
}

/// ln(exp(a) + exp(b)).
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// The derivative of ln Γ: its asymptotic series, reached by digamma(x) = digamma(x + 1) - 1/x.
fn digamma(x: f64) -> f64 {
    if x < 8.0 {
        return digamma(x + 1.0) - x.recip();
    }
    let square = (x * x).recip();
    x.ln() - 0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(counted: &[(&str, u32)]) -> Vec<(String, u32)> {
        counted.iter().map(|&(word, count)| (word.to_owned(), count)).collect()
    }

    #[test]
    fn digamma_is_that_of_the_tables() {
        // Abramowitz and Stegun, table 6.1, and digamma(1/2) = -gamma - 2 ln 2. The first term left out of
        // the series is 1 / (240 x^8), at most 2.5e-10.
        let table =
            [(0.5, -1.963_510_026_021), (1.0, -0.577_215_664_902), (2.0, 0.422_784_335_098)];
        for (x, expected) in table {
            assert!((digamma(x) - expected).abs() < 2.6e-10, "digamma({x}) = {}", digamma(x));
        }
    }

    #[test]
    fn expected_counts_are_sums_over_all_ways_to_write_a_word() {
        let words = words(&[("aa", 3)]);
        // p(a a) = 1/4, p(aa) = 1/2: a third of the words are written with two pieces
        let pieces = Vocabulary::new(vec![("a", 0.5_f64.ln()), ("aa", 0.5_f64.ln())]);
        let expected = pieces.expected_counts(&words);
        assert!(
            (expected[0] - 2.0).abs() < 1e-12 && (expected[1] - 2.0).abs() < 1e-12,
            "{expected:?}"
        );
    }

    #[test]
    fn seeds_are_what_no_longer_piece_stands_for() {
        let words = words(&[("abc", 2), ("bcd", 1)]);
        // "ab" comes only in "abc"; "bc" also elsewhere; "cd" and "bcd" once
        assert_eq!(Vocabulary::seed(&words).texts, ["a", "abc", "b", "bc", "c", "d"]);
    }

    #[test]
    fn the_best_path_may_do_without_a_piece() {
        let pieces = Vocabulary::new(vec![("a", -3.0), ("b", -3.0), ("ab", -1.0), ("bb", -2.5)]);
        assert_eq!(pieces.best_path("abb", None), [1, 2]); // from the end
        assert_eq!(pieces.best_path("abb", Some(2)), [3, 0]);
    }

    #[test]
    fn a_common_word_becomes_a_piece_though_no_other_word_has_its_parts() {
        let pieces = learn_pieces(&words(&[("because", 9), ("x", 1)]), 12);
        assert!(pieces.iter().any(|(text, _)| text == "because"), "{pieces:?}");
    }

    proptest! {
        #[test]
        fn pieces_are_distinct_hold_all_characters_and_no_more_than_asked(
            counted in prop::collection::btree_map("[a-eé▁]{1,20}", 1_u32..50, 1..40),
            spare in 0_usize..60,
        ) {
            let words: Vec<(String, u32)> = counted.into_iter().collect();
            let characters: HashSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
            let size = characters.len() + spare;
            let pieces = learn_pieces(&words, size);
            prop_assert!(pieces.len() <= size);
            let texts: HashSet<&str> = pieces.iter().map(|(text, _)| text.as_str()).collect();
            prop_assert_eq!(texts.len(), pieces.len());
            prop_assert!(characters.iter().all(|character| texts.contains(character.to_string().as_str())));
            prop_assert!(pieces.iter().all(|(_, score)| *score <= 0.0));
            prop_assert!(pieces.is_sorted_by(|(_, a), (_, b)| a >= b));
        }
    }
}
