//! What a bundle stores its matrices as. The words for it: `int8`, or with more to say `int8/int4+2/1`, which is the layers'
//! matrices as int8, the word embeddings as int4, and of what sets each fold apart two bits a number, of word
//! embeddings one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::numbers::Numbers;
use super::refuse;
use crate::kernels::low_bits::Bits;
use crate::kernels::packed::PackedLinear;
use crate::{Error, Result};

pub(super) use crate::model::WORD_EMBEDDINGS;

/// What the matrices of a bundle are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding {
    matrices: Kind,
    words: Kind,
    deltas: Option<Deltas>,
}

/// Of the numbers of one matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    /// Floats in the feed-forward matrices; the others are as in [`Kind::Int16`].
    F16,
    /// As large as f16 and some ten times as close: of f16's bits five are an exponent, which numbers of one row do
    /// not need each.
    Int16,
    /// Three quarters of that, and as fast as [`Kind::Int8`].
    Int12,
    Int8,
    /// In word embeddings and the encoder's layers; the others are few, and as in [`Kind::Int8`].
    Int4,
}

/// What is stored of a fold where all folds have a base in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deltas {
    matrices: Bits,
    /// `None`: the folds have one table of word embeddings.
    words: Option<Bits>,
}

/// What one tensor is in a loaded fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InMemory {
    F32,
    /// As it is stored: the rows that are read are decoded then.
    Encoded,
    /// A linear layer's weights in the order of its product: whole numbers of twelve or eight bits as such, others as f32.
    Packed,
    /// The same, as whole numbers of as many bits as its sums allow: of fewer bits that were stored, or of a base and
    /// a delta.
    PackedFinely,
}

const KINDS: [(&str, Kind); 6] = [
    ("f32", Kind::F32),
    ("f16", Kind::F16),
    ("int16", Kind::Int16),
    ("int12", Kind::Int12),
    ("int8", Kind::Int8),
    ("int4", Kind::Int4),
];

impl Encoding {
    pub const F32: Self = Self::whole(Kind::F32);
    pub const F16: Self = Self { words: Kind::Int16, ..Self::whole(Kind::F16) };
    pub const INT16: Self = Self::whole(Kind::Int16);
    pub const INT12: Self = Self::whole(Kind::Int12);
    pub const INT8: Self = Self::whole(Kind::Int8);
    pub const INT4: Self = Self::whole(Kind::Int4);

    const fn whole(kind: Kind) -> Self {
        Self { matrices: kind, words: kind, deltas: None }
    }

    /// Whether folds are a common base and what sets each apart.
    pub fn has_deltas(self) -> bool {
        self.deltas.is_some()
    }

    /// Whether all numbers are the run's own, to the bit.
    pub fn is_exact(self) -> bool {
        self == Self::F32
    }

    /// What the tensor of this name and shape is stored as; where there are deltas, the folds' base of it.
    pub(super) fn of(self, name: &str, shape: &[usize]) -> Numbers {
        if is_small(name, shape) {
            return Numbers::F32;
        }
        let kind = if name == WORD_EMBEDDINGS { self.words } else { self.matrices };
        match kind {
            Kind::F32 => Numbers::F32,
            Kind::F16 if is_feed_forward(name) => Numbers::F16,
            Kind::F16 | Kind::Int16 => Numbers::Int16,
            Kind::Int12 => Numbers::Int12,
            Kind::Int4 if name == WORD_EMBEDDINGS || is_of_a_layer(name) => Numbers::Int4,
            Kind::Int4 | Kind::Int8 => Numbers::Int8,
        }
    }

    /// Whether the folds have a base of the tensor in common.
    pub(super) fn has_base(self, name: &str, shape: &[usize]) -> bool {
        self.has_deltas() && !is_small(name, shape)
    }

    /// What is stored of the tensor beside such a base. Matrices outside of the layers are few, and get four bits.
    pub(super) fn delta_of(self, name: &str, shape: &[usize]) -> Option<Numbers> {
        let deltas = self.deltas.filter(|_| !is_small(name, shape))?;
        let bits = match name {
            WORD_EMBEDDINGS => deltas.words?,
            _ if is_of_a_layer(name) => deltas.matrices,
            _ => Bits::Four,
        };
        Some(Numbers::Delta(bits))
    }

    /// What a loaded fold makes of the tensor of this name and shape.
    pub(super) fn in_memory(self, name: &str, shape: &[usize]) -> InMemory {
        if self.kept_encoded(name) {
            return InMemory::Encoded;
        }
        if is_small(name, shape) || name.ends_with("_embeddings.weight") {
            return InMemory::F32;
        }
        match self.of(name, shape) {
            Numbers::Int12 | Numbers::Int8 if !self.has_deltas() => InMemory::Packed,
            Numbers::Int12 | Numbers::Int8 | Numbers::Int4 => InMemory::PackedFinely,
            _ if PackedLinear::HOLDS_F32 => InMemory::Packed,
            _ => InMemory::F32,
        }
    }

    /// What a word embedding of so many numbers takes, deltas not counted; `None` where a reader needs all before it answers.
    pub fn bytes_of_a_word(self, width: usize) -> Option<usize> {
        let numbers = self.of(WORD_EMBEDDINGS, &[1, width]);
        let bytes = numbers.row_bytes(width) + numbers.scale_bytes(width);
        self.kept_encoded(WORD_EMBEDDINGS).then_some(bytes)
    }

    /// Whether a loaded fold keeps the tensor as it is stored and decodes the rows that it reads.
    pub(super) fn kept_encoded(self, name: &str) -> bool {
        self.words != Kind::F32 && name == WORD_EMBEDDINGS
    }
}

/// Vectors, and the classifier's few rows.
fn is_small(name: &str, shape: &[usize]) -> bool {
    shape.len() != 2 || name.starts_with("classifier.")
}

fn is_of_a_layer(name: &str) -> bool {
    name.starts_with("deberta.encoder.layer.")
}

/// Whether the tensor is of a layer's feed-forward part: most of the layer, and where rounding shows least in the
/// answers. Word embeddings, attention and pooler in f16 moved them three times as far.
fn is_feed_forward(name: &str) -> bool {
    name.contains(".intermediate.")
        || (name.contains(".output.dense.") && !name.contains(".attention."))
}

/// Whether equal rows of the tensor are found one by one.
pub(super) fn shared_by_row(name: &str) -> bool {
    name == WORD_EMBEDDINGS
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.matrices.name())?;
        if self.words != self.matrices.usual_words() {
            write!(f, "/{}", self.words.name())?;
        }
        let Some(Deltas { matrices, words }) = self.deltas else { return Ok(()) };
        write!(f, "+{}", matrices.count())?;
        words.map_or(Ok(()), |words| write!(f, "/{}", words.count()))
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = || {
            let (whole, deltas) = match text.split_once('+') {
                Some((whole, deltas)) => (whole, Some(Deltas::parse(deltas)?)),
                None => (text, None),
            };
            let (matrices, words) = match whole.split_once('/') {
                Some((matrices, words)) => (Kind::parse(matrices)?, Kind::parse(words)?),
                None => {
                    let matrices = Kind::parse(whole)?;
                    (matrices, matrices.usual_words())
                }
            };
            (words != Kind::F16).then_some(Self { matrices, words, deltas })
        };
        match parsed() {
            Some(encoding) => Ok(encoding),
            None => refuse(format!("there is no encoding `{}`", text.escape_debug())),
        }
    }
}

impl TryFrom<String> for Encoding {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.to_string()
    }
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        KINDS.iter().find(|(name, _)| *name == text).map(|&(_, kind)| kind)
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).expect("all are there").0
    }

    /// What word embeddings are where nothing is said of them.
    fn usual_words(self) -> Self {
        match self {
            Self::F16 => Self::Int16,
            other => other,
        }
    }
}

impl Deltas {
    fn parse(text: &str) -> Option<Self> {
        let bits = |text: &str| Bits::ALL.into_iter().find(|bits| bits.count().to_string() == text);
        match text.split_once('/') {
            Some((matrices, words)) => {
                Some(Self { matrices: bits(matrices)?, words: Some(bits(words)?) })
            }
            None => Some(Self { matrices: bits(text)?, words: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_has_one_name() {
        for name in ["f32", "f16", "int16", "int12", "int8", "int4", "int8/int4", "f16/f32"] {
            for deltas in ["", "+1", "+2/4", "+4/1"] {
                let name = format!("{name}{deltas}");
                assert_eq!(name.parse::<Encoding>().unwrap().to_string(), name);
            }
        }
        assert_eq!("int8/int8".parse::<Encoding>().unwrap(), Encoding::INT8);
        for name in
            ["", "int3", "int8/", "int8/f16", "int8+", "int8+3", "int8+1/", "INT8", "int8+1+1"]
        {
            assert!(name.parse::<Encoding>().is_err(), "{name}");
        }
    }

    #[test]
    fn each_tensor_is_stored_as_its_part_asks() {
        let encoding: Encoding = "int4+1/2".parse().unwrap();
        let layer = "deberta.encoder.layer.3.attention.self.query_proj.weight";
        for (name, shape, base, delta) in [
            (WORD_EMBEDDINGS, &[9, 4][..], Numbers::Int4, Some(Numbers::Delta(Bits::Two))),
            (layer, &[4, 4], Numbers::Int4, Some(Numbers::Delta(Bits::One))),
            ("pooler.dense.weight", &[4, 4], Numbers::Int8, Some(Numbers::Delta(Bits::Four))),
            ("pooler.dense.bias", &[4], Numbers::F32, None),
            ("classifier.weight", &[2, 4], Numbers::F32, None),
        ] {
            assert_eq!((encoding.of(name, shape), encoding.delta_of(name, shape)), (base, delta));
            assert_eq!(encoding.has_base(name, shape), delta.is_some());
        }
        let shared: Encoding = "int8+1".parse().unwrap();
        assert_eq!(shared.delta_of(WORD_EMBEDDINGS, &[9, 4]), None);
        assert!(shared.has_base(WORD_EMBEDDINGS, &[9, 4]));
    }
}
