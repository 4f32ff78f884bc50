//! A tokenizer with a part of another's vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::full::Tokenizer;
use super::refuse;
use crate::Result;

/// A tokenizer with fewer pieces, and the ids that these had.
pub struct Cut {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The former id of each id, ascending.
    pub kept: Vec<u32>,
}

impl Tokenizer {
    /// Leaves out the pieces that are not `wanted`, but for those without which a text would have an unknown piece
    /// that had none: single characters stay, and so does a piece with a character that is no piece of its own.
    /// Special and added tokens stay as well.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer), if the tokenizer cannot be written and read again.
    pub fn cut(&self, wanted: impl Fn(u32) -> bool) -> Result<Cut> {
        let mut json: Value = serde_json::from_str(&self.to_json())?;
        let Some(pieces) = json["model"]["vocab"].as_array() else {
            return refuse("its model lists no pieces");
        };
        let text = |piece: &Value| piece[0].as_str().unwrap_or_default().to_owned();
        let single: BTreeSet<char> =
            pieces.iter().filter_map(|piece| only_char(&text(piece))).collect();
        let added = ids(&json["added_tokens"], "id");
        let stays = |id: u32, piece: &str| {
            wanted(id)
                || added.contains(&id)
                || only_char(piece).is_some()
                || piece.chars().any(|char| !single.contains(&char))
        };
        let (mut kept, mut vocabulary) = (Vec::new(), Vec::new());
        for (id, piece) in (0..).zip(pieces) {
            if stays(id, &text(piece)) {
                kept.push(id);
                vocabulary.push(piece.clone());
            }
        }
        kept.extend(added.iter().filter(|&&id| id as usize >= pieces.len()));

        let new: BTreeMap<u64, usize> = kept.iter().map(|&id| u64::from(id)).zip(0..).collect();
        let renumber = |id: &mut Value| {
            if let Some(new) = id.as_u64().and_then(|id| new.get(&id)) {
                *id = Value::from(*new);
            }
        };
        json["model"]["vocab"] = Value::Array(vocabulary);
        renumber(&mut json["model"]["unk_id"]);
        for token in json["added_tokens"].as_array_mut().into_iter().flatten() {
            renumber(&mut token["id"]);
        }
        let frame = json["post_processor"]["special_tokens"].as_object_mut();
        for (_, token) in frame.into_iter().flatten() {
            token["ids"].as_array_mut().into_iter().flatten().for_each(renumber);
        }
        Ok(Cut { tokenizer: Self::from_json(json.to_string().as_bytes())?, kept })
    }
}

/// The character of a piece that has no other.
fn only_char(piece: &str) -> Option<char> {
    let mut chars = piece.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn ids(tokens: &Value, field: &str) -> BTreeSet<u32> {
    let tokens = tokens.as_array().into_iter().flatten();
    tokens.filter_map(|token| token[field].as_u64()).map(|id| id as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] =
        ["the cat sat on the mat", "a cat and a hat", "that hat!", "cats, mats"];

    #[test]
    fn texts_fall_into_smaller_pieces_and_nothing_becomes_unknown() {
        let whole = Tokenizer::learn(TEXTS.iter(), 60).unwrap();
        let Cut { tokenizer, kept } = whole.cut(|_| false).unwrap();
        assert!(tokenizer.vocab_size() < whole.vocab_size());
        assert_eq!(kept.len(), tokenizer.vocab_size());
        let unknown = tokenizer.inner.token_to_id("[UNK]").unwrap();
        for text in TEXTS {
            let ids = tokenizer.encode(text, 128).input_ids;
            assert!(!ids.contains(&unknown), "{text}");
            let spelt = |tokenizer: &Tokenizer| -> String {
                tokenizer.tokens(text).into_iter().map(|token| token.text).collect()
            };
            assert_eq!(spelt(&tokenizer), spelt(&whole));
        }
    }

    #[test]
    fn kept_pieces_have_their_former_names_in_their_former_order() {
        let whole = Tokenizer::learn(TEXTS.iter(), 60).unwrap();
        let Cut { tokenizer, kept } = whole.cut(|id| id % 2 == 0).unwrap();
        assert!(kept.is_sorted());
        for (new, old) in (0..).zip(kept) {
            assert_eq!(tokenizer.inner.id_to_token(new), whole.inner.id_to_token(old));
        }
        let Cut { tokenizer: same, kept } = whole.cut(|_| true).unwrap();
        assert_eq!(same.to_json(), whole.to_json());
        assert_eq!(kept.len(), whole.vocab_size());
    }
}
