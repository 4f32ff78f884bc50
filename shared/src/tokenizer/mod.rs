//! Text to token ids: DeBERTa-v3's SentencePiece Unigram.
//!
//! `Tokenizer`, with the feature `tokenizers`, reads the files of a model's folder, or learns from texts; it
//! wraps the crate of that name. [`CompactTokenizer`] gives the same ids, loads in milliseconds and is all that a
//! browser needs. Both give the ids of Hugging Face's `DebertaV2TokenizerFast`. Batches are left to
//! [`crate::batch`], threads to the caller: tokenizers are `Send + Sync`.

#[cfg(feature = "tokenizers")]
mod added;
mod charsmap;
mod compact;
#[cfg(feature = "tokenizers")]
mod cut;
mod encoding;
#[cfg(feature = "tokenizers")]
mod files;
#[cfg(feature = "tokenizers")]
mod form;
#[cfg(feature = "tokenizers")]
mod full;
#[cfg(feature = "tokenizers")]
mod json;
#[cfg(feature = "tokenizers")]
mod learn;
#[cfg(feature = "tokenizers")]
mod named;
#[cfg(feature = "tokenizers")]
mod sentencepiece;
#[cfg(feature = "tokenizers")]
mod settings;
#[cfg(feature = "tokenizers")]
mod special_tokens;
#[cfg(test)]
#[cfg(feature = "tokenizers")]
mod tests;
#[cfg(feature = "tokenizers")]
mod unigram;

pub use compact::{CompactTokenizer, TokenizerTensor};
#[cfg(feature = "tokenizers")]
pub use cut::Cut;
pub use encoding::Encoding;
use encoding::{FRAME, refuse};
#[cfg(feature = "tokenizers")]
pub use files::{TokenizerFiles, Vocabulary};
#[cfg(feature = "tokenizers")]
pub use form::TOKENIZER_CONFIG;
#[cfg(feature = "tokenizers")]
pub use full::{Token, Tokenizer};
