//! Converts a tokenizer of Hugging Face's crate to the compact one, and refuses by name each part that has no
//! compact form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::{AddedToken, ModelWrapper};

use super::normalizer::{Normalizer, Step};
use super::pieces::Pieces;
use super::special::{SpecialToken, SpecialTokens};
use super::tokenizer::{CompactTokenizer, SPACE};
use crate::tokenizer::{Tokenizer, refuse};
use crate::{Error, Result};

/// A normalizer as `tokenizer.json` writes it.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum NormalizerForm {
    Sequence {
        normalizers: Vec<Self>,
    },
    Strip {
        strip_left: bool,
        strip_right: bool,
    },
    Precompiled {
        precompiled_charsmap: String,
    },
    Replace {
        pattern: Value,
        content: String,
    },
    Nmt,
    #[serde(rename = "NFKC")]
    Nfkc,
    Lowercase,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizerForm {
    Sequence { pretokenizers: Vec<Self> },
    Metaspace { replacement: char, prepend_scheme: String, split: bool },
}

#[derive(Deserialize)]
struct ModelForm {
    unk_id: u32,
}

impl Tokenizer {
    /// Returns the compact tokenizer that gives the same ids.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], if a part has no compact form; the message names the part.
    pub fn compact(&self) -> Result<CompactTokenizer> {
        check_words(form("pre-tokenizer", &self.inner.get_pre_tokenizer())?)?;
        let steps = form("normalizer", &self.inner.get_normalizer())?;
        let normalizer = normalizer(steps)?;
        let added = self.inner.get_added_tokens_decoder();
        let mut added: Vec<(&u32, &AddedToken)> = added.iter().collect();
        added.sort_by_key(|(id, _)| **id);
        let (in_normalised, as_written) =
            added.into_iter().partition(|(_, token)| token.normalized);
        let as_written = special_tokens(as_written, str::to_owned)?;
        let normalised = special_tokens(in_normalised, |text| normalizer.apply(text).into_owned())?;
        Ok(CompactTokenizer {
            as_written,
            normalised,
            normalizer,
            pieces: pieces(self.inner.get_model())?,
            cls_id: self.cls_id(),
            sep_id: self.sep_id(),
        })
    }
}

fn form<T: DeserializeOwned>(what: &str, part: &impl serde::Serialize) -> Result<T> {
    serde_json::to_value(part)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::Tokenizer(format!("no compact form of its {what}: {error}")))
}

fn normalizer(form: Option<NormalizerForm>) -> Result<Normalizer> {
    let (mut steps, mut charsmap) = (Vec::new(), None);
    if let Some(form) = form {
        collect(form, &mut steps, &mut charsmap)?;
    }
    Normalizer::new(steps, charsmap)
}

fn collect(
    form: NormalizerForm,
    steps: &mut Vec<Step>,
    charsmap: &mut Option<Vec<u8>>,
) -> Result<()> {
    match form {
        NormalizerForm::Sequence { normalizers } => {
            return normalizers.into_iter().try_for_each(|form| collect(form, steps, charsmap));
        }
        NormalizerForm::Strip { strip_left: true, strip_right: true } => steps.push(Step::Strip),
        NormalizerForm::Strip { .. } => {
            return refuse("no compact form of a Strip of one end only");
        }
        NormalizerForm::Precompiled { precompiled_charsmap } => {
            if charsmap.is_some() {
                return refuse("no compact form of two Precompiled normalizers");
            }
            steps.push(Step::Charsmap);
            *charsmap = STANDARD.decode(precompiled_charsmap).ok();
        }
        NormalizerForm::Replace { pattern, content } => {
            if pattern["Regex"] != " {2,}" || content != " " {
                return refuse(format!("no compact form of Replace {pattern} by {content:?}"));
            }
            steps.push(Step::SingleSpaces);
        }
        NormalizerForm::Nmt => steps.push(Step::Nmt),
        NormalizerForm::Nfkc => steps.push(Step::Nfkc),
        NormalizerForm::Lowercase => steps.push(Step::Lowercase),
    }
    Ok(())
}

/// Refuses every pre-tokenizer except one Metaspace with DeBERTa-v3's settings.
fn check_words(form: Option<PreTokenizerForm>) -> Result<()> {
    match form {
        Some(PreTokenizerForm::Sequence { mut pretokenizers }) if pretokenizers.len() == 1 => {
            check_words(pretokenizers.pop())
        }
        Some(PreTokenizerForm::Metaspace { replacement, prepend_scheme, split })
            if replacement == SPACE && prepend_scheme == "always" && split =>
        {
            Ok(())
        }
        _ => {
            refuse("no compact form of its pre-tokenizer: it is not one Metaspace of DeBERTa-v3's")
        }
    }
}

fn special_tokens(
    tokens: Vec<(&u32, &AddedToken)>,
    normalise: impl Fn(&str) -> String,
) -> Result<SpecialTokens> {
    let compact = |(id, token): (&u32, &AddedToken)| {
        if token.single_word || token.lstrip || token.rstrip {
            let text = &token.content;
            return refuse(format!(
                "no compact form of the added token `{text}`: it is single_word, lstrip or rstrip"
            ));
        }
        Ok(SpecialToken { text: normalise(&token.content), id: *id })
    };
    SpecialTokens::new(tokens.into_iter().map(compact).collect::<Result<_>>()?)
}

fn pieces(model: &ModelWrapper) -> Result<Pieces> {
    let ModelWrapper::Unigram(unigram) = model else {
        return refuse("no compact form of a model other than Unigram");
    };
    if unigram.byte_fallback() {
        return refuse("no compact form of a Unigram model with byte_fallback");
    }
    let ModelForm { unk_id } = form("model", unigram)?;
    let pieces = unigram.iter().zip(0..);
    Pieces::sorted(pieces.map(|((text, score), id)| (&**text, id, *score)).collect(), unk_id)
}
