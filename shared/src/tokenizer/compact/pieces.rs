//! The Unigram model (Kudo 2018, <https://arxiv.org/abs/1804.10959>): a word is written as the pieces whose scores
//! have the largest sum. Mirrors `Unigram::encode_optimized` and `tokenize` of `tokenizers` 0.23 in the order of its sums.
//!
//! The pieces lie sorted in one block of bytes. Those that begin with the next bytes of a word are a range of them, made
//! narrower with each byte; there is nothing to build when the table is loaded.

use std::cmp::Ordering;
use std::ops::Range;

use crate::Result;
use crate::tokenizer::refuse;

/// The score of an unknown character is that of the worst piece less this.
const UNKNOWN_PENALTY: f64 = 10.0;

/// Pieces of words with their ids and scores.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pieces {
    /// The pieces, sorted and end to end.
    texts: Vec<u8>,
    /// The place in `texts` where each piece begins, and the end of the last.
    starts: Vec<u32>,
    ids: Vec<u32>,
    scores: Scores,
    /// The pieces that begin with each byte: `first[byte]..first[byte + 1]`.
    first: Vec<u32>,
    unk_id: u32,
    unk_score: f64,
}

/// Log probabilities, in half the space where f32 holds them exactly (as SentencePiece's files do).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scores {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// The likeliest way to write a word up to some byte.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    id: u32,
    /// The place where its last piece begins.
    start: Option<usize>,
}

impl Pieces {
    /// Takes over sorted pieces: their texts end to end, and the length of each in bytes.
    ///
    /// # Errors
    /// If the pieces are not sorted, distinct and non-empty texts, their numbers differ, or a score is not finite.
    pub fn new(
        texts: Vec<u8>,
        lengths: &[u16],
        ids: Vec<u32>,
        scores: Scores,
        unk_id: u32,
    ) -> Result<Self> {
        let count = lengths.len();
        if count == 0 || ids.len() != count || scores.len() != count {
            return refuse("the numbers of its pieces, ids and scores differ");
        }
        let Some(starts) = starts(&texts, lengths) else {
            return refuse("its pieces are not sorted texts");
        };
        if !(0..count).all(|piece| scores.get(piece).is_finite()) {
            return refuse("a score is not a finite number");
        }
        let worst = (0..count).map(|piece| scores.get(piece)).fold(f64::INFINITY, f64::min);
        let mut pieces = Self {
            texts,
            starts,
            ids,
            scores,
            first: Vec::new(),
            unk_id,
            unk_score: worst - UNKNOWN_PENALTY,
        };
        pieces.first = pieces.index_first_bytes();
        Ok(pieces)
    }

    /// Sorts pieces of any order.
    #[cfg(feature = "tokenizers")]
    pub fn sorted(mut pieces: Vec<(&str, u32, f64)>, unk_id: u32) -> Result<Self> {
        pieces.sort_by_key(|(text, _, _)| *text);
        let texts = pieces.iter().flat_map(|(text, _, _)| text.bytes()).collect();
        let lengths: Option<Vec<u16>> =
            pieces.iter().map(|(text, _, _)| u16::try_from(text.len()).ok()).collect();
        let Some(lengths) = lengths else { return refuse("a piece is longer than 65,535 bytes") };
        let ids = pieces.iter().map(|(_, id, _)| *id).collect();
        let scores: Vec<f64> = pieces.into_iter().map(|(_, _, score)| score).collect();
        Self::new(texts, &lengths, ids, Scores::smallest(scores), unk_id)
    }

    /// Appends the ids of a word.
    pub fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let best = self.best_paths(word);
        let before = ids.len();
        let (mut end, mut unknown_end) = (word.len(), None);
        while let Some(start) = best[end].start {
            if best[end].id == self.unk_id {
                unknown_end = unknown_end.or(Some(end));
            } else {
                if let Some(unknown_end) = unknown_end.take() {
                    ids.push(self.id_of(&word[end..unknown_end]));
                }
                ids.push(best[end].id);
            }
            end = start;
        }
        if let Some(unknown_end) = unknown_end {
            ids.push(self.id_of(&word[..unknown_end]));
        }
        ids[before..].reverse();
    }

    pub fn largest_id(&self) -> u32 {
        self.ids.iter().copied().max().expect("there is a piece").max(self.unk_id)
    }

    pub fn unk_id(&self) -> u32 {
        self.unk_id
    }

    pub fn texts(&self) -> &[u8] {
        &self.texts
    }

    pub fn lengths(&self) -> impl Iterator<Item = u16> {
        self.starts.windows(2).map(|start| (start[1] - start[0]) as u16)
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// Returns the best path to each byte of the word, and to its end.
    fn best_paths(&self, word: &str) -> Vec<Best> {
        let mut best = vec![Best { score: 0.0, id: 0, start: None }; word.len() + 1];
        for (start, character) in word.char_indices() {
            let so_far = best[start].score;
            let mut reach = |length: usize, id: u32, score: f64| {
                let target = &mut best[start + length];
                let score = score + so_far;
                if target.start.is_none() || score > target.score {
                    *target = Best { score, id, start: Some(start) };
                }
            };
            let single = character.len_utf8();
            let mut known = false;
            self.prefixes(&word.as_bytes()[start..], |length, piece| {
                reach(length, self.ids[piece], self.scores.get(piece));
                known |= length == single;
            });
            if !known {
                reach(single, self.unk_id, self.unk_score);
            }
        }
        best
    }

    /// Calls `found` with the length and the place of each piece that `text` begins with, the shortest first.
    fn prefixes(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let Some(&byte) = text.first() else { return };
        let (byte, mut depth) = (usize::from(byte), 1);
        let mut range = self.first[byte] as usize..self.first[byte + 1] as usize;
        while !range.is_empty() {
            if self.text(range.start).len() == depth {
                found(depth, range.start);
            }
            let Some(&byte) = text.get(depth) else { return };
            range = self.narrowed(range, depth, byte);
            depth += 1;
        }
    }

    /// Narrows a range of pieces that are equal up to `depth` to those that go on with `byte`.
    fn narrowed(&self, range: Range<usize>, depth: usize, byte: u8) -> Range<usize> {
        let place = |range: Range<usize>, is_before: &dyn Fn(Option<&u8>) -> bool| {
            let (mut low, mut high) = (range.start, range.end);
            while low < high {
                let middle = low + (high - low) / 2;
                match is_before(self.text(middle).get(depth)) {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            low
        };
        // A piece that ends here comes before those that go on: `None` is less than `Some`.
        let start = place(range.clone(), &|next| next < Some(&byte));
        start..place(start..range.end, &|next| next <= Some(&byte))
    }

    /// Returns the id of a piece, or the unknown id for any other text.
    fn id_of(&self, text: &str) -> u32 {
        let (mut low, mut high) = (0, self.ids.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.text(middle).cmp(text.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return self.ids[middle],
            }
        }
        self.unk_id
    }

    fn text(&self, piece: usize) -> &[u8] {
        &self.texts[self.starts[piece] as usize..self.starts[piece + 1] as usize]
    }

    fn index_first_bytes(&self) -> Vec<u32> {
        let mut counts = [0; 256];
        for piece in 0..self.ids.len() {
            counts[usize::from(self.text(piece)[0])] += 1;
        }
        let mut sum = 0;
        let ends = counts.into_iter().map(|count| {
            sum += count;
            sum
        });
        std::iter::once(0).chain(ends).collect()
    }
}

impl Scores {
    fn len(&self) -> usize {
        match self {
            Self::F32(scores) => scores.len(),
            Self::F64(scores) => scores.len(),
        }
    }

    fn get(&self, piece: usize) -> f64 {
        match self {
            Self::F32(scores) => f64::from(scores[piece]),
            Self::F64(scores) => scores[piece],
        }
    }

    #[cfg(feature = "tokenizers")]
    fn smallest(scores: Vec<f64>) -> Self {
        let exact = scores.iter().all(|&score| f64::from(score as f32) == score);
        match exact {
            true => Self::F32(scores.iter().map(|&score| score as f32).collect()),
            false => Self::F64(scores),
        }
    }
}

/// Returns the places where pieces begin and the last one ends, or `None` unless they are sorted texts.
fn starts(texts: &[u8], lengths: &[u16]) -> Option<Vec<u32>> {
    let mut starts = Vec::with_capacity(lengths.len() + 1);
    let (mut rest, mut before) = (texts, &[][..]);
    starts.push(0);
    for &length in lengths {
        let (text, after) = rest.split_at_checked(usize::from(length))?;
        // Sorted and distinct, and so not empty.
        if before >= text || std::str::from_utf8(text).is_err() {
            return None;
        }
        (rest, before) = (after, text);
        starts.push(u32::try_from(texts.len() - rest.len()).ok()?);
    }
    rest.is_empty().then_some(starts)
}
