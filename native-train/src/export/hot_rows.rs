//! Which word embeddings a browser needs before a model answers: the first rows, as many as nearly all of the run's texts
//! need. What is measured is the largest id of each text, so that nothing is taken for granted of how ids are ordered. Those of
//! SentencePiece's Unigram models fall by score, which is by frequency: the first third of DeBERTa-v3's serves 99 of 100 texts. Where a
//! vocabulary is ordered otherwise, the largest ids are everywhere and the rows stay together.

use rayon::prelude::*;
use shared::bundle::Encoding;

use super::Source;
use crate::error::UserError;

/// What `--hot-rows` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotRows {
    /// As many as nearly all texts need, where the others are worth shards of their own.
    Auto,
    All,
    These(usize),
}

/// The share of texts that shall not wait for the other rows.
const SERVED: f64 = 0.99;

/// What is counted with some room for other texts than the run's.
const STEP: usize = 1024;

/// Other rows of less than this come with the first ones: they save no time, and cost requests.
const FEWEST_BYTES: usize = 4 << 20;

/// As do those that are less than one row of so many.
const FEWEST_OF: usize = 4;

impl HotRows {
    /// For an encoding, given how many rows nearly all texts need; `None`: all rows come first.
    ///
    /// # Errors
    /// If the visitor's number does not part the rows, or the encoding's rows cannot be parted.
    pub fn of(
        self,
        encoding: Encoding,
        [rows, width]: [usize; 2],
        needed: impl FnOnce() -> usize,
    ) -> Result<Option<usize>, UserError> {
        let bytes_of_a_word = encoding.bytes_of_a_word(width);
        match (self, bytes_of_a_word) {
            (Self::All, _) | (Self::Auto, None) => Ok(None),
            (Self::Auto, Some(bytes)) => {
                let needed = needed().next_multiple_of(STEP);
                let others = rows.saturating_sub(needed);
                let worth_it = others * bytes >= FEWEST_BYTES && others * FEWEST_OF >= rows;
                Ok(worth_it.then_some(needed))
            }
            (Self::These(first), Some(_)) if first < rows => Ok(Some(first)),
            (Self::These(_), Some(_)) => {
                let message = format!("the models have {rows} word embeddings, no more");
                Err(UserError::new(message).hint("pass fewer as `--hot-rows`, or `--hot-rows all`"))
            }
            (Self::These(_), None) => {
                let message = format!("word embeddings of {encoding} come together");
                Err(UserError::new(message)
                    .hint("pass an encoding whose words are not f32, or `--hot-rows all`"))
            }
        }
    }
}

/// How many of the first rows do for nearly all of the run's texts.
pub fn needed(source: &Source) -> usize {
    let texts = source.dataset.texts.par_iter();
    let rows = texts.map(|text| {
        let encoding = source.tokenizer.encode(text, source.config.max_len);
        encoding.input_ids.into_iter().max().map_or(0, |id| id as usize + 1)
    });
    serving(rows.collect())
}

/// Given how many of the first rows each text needs, how many do for nearly all.
fn serving(mut rows: Vec<usize>) -> usize {
    rows.sort_unstable();
    let served = (rows.len() as f64 * SERVED).ceil() as usize;
    served.checked_sub(1).map_or(0, |last| rows[last])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use shared::tokenizer::Tokenizer;

    use super::*;
    use crate::data::{ColumnChoice, Texts};

    #[test]
    fn a_hundredth_of_the_texts_may_need_more() {
        assert_eq!(serving((1..=1000).rev().collect()), 990);
        assert_eq!(serving(vec![7]), 7);
        assert_eq!(serving(vec![1, 9]), 9);
        assert_eq!(serving(Vec::new()), 0);
    }

    #[test]
    fn rows_are_parted_where_it_is_worth_it() {
        let auto = |encoding, rows, needed| HotRows::Auto.of(encoding, [rows, 768], || needed);
        assert_eq!(auto(Encoding::INT8, 128_100, 40_001).unwrap(), Some(40_960));
        assert_eq!(auto(Encoding::INT8, 128_100, 95_000).unwrap(), Some(95_232));
        // Less than a quarter is left, less than 4 MiB are left, more is needed than there is.
        assert_eq!(auto(Encoding::INT8, 128_100, 97_000).unwrap(), None);
        assert_eq!(auto(Encoding::INT8, 8_000, 3_000).unwrap(), None);
        assert_eq!(auto(Encoding::INT16, 8_000, 3_000).unwrap(), Some(3_072));
        assert_eq!(auto(Encoding::INT8, 1_000, 900).unwrap(), None);
        assert_eq!(auto(Encoding::F32, 128_100, 40_001).unwrap(), None, "f32 comes together");
    }

    #[test]
    fn a_number_is_taken_as_it_is_or_refused() {
        let of = |choice: HotRows, encoding| choice.of(encoding, [60, 16], || unreachable!());
        assert_eq!(of(HotRows::These(7), Encoding::INT8).unwrap(), Some(7));
        assert_eq!(of(HotRows::All, Encoding::INT8).unwrap(), None);
        assert!(of(HotRows::These(60), Encoding::INT8).is_err());
        assert!(of(HotRows::These(7), Encoding::F32).is_err());
    }

    /// How many rows of DeBERTa-v3's vocabulary serve how many texts, and how many of others:
    ///
    ///     cargo test --release --workspace -- --ignored --nocapture texts_that_need_cold_rows
    #[test]
    #[ignore = "for figures"]
    fn texts_that_need_cold_rows() {
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let shared = std::env::var_os("QUINTET_SHARED").map_or_else(beside, PathBuf::from);
        let Ok(spm) = fs::read(shared.join("tokenizer/spm.model")) else {
            eprintln!("skipped: there is no tokenizer/spm.model in the folder QUINTET_SHARED");
            return;
        };
        let tokenizer = Tokenizer::from_sentencepiece(&spm).unwrap();
        let rows = |text: &String| {
            tokenizer.encode(text, 128).input_ids.into_iter().max().unwrap() as usize + 1
        };
        let of_csv = |path: &str| -> Vec<usize> {
            let columns = ColumnChoice { text: Some("text".to_owned()), id: None };
            let (texts, _) = Texts::read(&shared.join("data").join(path), &columns).unwrap();
            texts.texts.par_iter().map(rows).collect()
        };
        let of_tsv = |path: &str| -> Vec<usize> {
            let texts = fs::read_to_string(shared.join("data").join(path)).unwrap();
            let texts = texts.lines().map(|line| line.split('\t').next().unwrap().to_owned());
            texts.map(|text| rows(&text)).collect()
        };
        let run = of_csv("kaggle-2025-sep-dl-genai/train.csv");
        let others = [
            ("kaggle's test", of_csv("kaggle-2025-sep-dl-genai/test.csv")),
            ("brighter's dev", of_csv("brighter-eng/dev.csv")),
            ("goemotions' train", of_tsv("goemotions/train.tsv")),
        ];
        let mut sorted = run.clone();
        sorted.sort_unstable();
        for served in [0.9, 0.95, 0.98, 0.99, 0.995, 1.0] {
            let first = sorted[(sorted.len() as f64 * served).ceil() as usize - 1];
            let first = first.next_multiple_of(STEP);
            eprint!("{served}: {first} rows; need more:");
            for (name, texts) in [("the run's", run.clone())].iter().chain(&others) {
                let more = texts.iter().filter(|&&rows| rows > first).count();
                eprint!(" {name} {:.2}%", 100.0 * more as f64 / texts.len() as f64);
            }
            eprintln!();
        }
    }
}
