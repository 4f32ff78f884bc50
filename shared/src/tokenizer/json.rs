//! Reads a `tokenizer.json` after checking the parts that the library trusts: it panics on a damaged
//! charsmap or decoder, and fails in the middle of a text where the model has no unknown piece.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

use super::named::CONFIG;
use super::settings::Settings;
use super::{charsmap, form, refuse};
use crate::{Error, Result};

#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    normalizer: Value,
    /// Parsed only to refuse a decoder that is no JSON value of the right form.
    #[serde(default, rename = "decoder")]
    _decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    unk_id: Option<usize>,
}

pub fn read(json: &[u8]) -> Result<Tokenizer> {
    let outline: Outline = serde_json::from_slice(json)
        .map_err(|error| Error::Tokenizer(format!("not a tokenizer.json: {error}")))?;
    if outline.model.kind != "Unigram" {
        return refuse(format!("its model is {}, but DeBERTa-v3's is Unigram", outline.model.kind));
    }
    if outline.model.unk_id.is_none() {
        return refuse("its model has no unknown piece (`unk_id`)");
    }
    check_charsmaps(&outline.normalizer)?;
    Tokenizer::from_bytes(json).map_err(form::words)
}

/// Compares a tokenizer with the settings beside it, which cannot change it: a note says where they differ.
///
/// # Errors
/// If the file cuts texts at their beginning.
pub fn compare(tokenizer: &Tokenizer, settings: &Settings, notes: &mut Vec<String>) -> Result<()> {
    let cuts_the_beginning =
        |truncation: &TruncationParams| truncation.direction == TruncationDirection::Left;
    if tokenizer.get_truncation().is_some_and(cuts_the_beginning) {
        return refuse(
            "its truncation cuts texts at their beginning; texts are only cut at their end",
        );
    }
    let file = serde_json::to_value(tokenizer.get_normalizer()).unwrap_or_default();
    let lower_cases = has_type(&file["normalizers"], &file, "Lowercase");
    let file = serde_json::to_value(tokenizer.get_pre_tokenizer()).unwrap_or_default();
    let splits = has_type(&file["pretokenizers"], &file, "Punctuation");
    for (field, asked, done) in [
        ("do_lower_case", settings.words.lower_case, lower_cases),
        ("split_by_punct", settings.words.split_by_punct, splits),
    ] {
        if asked && !done {
            notes.push(format!(
                "`{field}` of {CONFIG} is without effect beside a tokenizer.json that does not do it, as in transformers 4; \
                 transformers 5 would do it"
            ));
        }
    }
    Ok(())
}

/// Whether a part, or one of the parts it is made of, is of a type.
fn has_type(parts: &Value, whole: &Value, kind: &str) -> bool {
    let parts = parts.as_array().map_or(&[][..], Vec::as_slice);
    parts.iter().chain([whole]).any(|part| part["type"] == kind)
}

fn check_charsmaps(normalizer: &Value) -> Result<()> {
    if let Some(parts) = normalizer["normalizers"].as_array() {
        parts.iter().try_for_each(check_charsmaps)?;
    }
    let charsmap = &normalizer["precompiled_charsmap"];
    if charsmap.is_null() && normalizer["type"] != "Precompiled" {
        return Ok(());
    }
    match charsmap.as_str().map(|text| STANDARD.decode(text)) {
        Some(Ok(bytes)) => charsmap::check(&bytes),
        _ => refuse("its precompiled charsmap is not base64"),
    }
}
