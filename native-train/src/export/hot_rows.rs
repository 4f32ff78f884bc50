//! The number of first rows of the word embeddings that are hot: those that a browser needs before a model answers. They are chosen so
//! that texts are answered as early and as often without the cold rows as possible. The largest id of each text is measured, so no order of
//! ids is assumed. SentencePiece's Unigram models order ids by score, so the first rows serve most texts. With a vocabulary
//! in another order, large ids are everywhere and all rows are hot.

use rayon::prelude::*;
use shared::bundle::Encoding;

use super::Source;
use crate::error::UserError;

/// The value of `--hot-rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotRows {
    /// The number that saves the run's texts most, if the cold rows are worth shards of their own.
    Auto,
    /// All rows.
    All,
    /// The first rows, of this number.
    These(usize),
}

/// `auto` gives multiples of this.
const STEP: usize = 1024;

/// Fewer bytes of cold rows are not worth it: they save no time and cost requests.
const FEWEST_BYTES: usize = 4 << 20;

/// Cold rows that are less than one in so many of all rows are not worth it either.
const FEWEST_OF: usize = 4;

impl HotRows {
    /// The number of hot rows of an encoding, given how many of the first rows each text needs; `None`: all rows.
    ///
    /// # Errors
    /// If the user's number is not less than all rows, or the encoding can have no cold rows.
    pub fn of<'n>(
        self,
        encoding: Encoding,
        [rows, width]: [usize; 2],
        needed: impl FnOnce() -> &'n [usize],
    ) -> Result<Option<usize>, UserError> {
        let word_bytes = encoding.word_bytes(width);
        match (self, word_bytes) {
            (Self::All, _) | (Self::Auto, None) => Ok(None),
            (Self::Auto, Some(bytes)) => {
                let first = most_saving(needed(), rows);
                let others = rows - first;
                let worth_it = others * bytes >= FEWEST_BYTES && others * FEWEST_OF >= rows;
                Ok(worth_it.then_some(first))
            }
            (Self::These(first), Some(_)) if first < rows => Ok(Some(first)),
            (Self::These(_), Some(_)) => {
                let message = format!("the models have {rows} word embeddings, no more");
                Err(UserError::new(message).hint("pass fewer as `--hot-rows`, or `--hot-rows all`"))
            }
            (Self::These(_), None) => {
                let message = format!("{encoding} can have no cold rows");
                Err(UserError::new(message).hint(
                    "pass an encoding whose word embeddings are not f32, or `--hot-rows all`",
                ))
            }
        }
    }
}

/// The number of first rows that each of the run's texts needs.
pub fn needed(source: &Source) -> Vec<usize> {
    let texts = source.dataset.texts.par_iter();
    let rows = texts.map(|text| {
        let encoding = source.tokenizer.encode(text, source.config.max_len);
        encoding.input_ids.into_iter().max().map_or(0, |id| id as usize + 1)
    });
    rows.collect()
}

/// The number of hot rows that saves most: a text that needs no cold rows is answered earlier by as many rows as are cold.
/// Other texts are answered when all rows are loaded, which takes no longer than without cold rows.
fn most_saving(needed: &[usize], rows: usize) -> usize {
    let mut needed = needed.to_vec();
    needed.sort_unstable();
    let saved = |first: usize| needed.partition_point(|&rows| rows <= first) * (rows - first);
    let first = (0..rows).step_by(STEP).max_by_key(|&first| saved(first));
    first.filter(|&first| saved(first) > 0).unwrap_or(rows)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use shared::quant::Format;
    use shared::tokenizer::Tokenizer;

    use super::*;
    use crate::data::{FileOptions, Texts};

    #[test]
    fn rows_are_cold_where_that_saves_most() {
        // Half of the texts served leaves three quarters for later; all served leaves one.
        assert_eq!(most_saving(&[9_000, 30_000, 9_500, 30_500], 40_960), 10_240);
        assert_eq!(most_saving(&[9_000, 12_000, 9_500, 12_100], 40_960), 12_288);
        assert_eq!(most_saving(&[40_900, 40_950], 40_960), 40_960, "nobody is served");
        assert_eq!(most_saving(&[], 40_960), 40_960);
        assert_eq!(most_saving(&[3, 9], 60), 60);
    }

    #[test]
    fn rows_are_cold_where_it_is_worth_it() {
        let auto = |format: Format, rows, needed: usize| {
            let needed = [needed];
            HotRows::Auto.of(format.into(), [rows, 768], || &needed).unwrap()
        };
        assert_eq!(auto(Format::Int8, 128_100, 40_001), Some(40_960));
        assert_eq!(auto(Format::Int8, 128_100, 95_000), Some(95_232));
        // Less than a quarter is left, less than 4 MiB are left.
        assert_eq!(auto(Format::Int8, 128_100, 97_000), None);
        assert_eq!(auto(Format::Int8, 8_000, 3_000), None);
        assert_eq!(auto(Format::Int16, 8_000, 3_000), Some(3_072));
        assert_eq!(auto(Format::Int8, 1_000, 900), None);
        assert_eq!(auto(Format::F32, 128_100, 40_001), None, "f32 has no cold rows");
    }

    #[test]
    fn a_number_is_taken_as_it_is_or_refused() {
        let of = |choice: HotRows, format: Format| choice.of(format.into(), [60, 16], || &[7]);
        assert_eq!(of(HotRows::These(7), Format::Int8).unwrap(), Some(7));
        assert_eq!(of(HotRows::All, Format::Int8).unwrap(), None);
        assert!(of(HotRows::These(60), Format::Int8).is_err());
        assert!(of(HotRows::These(7), Format::F32).is_err());
    }

    /// Prints how many texts need more than so many rows of DeBERTa-v3's vocabulary:
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
            let columns = FileOptions::default();
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
        let all = 128_100;
        let best = most_saving(&run, all);
        for first in [16_384, 32_768, best, 49_152, 65_536, 81_920, 98_304, 114_688] {
            eprint!(
                "{first:>6} rows, {:.0}%; need more:",
                100.0 * first as f64 / f64::from(all as u32)
            );
            for (name, texts) in [("the run's", run.clone())].iter().chain(&others) {
                let more = texts.iter().filter(|&&rows| rows > first).count();
                eprint!(" {name} {:.2}%", 100.0 * more as f64 / texts.len() as f64);
            }
            eprintln!();
        }
    }
}
