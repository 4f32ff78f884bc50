//! The files of a model's folder that make its tokenizer: a vocabulary, and up to three files beside it that change the ids.
//!
//! They are read as `DebertaV2TokenizerFast` of transformers 4.57 reads them, which is the reference of the tests:
//!
//! | file | what is taken from it |
//! |---|---|
//! | `tokenizer.json` | everything; the fields `do_lower_case` and `split_by_punct` beside it are without effect, and that is said |
//! | `spm.model` | pieces, normalisation, and its control and user-defined symbols as added tokens |
//! | `tokenizer_config.json` | `do_lower_case`, `split_by_punct`, `added_tokens_decoder`, and the special tokens (see [`super::settings`]) |
//! | `added_tokens.json` | added tokens, unless `added_tokens_decoder` has them with all their flags |
//! | `special_tokens_map.json` | special tokens, if there is no `added_tokens_decoder` |
//!
//! Whatever else would change the ids is refused by its name; what is without effect is said in a note.
//!
//! Reference: `_from_pretrained` of `PreTrainedTokenizerBase` and `__init__` of `PreTrainedTokenizerFast` in
//! <https://github.com/huggingface/transformers/tree/v4.57.0/src/transformers>

use super::added::AddedTokens;
use super::named::{ADDED_TOKENS, Stated};
use super::settings::Settings;
use super::special_tokens::VocabularyKind;
use super::{Tokenizer, json, sentencepiece};
use crate::Result;

/// The bytes of the files that make a tokenizer.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerFiles {
    /// The file that holds the pieces.
    pub vocabulary: Vocabulary,
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<Vec<u8>>,
    /// `added_tokens.json`
    pub added_tokens: Option<Vec<u8>>,
    /// `special_tokens_map.json`
    pub special_tokens_map: Option<Vec<u8>>,
}

/// The bytes of the file that holds the pieces.
#[derive(Debug, Clone, PartialEq)]
pub enum Vocabulary {
    /// `tokenizer.json`
    Json(Vec<u8>),
    /// `spm.model`
    SentencePiece(Vec<u8>),
}

impl TokenizerFiles {
    /// Takes a vocabulary without files beside it.
    pub fn alone(vocabulary: Vocabulary) -> Self {
        Self { vocabulary, tokenizer_config: None, added_tokens: None, special_tokens_map: None }
    }

    /// Returns the tokenizer, and a sentence on each setting that is without effect or not as written.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer), which names the file and the field, if a file is damaged, not of
    /// DeBERTa-v3's form, or asks for what this tokenizer does not do.
    pub fn tokenizer(&self) -> Result<(Tokenizer, Vec<String>)> {
        let mut notes = Vec::new();
        let kind = match self.vocabulary {
            Vocabulary::Json(_) => VocabularyKind::Json,
            Vocabulary::SentencePiece(_) => VocabularyKind::SentencePiece,
        };
        let mut settings = Settings::read(
            kind,
            [&self.tokenizer_config, &self.special_tokens_map, &self.added_tokens]
                .map(Option::as_deref),
            &mut notes,
        )?;
        let mut inner = match &self.vocabulary {
            Vocabulary::Json(bytes) => {
                let inner = json::read(bytes)?;
                json::compare(&inner, &settings, &mut notes)?;
                // What it says of a token counts more than `added_tokens.json`, which has no flags.
                let there = inner.get_added_tokens_decoder();
                let is_there = |entry: &Stated| {
                    entry.file == ADDED_TOKENS && there.keys().any(|&id| u64::from(id) == entry.id)
                };
                settings.stated.retain(|entry| !is_there(entry));
                inner
            }
            Vocabulary::SentencePiece(bytes) => sentencepiece::read(bytes, settings.words)?,
        };
        AddedTokens::of(&inner, settings).add_to(&mut inner, &mut notes)?;
        Ok((Tokenizer::new(inner)?, notes))
    }
}
