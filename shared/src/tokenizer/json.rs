//! Reads a `tokenizer.json` after checking the parts that the library trusts: it panics on a damaged
//! charsmap or decoder, and fails in the middle of a text where the model has no unknown piece.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

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
