//! Texts that are nearly equal: another number, a word more, another ending.
//!
//! Two texts are near if of all runs of five characters that either has, both have at least 80% (Jaccard). Comparing each
//! with each would take minutes on large files, so texts are compared that agree in one of sixteen bands of a MinHash
//! signature: A. Broder, "On the resemblance and containment of documents" (1997). Of pairs at 80%, this finds 99.9%.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use shared::kernels::random::splitmix64;
use xxhash_rust::xxh3::xxh3_64;

use super::text_key::text_key;

const SHINGLE: usize = 5;
const BANDS: usize = 16;
const BAND_HASHES: usize = 4;
const HASHES: usize = BANDS * BAND_HASHES;

/// The least Jaccard similarity of near texts.
const NEAR: f64 = 0.8;

/// The pairs of each text are limited, as a template of a thousand texts would have half a million.
const MOST_OF_A_BUCKET: usize = 50;

/// Two texts, the earlier first, and their similarity from 0.8 to below 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearPair {
    pub rows: (usize, usize),
    pub similarity: f64,
}

/// The pairs of near texts that are not equal, by their rows. Of texts with the same [`text_key`] the first stands for all.
pub fn near_duplicates(texts: &[String]) -> Vec<NearPair> {
    let keys: Vec<String> = texts.par_iter().map(|text| text_key(text)).collect();
    let mut seen = HashSet::new();
    let keys: Vec<(usize, &str)> =
        keys.iter().map(String::as_str).enumerate().filter(|&(_, key)| seen.insert(key)).collect();
    let shingles: Vec<Vec<u64>> = keys.par_iter().map(|(_, key)| shingles(key)).collect();
    let signatures: Vec<[u64; HASHES]> = shingles.par_iter().map(|set| signature(set)).collect();
    let mut candidates: Vec<(usize, usize)> =
        (0..BANDS).into_par_iter().flat_map_iter(|band| candidates_of(band, &signatures)).collect();
    candidates.par_sort_unstable();
    candidates.dedup();
    candidates
        .into_par_iter()
        .filter_map(|(one, other)| {
            let similarity = jaccard(&shingles[one], &shingles[other]);
            let rows = (keys[one].0, keys[other].0);
            (similarity >= NEAR).then_some(NearPair { rows, similarity })
        })
        .collect()
}

/// Hashes of all runs of five characters, ascending and each once; of a shorter text, of the whole.
fn shingles(key: &str) -> Vec<u64> {
    let ends: Vec<usize> = key.char_indices().map(|(place, _)| place).chain([key.len()]).collect();
    let mut hashes: Vec<u64> = if ends.len() <= SHINGLE {
        vec![xxh3_64(key.as_bytes())]
    } else {
        ends.windows(SHINGLE + 1)
            .map(|ends| xxh3_64(&key.as_bytes()[ends[0]..ends[SHINGLE]]))
            .collect()
    };
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// The least of each of 64 hashes of the shingles.
fn signature(shingles: &[u64]) -> [u64; HASHES] {
    std::array::from_fn(|hash| {
        let salt = splitmix64(hash as u64);
        // A multiplication mixes well enough where the shingles are hashes already.
        let mixed = shingles.iter().map(|shingle| (shingle ^ salt).wrapping_mul(salt | 1));
        mixed.map(|mixed| mixed ^ mixed >> 32).min().unwrap_or(u64::MAX)
    })
}

/// The pairs of texts that agree in a band.
fn candidates_of(band: usize, signatures: &[[u64; HASHES]]) -> Vec<(usize, usize)> {
    let mut buckets: HashMap<&[u64], Vec<usize>> = HashMap::new();
    for (text, signature) in signatures.iter().enumerate() {
        let hashes = &signature[band * BAND_HASHES..][..BAND_HASHES];
        buckets.entry(hashes).or_default().push(text);
    }
    let crowded = buckets.into_values().filter(|texts| texts.len() > 1);
    crowded
        .flat_map(|texts| {
            let texts: Vec<usize> = texts.into_iter().take(MOST_OF_A_BUCKET).collect();
            let others = |place: usize| texts[place + 1..].to_vec();
            (0..texts.len())
                .flat_map(|place| others(place).into_iter().map(move |other| (place, other)))
                .map(|(place, other)| (texts[place], other))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The size of the intersection over that of the union of two ascending sets.
fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let (mut a, mut b, mut both) = (0, 0, 0usize);
    while a < one.len() && b < other.len() {
        both += usize::from(one[a] == other[b]);
        let (left, right) = (one[a], other[b]);
        a += usize::from(left <= right);
        b += usize::from(right <= left);
    }
    both as f64 / (one.len() + other.len() - both).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_equal_texts_are_found_and_others_are_not() {
        let texts = [
            "I can't believe that they cancelled the whole trip because of a little rain!",
            "Nothing of this has anything to do with the first sentence of this list.",
            "I can't believe that they cancelled the whole trip because of a little ruin!",
            "i can't believe that they cancelled the whole trip because of a LITTLE rain!",
            "ok",
            "no",
        ]
        .map(str::to_owned);
        let pairs = near_duplicates(&texts);
        assert_eq!(pairs.iter().map(|pair| pair.rows).collect::<Vec<_>>(), [(0, 2)]);
        assert!((NEAR..1.0).contains(&pairs[0].similarity));
    }

    /// Comparing each with each finds the same.
    #[test]
    fn no_near_pair_is_missed() {
        let words = ["rain", "trip", "they", "never", "happy", "again", "house", "green", "seven"];
        let mut state = 1;
        let mut number = |below: usize| {
            state = splitmix64(state);
            (state % below as u64) as usize
        };
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..300 {
            let mut text: Vec<String> =
                (0..15).map(|_| format!("{}{}", words[number(9)], number(100))).collect();
            texts.push(text.join(" "));
            let place = number(15);
            text[place] = words[number(9)].to_owned();
            texts.push(text.join(" "));
        }
        let sets: Vec<Vec<u64>> = texts.iter().map(|text| shingles(&text_key(text))).collect();
        let near = |&(one, other): &(usize, usize)| jaccard(&sets[one], &sets[other]) >= NEAR;
        let each_with_each: Vec<(usize, usize)> = (0..texts.len())
            .flat_map(|one| (one + 1..texts.len()).map(move |other| (one, other)))
            .filter(near)
            .collect();
        let found: Vec<(usize, usize)> =
            near_duplicates(&texts).iter().map(|pair| pair.rows).collect();
        assert!(each_with_each.len() > 100, "{}", each_with_each.len());
        assert_eq!(found, each_with_each);
    }
}
