//! The tokenizer that training reads, learns and writes, around that of Hugging Face's `tokenizers` crate.

use tokenizers::PreTokenizerWrapper;

use super::settings::Words;
use super::{Encoding, FRAME, form, json, learn, refuse, sentencepiece};
use crate::Result;

/// The invariant by which a tokenizer that [`Tokenizer::new`] has accepted encodes every text.
const NEVER_FAILS: &str =
    "a Unigram model with an unknown piece, split on spaces or punctuation, takes any text";

/// A tokenizer in DeBERTa-v3's form: SentencePiece Unigram, framed by `[CLS]` and `[SEP]`.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    pad_id: u32,
    cls_id: u32,
    sep_id: u32,
}

/// One token and its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token's id, a row of the word embedding.
    pub id: u32,
    /// The piece as the vocabulary spells it, or the characters that it does not know.
    pub text: String,
    /// Start and end in characters (not bytes) of the text; (0, 0) for `[CLS]` and `[SEP]`.
    pub offsets: (usize, usize),
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`. Padding and truncation stored in it are ignored.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer), if it is no such file or not of DeBERTa-v3's form.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        Self::new(json::read(json)?)
    }

    /// Reads the bytes of a SentencePiece `spm.model`, as the microsoft/deberta-v3 models have it, without the files that
    /// may lie beside it (see [`TokenizerFiles`](super::TokenizerFiles)).
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer), if it is no such file or not of DeBERTa-v3's form.
    pub fn from_sentencepiece(model: &[u8]) -> Result<Self> {
        let mut inner = sentencepiece::read(model, Words::default())?;
        inner.add_special_tokens(form::special_tokens()).map_err(form::words)?;
        Self::new(inner)
    }

    /// Learns a tokenizer of at most `vocab_size` ids from texts. The same texts, in whatever order, give
    /// the same tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer), if the texts hold no word or `vocab_size` is less than the
    /// number of their characters and special tokens.
    pub fn learn<T: AsRef<str>>(texts: impl Iterator<Item = T>, vocab_size: usize) -> Result<Self> {
        Self::new(learn::learn(texts, vocab_size)?)
    }

    pub(super) fn new(mut inner: tokenizers::Tokenizer) -> Result<Self> {
        inner.with_truncation(None).expect("only truncation to a length can be refused");
        inner.with_padding(None);
        if !inner.get_pre_tokenizer().is_none_or(splits_on_spaces_or_punctuation) {
            return refuse("its pre-tokenizer is neither Metaspace nor Punctuation");
        }
        let id = |token| match inner.token_to_id(token) {
            Some(id) => Ok(id),
            None => refuse(format!("it has no {token} token")),
        };
        let (pad_id, cls_id, sep_id) = (id(form::PAD)?, id(form::CLS)?, id(form::SEP)?);
        if inner.get_post_processor() != Some(&form::frame(cls_id, sep_id)) {
            return refuse("its post-processor does not frame a text as [CLS] text [SEP]");
        }
        Ok(Self { inner, pad_id, cls_id, sep_id })
    }

    /// Returns the ids of a text, at most `max_len` with `[CLS]` and `[SEP]` counted. Tokens beyond that are cut from
    /// the end of the text, as Hugging Face's `longest_first` does with a single text.
    ///
    /// # Panics
    /// If `max_len` is less than 2, the length of an empty text.
    pub fn encode(&self, text: &str, max_len: usize) -> Encoding {
        assert!(max_len >= FRAME, "max_len {max_len} has no room for [CLS] and [SEP]");
        let encoded = self.inner.encode_fast(text, false).expect(NEVER_FAILS);
        let ids = encoded.get_ids();
        let kept = &ids[..ids.len().min(max_len - FRAME)];

        let mut input_ids = Vec::with_capacity(kept.len() + FRAME);
        input_ids.push(self.cls_id);
        input_ids.extend_from_slice(kept);
        input_ids.push(self.sep_id);
        Encoding { input_ids, truncated: kept.len() < ids.len() }
    }

    /// Returns the tokens of a text with `[CLS]` and `[SEP]`, for a person to look at.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let encoded = self.inner.encode_char_offsets(text, true).expect(NEVER_FAILS);
        let parts = encoded.get_ids().iter().zip(encoded.get_tokens()).zip(encoded.get_offsets());
        parts.map(|((&id, text), &offsets)| Token { id, text: text.clone(), offsets }).collect()
    }

    /// Returns a `tokenizer.json` that Hugging Face's libraries load, with
    /// [`TOKENIZER_CONFIG`](super::TOKENIZER_CONFIG) beside it.
    pub fn to_json(&self) -> String {
        self.inner.to_string(false).expect("a tokenizer is plain data")
    }

    /// Returns the number of ids, special tokens included. A model's word embedding has at least as many rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Returns the number of pieces, without the tokens that were added to them.
    pub fn pieces(&self) -> usize {
        self.inner.get_vocab_size(false)
    }

    /// Returns the tokens that have an id beyond the pieces, in the order of their ids.
    pub fn added_tokens(&self) -> Vec<String> {
        let pieces = self.pieces() as u32;
        let added = self.inner.get_added_tokens_decoder();
        let mut added: Vec<_> = added.into_iter().filter(|(id, _)| *id >= pieces).collect();
        added.sort_by_key(|(id, _)| *id);
        added.into_iter().map(|(_, token)| token.content).collect()
    }

    /// Returns the id of `[PAD]`.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Returns the id of `[CLS]`, the first of every encoding.
    pub fn cls_id(&self) -> u32 {
        self.cls_id
    }

    /// Returns the id of `[SEP]`, the last of every encoding.
    pub fn sep_id(&self) -> u32 {
        self.sep_id
    }
}

/// Whether these are pre-tokenizers of DeBERTa-v3. Others may fail on a text, as a regex that gives up does.
fn splits_on_spaces_or_punctuation(pre_tokenizer: &PreTokenizerWrapper) -> bool {
    match pre_tokenizer {
        PreTokenizerWrapper::Metaspace(_) | PreTokenizerWrapper::Punctuation(_) => true,
        PreTokenizerWrapper::Sequence(parts) => {
            parts.as_ref().iter().all(splits_on_spaces_or_punctuation)
        }
        _ => false,
    }
}
