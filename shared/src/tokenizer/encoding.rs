//! The encoding of a text, and how a tokenizer file is refused.

use crate::{Error, Result};

/// The number of ids that frame every text: `[CLS]` before it, `[SEP]` after it.
pub(super) const FRAME: usize = 2;

/// A text as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// `[CLS]`, the text's tokens, `[SEP]`; without padding.
    pub input_ids: Vec<u32>,
    /// Whether tokens were cut from the end of the text because it was longer than the limit.
    pub truncated: bool,
}

/// The error that a tokenizer cannot be used.
pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Tokenizer(reason.into()))
}
