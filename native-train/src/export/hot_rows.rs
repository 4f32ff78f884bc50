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
    use super::*;

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
}
