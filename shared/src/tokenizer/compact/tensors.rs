//! A compact tokenizer as tensors, all of them of one dimension:
//!
//! | name | dtype | content |
//! |---|---|---|
//! | `tokenizer.form` | u8 | JSON: steps of normalisation, special tokens, ids of `[CLS]`, `[SEP]` and the unknown piece; punctuation and word characters where the tokenizer looks at them |
//! | `tokenizer.pieces` | u8 | the pieces in UTF-8, sorted by their bytes, end to end |
//! | `tokenizer.lengths` | u16 | the length of each piece, in bytes |
//! | `tokenizer.ids` | u32 | the id of each piece |
//! | `tokenizer.scores` | f32 or f64 | the log probability of each piece |
//! | `tokenizer.charsmap` | u8 | SentencePiece's table of replacements, where normalisation uses one |

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::characters::CharacterSet;
use super::normalizer::{Normalizer, Step};
use super::pieces::{Pieces, Scores};
use super::special::{SpecialToken, SpecialTokens};
use super::tokenizer::CompactTokenizer;
use crate::tokenizer::refuse;
use crate::{Error, Result};

const FORM: &str = "tokenizer.form";
const PIECES: &str = "tokenizer.pieces";
const LENGTHS: &str = "tokenizer.lengths";
const IDS: &str = "tokenizer.ids";
const SCORES: &str = "tokenizer.scores";
const CHARSMAP: &str = "tokenizer.charsmap";

/// Limits of a form, which names a few steps, special tokens and ranges of characters.
pub(super) const LARGEST_FORM: usize = 1 << 20;
const MOST_STEPS: usize = 16;

/// One table of a tokenizer, of one dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerTensor {
    /// The tensor's name, which begins with `tokenizer.`.
    pub name: &'static str,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The elements, little-endian.
    pub bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    normalizers: Vec<Step>,
    /// The special tokens that are looked for in the text as written.
    special_tokens: Vec<SpecialToken>,
    /// The special tokens that are looked for in the normalised text.
    normalised_special_tokens: Vec<SpecialToken>,
    cls_id: u32,
    sep_id: u32,
    unk_id: u32,
    #[serde(default, skip_serializing_if = "CharacterSet::is_empty")]
    punctuation: CharacterSet,
    #[serde(default, skip_serializing_if = "CharacterSet::is_empty")]
    word_characters: CharacterSet,
}

impl CompactTokenizer {
    /// Whether `name` is that of a tokenizer's tensor.
    pub fn has_tensor(name: &str) -> bool {
        [FORM, PIECES, LENGTHS, IDS, SCORES, CHARSMAP].contains(&name)
    }

    /// Returns the tables: `tokenizer.form`, `.pieces`, `.lengths`, `.ids`, `.scores` and, where normalisation
    /// uses one, `.charsmap`.
    pub fn to_tensors(&self) -> Vec<TokenizerTensor> {
        let form = self.form();
        let pieces = &self.pieces;
        let lengths = pieces.lengths().flat_map(u16::to_le_bytes).collect();
        let ids = pieces.ids().iter().flat_map(|id| id.to_le_bytes()).collect();
        let (scores_dtype, scores) = match pieces.scores() {
            Scores::F32(scores) => {
                (Dtype::F32, scores.iter().flat_map(|score| score.to_le_bytes()).collect())
            }
            Scores::F64(scores) => {
                (Dtype::F64, scores.iter().flat_map(|score| score.to_le_bytes()).collect())
            }
        };
        let charsmap = self.normalizer.charsmap().map(<[u8]>::to_vec);
        let tensor = |name, dtype, bytes| TokenizerTensor { name, dtype, bytes };
        let tensors = [
            tensor(FORM, Dtype::U8, form),
            tensor(PIECES, Dtype::U8, pieces.texts().to_vec()),
            tensor(LENGTHS, Dtype::U16, lengths),
            tensor(IDS, Dtype::U32, ids),
            tensor(SCORES, scores_dtype, scores),
        ];
        let charsmap = charsmap.map(|bytes| tensor(CHARSMAP, Dtype::U8, bytes));
        tensors.into_iter().chain(charsmap).collect()
    }

    /// The bytes of `tokenizer.form`.
    pub(super) fn form(&self) -> Vec<u8> {
        let form = Form {
            normalizers: self.normalizer.steps().to_vec(),
            special_tokens: self.as_written.tokens().to_vec(),
            normalised_special_tokens: self.normalised.tokens().to_vec(),
            cls_id: self.cls_id,
            sep_id: self.sep_id,
            unk_id: self.pieces.unk_id(),
            punctuation: self.punctuation.clone(),
            word_characters: self.word_characters.clone(),
        };
        serde_json::to_vec(&form).expect("plain data")
    }

    /// Reads the tables of [`to_tensors`](Self::to_tensors), each by its name through `get`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], if a table is missing, has another type or is damaged.
    pub fn from_tensors<'a>(get: impl Fn(&str) -> Option<(Dtype, &'a [u8])>) -> Result<Self> {
        let bytes = |name: &str, dtype| match get(name) {
            Some((found, bytes)) if found == dtype => Ok(bytes),
            Some((found, _)) => refuse(format!("`{name}` is {found}, not {dtype}")),
            None => refuse(format!("`{name}` is missing")),
        };
        let form = read_form(bytes(FORM, Dtype::U8)?)?;
        let charsmap = match form.normalizers.contains(&Step::Charsmap) {
            true => Some(bytes(CHARSMAP, Dtype::U8)?.to_vec()),
            false => None,
        };
        let scores = match get(SCORES) {
            Some((Dtype::F64, bytes)) => Scores::F64(numbers(bytes, f64::from_le_bytes)),
            _ => Scores::F32(numbers(bytes(SCORES, Dtype::F32)?, f32::from_le_bytes)),
        };
        let pieces = Pieces::new(
            bytes(PIECES, Dtype::U8)?.to_vec(),
            &numbers(bytes(LENGTHS, Dtype::U16)?, u16::from_le_bytes),
            numbers(bytes(IDS, Dtype::U32)?, u32::from_le_bytes),
            scores,
            form.unk_id,
        )?;
        Ok(Self {
            as_written: SpecialTokens::new(form.special_tokens)?,
            normalizer: Normalizer::new(form.normalizers, charsmap)?,
            normalised: SpecialTokens::new(form.normalised_special_tokens)?,
            pieces,
            punctuation: form.punctuation.checked()?,
            word_characters: form.word_characters.checked()?,
            cls_id: form.cls_id,
            sep_id: form.sep_id,
        })
    }
}

fn read_form(json: &[u8]) -> Result<Form> {
    if json.len() > LARGEST_FORM {
        return refuse(format!("`{FORM}` is larger than {LARGEST_FORM} bytes"));
    }
    let form: Form = serde_json::from_slice(json)
        .map_err(|error| Error::Tokenizer(format!("`{FORM}`: {error}")))?;
    if form.normalizers.len() > MOST_STEPS {
        return refuse(format!("its normalizer has more than {MOST_STEPS} steps"));
    }
    Ok(form)
}

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(read).collect()
}
