//! Text to token ids: DeBERTa-v3's SentencePiece Unigram.
//!
//! [`Tokenizer`] reads a `tokenizer.json` or a `spm.model`, or learns from texts; it is behind the feature `tokenizers`,
//! as is the crate of that name. [`CompactTokenizer`] gives the same ids, loads in milliseconds and is all that a
//! browser needs. The ids are those of Hugging Face's `DebertaV2TokenizerFast`. Batches are left to
//! [`crate::batch`], threads to the caller: tokenizers are `Send + Sync`.

mod charsmap;
mod compact;
#[cfg(feature = "tokenizers")]
mod form;
#[cfg(feature = "tokenizers")]
mod full;
#[cfg(feature = "tokenizers")]
mod json;
#[cfg(feature = "tokenizers")]
mod learn;
#[cfg(feature = "tokenizers")]
mod sentencepiece;
#[cfg(test)]
#[cfg(feature = "tokenizers")]
mod tests;
#[cfg(feature = "tokenizers")]
mod unigram;

pub use compact::{CompactTokenizer, TokenizerTensor};
#[cfg(feature = "tokenizers")]
pub use form::TOKENIZER_CONFIG;
#[cfg(feature = "tokenizers")]
pub use full::{Token, Tokenizer};

use crate::{Error, Result};

/// Ids that frame every text: [CLS] before it, [SEP] after.
const FRAME: usize = 2;

/// A text as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// [CLS], the text's tokens, [SEP]; never padded.
    pub input_ids: Vec<u32>,
    /// Whether the text had more tokens than fitted.
    pub truncated: bool,
}

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Tokenizer(reason.into()))
}
