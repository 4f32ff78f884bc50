//! Learns a tokenizer in DeBERTa-v3's form from texts, for models that are trained from nothing.
//!
//! Text is normalised to NFKC and lower case, so no charsmap is needed. The pieces are found by
//! [`super::unigram`].

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{Lowercase, NFKC, Nmt, Strip};
use tokenizers::pre_tokenizers::metaspace::Metaspace;
use tokenizers::{
    Normalizer, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer,
};

use super::unigram::learn_pieces;
use super::{form, refuse};
use crate::Result;

/// The special tokens among the pieces, in the order of their ids; `[MASK]` comes after the pieces.
const SPECIAL: [&str; 4] = [form::PAD, form::CLS, form::SEP, form::UNK];
const UNK_ID: usize = 3;

/// The most different words that are learnt from; of more, the most frequent ones are taken.
const MOST_WORDS: usize = 200_000;

pub fn learn<T: AsRef<str>>(
    texts: impl Iterator<Item = T>,
    vocab_size: usize,
) -> Result<Tokenizer> {
    let words = most_frequent(count_words(texts)?);
    let characters =
        words.iter().flat_map(|(word, _)| word.chars()).collect::<BTreeSet<char>>().len();
    if characters == 0 {
        return refuse("the texts hold no word to learn from");
    }
    let around = SPECIAL.len() + 1; // [MASK]
    let least = around + characters;
    if vocab_size < least {
        return refuse(format!(
            "a vocabulary of {vocab_size} is too small for the texts, which need at least {least}"
        ));
    }
    let learnt = learn_pieces(&words, vocab_size - around);
    let special = SPECIAL.map(|token| (token.to_owned(), 0.0)).into_iter();
    let pieces =
        special.chain(learnt.into_iter().map(|(text, score)| (text, rounded(score)))).collect();
    let model = Unigram::from(pieces, Some(UNK_ID), false).map_err(form::words)?;
    form::assemble(model, normalizers(), form::Split::Spaces, form::special_tokens())
}

fn normalizers() -> Vec<NormalizerWrapper> {
    vec![
        Nmt.into(),
        NFKC.into(),
        Lowercase.into(),
        Strip::new(true, true).into(),
        form::single_spaces(),
    ]
}

fn count_words<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> Result<BTreeMap<String, u32>> {
    let normalizers = normalizers();
    let mut counts = BTreeMap::new();
    for text in texts {
        let mut split = PreTokenizedString::from(text.as_ref());
        split
            .normalize(|text| {
                normalizers.iter().try_for_each(|normalizer| normalizer.normalize(text))
            })
            .and_then(|()| Metaspace::default().pre_tokenize(&mut split))
            .map_err(form::words)?;
        for (word, _, _) in split.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}

fn most_frequent(words: BTreeMap<String, u32>) -> Vec<(String, u32)> {
    let mut words: Vec<(String, u32)> = words.into_iter().collect();
    words.sort_by(|(_, a), (_, b)| b.cmp(a)); // stable: equal counts stay alphabetical
    words.truncate(MOST_WORDS);
    words
}

/// Rounds to six decimals: more than a score means, and few enough that every JSON parser reads them exactly.
fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Tokenizer;

    const TEXTS: [&str; 6] = [
        "the cat sat on the mat",
        "the dog sat on the log",
        "a cat and a dog, and the mat",
        "I sat on the log with Zoë",
        "cats and dogs: [SEP] <UNK> \u{200b}x",
        "",
    ];

    fn learnt(texts: &[&str], vocab_size: usize) -> Tokenizer {
        Tokenizer::learn(texts.iter(), vocab_size).unwrap()
    }

    #[test]
    fn learns_pieces_that_come_often() {
        let tokenizer = learnt(&TEXTS, 60);
        assert!(tokenizer.vocab_size() <= 60);
        assert_eq!((tokenizer.pad_id(), tokenizer.cls_id(), tokenizer.sep_id()), (0, 1, 2));
        let tokens: Vec<String> =
            tokenizer.tokens("The  cat\n").into_iter().map(|token| token.text).collect();
        assert_eq!(tokens, ["[CLS]", "▁the", "▁cat", "[SEP]"]);
    }

    #[test]
    fn knows_its_special_tokens_and_what_it_does_not_know() {
        let tokenizer = learnt(&TEXTS, 60);
        let mask = u32::try_from(tokenizer.vocab_size()).unwrap() - 1;
        assert_eq!(tokenizer.encode("[MASK]", 8).input_ids, [1, mask, 2]);
        let unknown = tokenizer.tokens("語");
        assert_eq!(unknown[unknown.len() - 2].id, 3);
    }

    #[test]
    fn the_same_texts_give_the_same_file() {
        let first = learnt(&TEXTS, 60).to_json();
        for _ in 0..20 {
            assert!(learnt(&TEXTS, 60).to_json() == first); // each time with other hash seeds
        }
        assert!(Tokenizer::from_json(first.as_bytes()).unwrap().to_json() == first);
    }

    #[test]
    fn refuses_texts_without_words_and_too_small_a_vocabulary() {
        let refused = |texts: &[&str], vocab_size| {
            Tokenizer::learn(texts.iter(), vocab_size).unwrap_err().to_string()
        };
        assert_eq!(refused(&[], 100), "tokenizer: the texts hold no word to learn from");
        assert_eq!(refused(&["", " \n"], 100), "tokenizer: the texts hold no word to learn from");
        let too_small =
            "tokenizer: a vocabulary of 7 is too small for the texts, which need at least 8";
        assert_eq!(refused(&["ab"], 7), too_small);
        assert_eq!(learnt(&["ab"], 8).vocab_size(), 8);
    }

    proptest! {
        #[test]
        fn any_texts_can_be_learnt_in_any_order(mut texts in prop::collection::vec(any::<String>(), 1..6)) {
            texts.push("word".into());
            let tokenizer = Tokenizer::learn(texts.iter(), 2000).unwrap();
            prop_assert!(tokenizer.vocab_size() <= 2000);
            for text in &texts {
                prop_assert!(tokenizer.tokens(text).iter().all(|token| token.id != 3), "{text:?} has unknown pieces");
            }
            texts.reverse();
            prop_assert!(Tokenizer::learn(texts.iter(), 2000).unwrap().to_json() == tokenizer.to_json());
        }
    }
}
