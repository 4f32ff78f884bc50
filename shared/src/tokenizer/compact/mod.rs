//! A tokenizer of flat tables, which is read from a bundle in milliseconds, without Hugging Face's crate.
//!
//! ```text
//! text -> special tokens as written -> normalisation -> special tokens in the normalised text
//!      -> words, each beginning with a space (Metaspace), punctuation apart where asked -> pieces of the likeliest path (Unigram) -> ids
//! ```
//!
//! Each step does what the `tokenizers` crate does in a tokenizer of DeBERTa-v3's form, and gives the same ids;
//! `compile` converts such a tokenizer and refuses others.

mod characters;
#[cfg(feature = "tokenizers")]
mod compile;
mod normalizer;
mod pieces;
mod special;
mod tensors;
#[cfg(test)]
#[cfg(feature = "tokenizers")]
mod tests;
mod tokenizer;

pub use tensors::TokenizerTensor;
pub use tokenizer::CompactTokenizer;
