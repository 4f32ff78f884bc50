//! The special tokens that the files beside a vocabulary name, in the order in which transformers adds them.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::named::{CONFIG, Named, SPECIAL_TOKENS_MAP, Stated, named, names};
use super::{form, refuse};
use crate::Result;

/// The special tokens that transformers knows by name, in the order in which it adds them, and what
/// `DebertaV2TokenizerFast` takes for them where no file says otherwise.
pub const ATTRIBUTES: [(&str, &str); 7] = [
    ("bos_token", form::CLS),
    ("eos_token", form::SEP),
    ("unk_token", form::UNK),
    ("sep_token", form::SEP),
    ("pad_token", form::PAD),
    ("cls_token", form::CLS),
    ("mask_token", form::MASK),
];
pub const ADDITIONAL: &str = "additional_special_tokens";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VocabularyKind {
    Json,
    SentencePiece,
}

/// The special tokens by what they are; `None` for those that a file sets to `null`.
pub struct SpecialTokens {
    attributes: Vec<(&'static str, Option<Named>, Origin)>,
    additional: Vec<Named>,
    extra: Vec<Named>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Default,
    File,
}

impl SpecialTokens {
    pub fn of_config(
        kind: VocabularyKind,
        config: &Map<String, Value>,
        extra: Vec<Named>,
    ) -> Result<Self> {
        let has_defaults = kind == VocabularyKind::SentencePiece || is_deberta(config);
        let attribute = |(name, default): (&'static str, &str)| {
            Ok(match config.get(name) {
                None if has_defaults => {
                    (name, Some(Named::Text(default.to_owned())), Origin::Default)
                }
                None => (name, None, Origin::Default),
                Some(value) => (name, named(CONFIG, name, value)?, Origin::File),
            })
        };
        let additional = names(CONFIG, ADDITIONAL, config.get(ADDITIONAL))?;
        Ok(Self {
            attributes: ATTRIBUTES.into_iter().map(attribute).collect::<Result<_>>()?,
            additional,
            extra,
        })
    }

    /// Gives tokens that are named here the flags that `added_tokens_decoder` has for them.
    pub fn take_flags_of(&mut self, stated: &[Stated]) {
        for (_, token, _) in &mut self.attributes {
            let Some(named) = token else { continue };
            if let Some(entry) = stated.iter().find(|entry| entry.token.content == named.text()) {
                *named = Named::Token(entry.token.clone());
            }
        }
    }

    pub fn take_map(&mut self, map: &Map<String, Value>) -> Result<()> {
        for (key, value) in map {
            if key == ADDITIONAL {
                let more = names(SPECIAL_TOKENS_MAP, key, Some(value))?;
                let more: Vec<Named> = more.into_iter().map(Named::made_special).collect();
                let new = more.into_iter().filter(|token| !self.additional.contains(token));
                self.additional.extend(new.collect::<Vec<_>>());
                continue;
            }
            let token = named(SPECIAL_TOKENS_MAP, key, value)?.map(Named::made_special);
            match self.attributes.iter_mut().find(|(name, ..)| name == key) {
                Some(place) => (place.1, place.2) = (token, Origin::File),
                None => {
                    return refuse(format!(
                        "{SPECIAL_TOKENS_MAP}: `{key}` is no special token of DeBERTa's"
                    ));
                }
            }
        }
        let frame = [("cls_token", form::CLS), ("sep_token", form::SEP)];
        for (name, token, _) in &self.attributes {
            let Some((_, only)) = frame.iter().find(|(framing, _)| framing == name) else {
                continue;
            };
            if let Some(token) = token.as_ref().filter(|token| token.text() != *only) {
                let text = token.text();
                return refuse(format!(
                    "{SPECIAL_TOKENS_MAP}: `{name}` is `{text}`; a text is framed by [CLS] and [SEP]"
                ));
            }
        }
        Ok(())
    }

    /// The texts of the tokens that a file names.
    pub fn given(&self) -> Vec<String> {
        let from_file = self.attributes.iter().filter(|(_, _, origin)| *origin == Origin::File);
        let attributes = from_file.filter_map(|(_, token, _)| token.as_ref());
        attributes.chain(&self.additional).map(|token| token.text().to_owned()).collect()
    }

    fn contains(&self, text: &str) -> bool {
        let attributes = self.attributes.iter().filter_map(|(_, token, _)| token.as_ref());
        attributes.chain(&self.additional).chain(&self.extra).any(|token| token.text() == text)
    }

    /// Each once, as transformers lists them. The slow tokenizer, of which that of a `spm.model` is made, gives the
    /// unknown token its flags.
    pub fn in_order(self, kind: VocabularyKind) -> Vec<Named> {
        let attributes = self.attributes.into_iter().filter_map(|(name, token, _)| match token? {
            Named::Text(text) if name == "unk_token" && kind == VocabularyKind::SentencePiece => {
                Some(Named::Token(AddedToken::from(text, true).normalized(true)))
            }
            other => Some(other),
        });
        let mut listed: Vec<Named> = Vec::new();
        let groups = attributes.map(|token| vec![token]).chain([self.additional]);
        for group in groups.chain(self.extra.into_iter().map(|token| vec![token])) {
            let is_new = |token: &Named| {
                !token.text().is_empty() && !listed.iter().any(|seen| seen.text() == token.text())
            };
            let new: Vec<Named> = group.into_iter().filter(is_new).collect();
            listed.extend(new);
        }
        listed
    }
}

/// Notes the tokens of a map that transformers does not read, as there is an `added_tokens_decoder`.
pub fn note_what_the_map_adds(
    map: &Map<String, Value>,
    special: &SpecialTokens,
    stated: &[Stated],
    notes: &mut Vec<String>,
) -> Result<()> {
    for (key, value) in map {
        let tokens = match key == ADDITIONAL {
            true => names(SPECIAL_TOKENS_MAP, key, Some(value))?,
            false => named(SPECIAL_TOKENS_MAP, key, value)?.into_iter().collect(),
        };
        for token in tokens {
            let text = token.text();
            if !special.contains(text) && !stated.iter().any(|entry| entry.token.content == text) {
                notes.push(format!(
                    "the token `{text}` of {SPECIAL_TOKENS_MAP} is not added: {CONFIG} has `added_tokens_decoder`, beside \
                     which transformers does not read that file"
                ));
            }
        }
    }
    Ok(())
}

fn is_deberta(config: &Map<String, Value>) -> bool {
    let class = config.get("tokenizer_class").and_then(Value::as_str);
    class.is_none_or(|class| class.starts_with("DebertaV2Tokenizer"))
}
