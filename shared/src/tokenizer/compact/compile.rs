//! Converts a tokenizer of Hugging Face's crate to the compact one, and refuses by name each part that has no
//! compact form.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::{
    AddedToken, ModelWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::characters::CharacterSet;
use super::normalizer::{Normalizer, Step};
use super::pieces::Pieces;
use super::special::{SpecialToken, SpecialTokens};
use super::tensors::LARGEST_FORM;
use super::tokenizer::{CompactTokenizer, SPACE};
use crate::tokenizer::{Tokenizer, refuse};
use crate::{Error, Result};

/// The characters that the pre-tokenizer Punctuation cuts out.
static PUNCTUATION: LazyLock<CharacterSet> =
    LazyLock::new(|| CharacterSet::collect(is_punctuation));

/// The characters by which the `tokenizers` crate tells words.
static WORD_CHARACTERS: LazyLock<CharacterSet> = LazyLock::new(|| {
    let word = Regex::new(r"\w").expect("the pattern parses");
    CharacterSet::collect(|character| word.is_match(character.encode_utf8(&mut [0; 4])))
});

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
    #[serde(rename = "NFC")]
    Nfc,
    #[serde(rename = "NFKC")]
    Nfkc,
    Lowercase,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizerForm {
    Sequence { pretokenizers: Vec<Self> },
    Metaspace { replacement: char, prepend_scheme: String, split: bool },
    Punctuation { behavior: String },
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
        let punctuation =
            match splits_punctuation(form("pre-tokenizer", &self.inner.get_pre_tokenizer())?)? {
                true => PUNCTUATION.clone(),
                false => CharacterSet::default(),
            };
        let steps = form("normalizer", &self.inner.get_normalizer())?;
        let normalizer = normalizer(steps)?;
        let added = self.inner.get_added_tokens_decoder();
        let mut added: Vec<(&u32, &AddedToken)> = added.iter().collect();
        added.sort_by_key(|(id, _)| **id);
        let word_characters = match added.iter().any(|(_, token)| token.single_word) {
            true => WORD_CHARACTERS.clone(),
            false => CharacterSet::default(),
        };
        let (in_normalised, as_written) =
            added.into_iter().partition(|(_, token)| token.normalized);
        let as_written = special_tokens(as_written, str::to_owned)?;
        let normalised = special_tokens(in_normalised, |text| normalizer.apply(text).into_owned())?;
        let compact = CompactTokenizer {
            as_written,
            normalised,
            normalizer,
            pieces: pieces(self.inner.get_model())?,
            punctuation,
            word_characters,
            cls_id: self.cls_id(),
            sep_id: self.sep_id(),
        };
        match compact.form().len() {
            ..=LARGEST_FORM => Ok(compact),
            _ => refuse("no compact form of so many added tokens"),
        }
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
        NormalizerForm::Strip { strip_left, strip_right } => match (strip_left, strip_right) {
            (true, true) => steps.push(Step::Strip),
            (true, false) => steps.push(Step::StripStart),
            (false, true) => steps.push(Step::StripEnd),
            (false, false) => {}
        },
        NormalizerForm::Precompiled { precompiled_charsmap } => {
            if charsmap.is_some() {
                return refuse("no compact form of two Precompiled normalizers");
            }
            steps.push(Step::Charsmap);
            *charsmap = STANDARD.decode(precompiled_charsmap).ok();
        }
        NormalizerForm::Replace { pattern, content } => {
            match (pattern["Regex"].as_str(), content.as_str()) {
                (Some(" {2,}"), " ") => steps.push(Step::SingleSpaces),
                (Some(r"\s{2,}|[\n\r\t]"), " ") => steps.push(Step::WhiteSpace),
                _ => {
                    return refuse(format!("no compact form of Replace {pattern} by {content:?}"));
                }
            }
        }
        NormalizerForm::Nmt => steps.push(Step::Nmt),
        NormalizerForm::Nfc => steps.push(Step::Nfc),
        NormalizerForm::Nfkc => steps.push(Step::Nfkc),
        NormalizerForm::Lowercase => steps.push(Step::Lowercase),
    }
    Ok(())
}

/// Whether words are split at punctuation. Refuses every pre-tokenizer but a Metaspace with DeBERTa-v3's settings, with or
/// without a Punctuation before it.
fn splits_punctuation(form: Option<PreTokenizerForm>) -> Result<bool> {
    let parts = match form {
        Some(PreTokenizerForm::Sequence { pretokenizers }) => pretokenizers,
        other => other.into_iter().collect(),
    };
    match &parts[..] {
        [metaspace] if is_deberta_metaspace(metaspace) => Ok(false),
        [PreTokenizerForm::Punctuation { behavior }, metaspace]
            if behavior == "Isolated" && is_deberta_metaspace(metaspace) =>
        {
            Ok(true)
        }
        _ => refuse(
            "no compact form of its pre-tokenizer: it is neither DeBERTa-v3's Metaspace nor a Punctuation (Isolated) \
             and then that",
        ),
    }
}

fn is_deberta_metaspace(form: &PreTokenizerForm) -> bool {
    matches!(form, PreTokenizerForm::Metaspace { replacement: SPACE, prepend_scheme, split: true }
        if prepend_scheme == "always")
}

/// Asks the pre-tokenizer itself: it cuts `a` from what follows only at punctuation.
fn is_punctuation(character: char) -> bool {
    let mut text = PreTokenizedString::from(format!("a{character}"));
    let splits = Punctuation::default().pre_tokenize(&mut text);
    splits.is_ok() && text.get_splits(OffsetReferential::Original, OffsetType::None).len() > 1
}

fn special_tokens(
    tokens: Vec<(&u32, &AddedToken)>,
    normalise: impl Fn(&str) -> String,
) -> Result<SpecialTokens> {
    let compact = |(id, token): (&u32, &AddedToken)| {
        let text = normalise(&token.content);
        let AddedToken { lstrip, rstrip, single_word, .. } = *token;
        SpecialToken { text, id: *id, lstrip, rstrip, single_word }
    };
    SpecialTokens::new(tokens.into_iter().map(compact).collect())
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
