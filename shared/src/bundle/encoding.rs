//! The policy: which tensor of a bundle is stored in which format, and what a loaded fold keeps it as.
//!
//! An encoding is named as in `int8/int4+2/1`: the layers' matrices in int8, the word embeddings in int4, and each
//! fold's deltas in two bits a number, those of word embeddings in one. The formats are those of [`crate::quant`].

use std::fmt;
use std::str::FromStr;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::names::refuse;
use crate::kernels::low_bits::Bits;
use crate::model::WORD_EMBEDDINGS;
use crate::quant::{Format, Operand, crest_factor};
use crate::{Error, Result};

/// The largest [`crest_factor`] of a matrix that is stored in 8 bits. The outputs of the first feed-forward layers of a
/// pretrained MiniLM have 7 to 9, its other matrices 3 to 5. Those few layers made half of all rounding errors.
const LARGEST_CREST_FACTOR: f64 = 5.5;

/// The policy of a bundle: the format of each tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding {
    matrices: Format,
    words: Format,
    deltas: Option<DeltaBits>,
}

/// The bits of each fold's deltas, where the folds have a common base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DeltaBits {
    matrices: Bits,
    /// `None`: the folds share one table of word embeddings.
    words: Option<Bits>,
}

/// The form in which a loaded fold keeps a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Residency {
    /// An f32 tensor.
    Dense,
    /// The stored rows, decoded when they are read.
    Rows,
    /// The packed weights of a linear layer.
    Packed(Operand),
}

impl From<Format> for Encoding {
    /// The encoding that the format's name alone stands for.
    fn from(format: Format) -> Self {
        Self { matrices: format, words: usual_words(format), deltas: None }
    }
}

impl Encoding {
    /// The format whose name alone stands for this encoding.
    pub fn format(self) -> Option<Format> {
        Some(self.matrices).filter(|&format| self == Self::from(format))
    }

    /// Whether each fold is stored as its difference from a common base.
    pub fn has_deltas(self) -> bool {
        self.deltas.is_some()
    }

    /// Whether every number is the run's own, to the bit.
    pub fn is_exact(self) -> bool {
        self.format() == Some(Format::F32)
    }

    /// The format of the tensor of this name and shape; where there are deltas, of the folds' common base.
    pub(super) fn format_of(self, name: &str, shape: &[usize]) -> Format {
        if is_small(name, shape) {
            return Format::F32;
        }
        let is_words = name == WORD_EMBEDDINGS;
        match if is_words { self.words } else { self.matrices } {
            Format::F16 if !is_feed_forward(name) => Format::Int16,
            // Matrices outside of the layers are few.
            Format::Int4 if !is_words && !is_in_layer(name) => Format::Int8,
            format => format,
        }
    }

    /// The format in which all folds store the tensor of this name and shape, given its `versions`: that of
    /// [`format_of`](Self::format_of), or the one with more bits if a version has outliers.
    ///
    /// Word embeddings stay as they are named, and so does a common base: deltas make up for its rounding.
    pub(super) fn format_for(self, name: &str, shape: &[usize], versions: &[Vec<f32>]) -> Format {
        let format = self.format_of(name, shape);
        let (Some(finer), &[_, width]) = (self.finer_than(format, name), shape) else {
            return format;
        };
        let has_outliers = |values: &Vec<f32>| crest_factor(values, width) > LARGEST_CREST_FACTOR;
        if versions.iter().any(has_outliers) { finer } else { format }
    }

    /// The format of a stored tensor of this name, shape and type: one of those that [`format_for`](Self::format_for) gives.
    pub(super) fn format_stored_as(self, dtype: Dtype, name: &str, shape: &[usize]) -> Format {
        let format = self.format_of(name, shape);
        let finer = self.finer_than(format, name);
        finer.filter(|finer| finer.dtype() == dtype).unwrap_or(format)
    }

    /// The format that a tensor of this name may have instead of `format`.
    pub(super) fn finer_than(self, format: Format, name: &str) -> Option<Format> {
        let may_be = !self.has_deltas() && name != WORD_EMBEDDINGS;
        format.for_outliers().filter(|_| may_be)
    }

    /// Whether the folds have a common base of the tensor.
    pub(super) fn has_base(self, name: &str, shape: &[usize]) -> bool {
        self.has_deltas() && !is_small(name, shape)
    }

    /// The bits of each fold's deltas from the base of the tensor. Matrices outside of the layers are few and get four.
    pub(super) fn delta_bits(self, name: &str, shape: &[usize]) -> Option<Bits> {
        let deltas = self.deltas.filter(|_| !is_small(name, shape))?;
        match name {
            WORD_EMBEDDINGS => deltas.words,
            _ if is_in_layer(name) => Some(deltas.matrices),
            _ => Some(Bits::Four),
        }
    }

    /// The form in which a loaded fold keeps the tensor of this name and shape, stored in `format`.
    pub(super) fn residency(self, name: &str, shape: &[usize], format: Format) -> Residency {
        if self.keeps_rows(name) {
            return Residency::Rows;
        }
        if is_small(name, shape) || name.ends_with("_embeddings.weight") {
            return Residency::Dense;
        }
        match format.operand() {
            Operand::Int8 | Operand::Int16 if self.has_deltas() => {
                Residency::Packed(Operand::Requantized)
            }
            operand => Residency::Packed(operand),
        }
    }

    /// Stored bytes of one word embedding of `width` numbers, deltas not counted; `None` where all rows must be
    /// there before a fold answers.
    pub fn word_bytes(self, width: usize) -> Option<usize> {
        let format = self.format_of(WORD_EMBEDDINGS, &[1, width]);
        let bytes = format.row_bytes(width) + format.row_scales(width) * size_of::<f32>();
        self.keeps_rows(WORD_EMBEDDINGS).then_some(bytes)
    }

    /// Whether a loaded fold keeps the tensor's stored rows.
    pub(super) fn keeps_rows(self, name: &str) -> bool {
        self.words != Format::F32 && name == WORD_EMBEDDINGS
    }
}

/// The format of word embeddings where a name says nothing of them.
fn usual_words(matrices: Format) -> Format {
    match matrices {
        Format::F16 => Format::Int16,
        format => format,
    }
}

/// Vectors, and the classifier's few rows.
fn is_small(name: &str, shape: &[usize]) -> bool {
    shape.len() != 2 || name.starts_with("classifier.")
}

fn is_in_layer(name: &str) -> bool {
    name.starts_with("deberta.encoder.layer.")
}

/// Whether the tensor is of a layer's feed-forward part: most of the layer, and where rounding shows least in the
/// answers. Word embeddings, attention and pooler in f16 moved them three times as far.
fn is_feed_forward(name: &str) -> bool {
    name.contains(".intermediate.")
        || (name.contains(".output.dense.") && !name.contains(".attention."))
}

/// Whether equal rows of the tensor are found one by one.
pub(super) fn is_shared_by_row(name: &str) -> bool {
    name == WORD_EMBEDDINGS
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.matrices.fmt(f)?;
        if self.words != usual_words(self.matrices) {
            write!(f, "/{}", self.words)?;
        }
        let Some(DeltaBits { matrices, words }) = self.deltas else { return Ok(()) };
        write!(f, "+{}", matrices.count())?;
        words.map_or(Ok(()), |words| write!(f, "/{}", words.count()))
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match parse(text) {
            Some(encoding) => Ok(encoding),
            None => refuse(format!(
                "unknown encoding `{}`: it must be MATRICES[/WORDS][+BITS[/BITS]], such as int8 or int8/int4+2/1",
                text.escape_debug()
            )),
        }
    }
}

fn parse(text: &str) -> Option<Encoding> {
    let (formats, deltas) = match text.split_once('+') {
        Some((formats, deltas)) => (formats, Some(DeltaBits::parse(deltas)?)),
        None => (text, None),
    };
    let (matrices, words) = match formats.split_once('/') {
        Some((matrices, words)) => (Format::named(matrices)?, Format::named(words)?),
        None => {
            let matrices = Format::named(formats)?;
            (matrices, usual_words(matrices))
        }
    };
    (words != Format::F16).then_some(Encoding { matrices, words, deltas })
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

impl DeltaBits {
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
        let formats = Format::NAMED.map(|(name, _)| name);
        for name in formats.into_iter().chain(["int8/int4", "f16/f32"]) {
            for deltas in ["", "+1", "+2/4", "+4/1"] {
                let name = format!("{name}{deltas}");
                assert_eq!(name.parse::<Encoding>().unwrap().to_string(), name);
            }
        }
        for (name, format) in Format::NAMED {
            assert_eq!(name.parse::<Encoding>().unwrap(), format.into());
            assert_eq!(Encoding::from(format).format(), Some(format));
        }
        assert_eq!("int8/int8".parse::<Encoding>().unwrap(), Format::Int8.into());
        assert_eq!("int8/int4".parse::<Encoding>().unwrap().format(), None);
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
            (WORD_EMBEDDINGS, &[9, 4][..], Format::Int4, Some(Bits::Two)),
            (layer, &[4, 4], Format::Int4, Some(Bits::One)),
            ("pooler.dense.weight", &[4, 4], Format::Int8, Some(Bits::Four)),
            ("pooler.dense.bias", &[4], Format::F32, None),
            ("classifier.weight", &[2, 4], Format::F32, None),
        ] {
            let stored = (encoding.format_of(name, shape), encoding.delta_bits(name, shape));
            assert_eq!(stored, (base, delta));
            assert_eq!(encoding.has_base(name, shape), delta.is_some());
        }
        let shared: Encoding = "int8+1".parse().unwrap();
        assert_eq!(shared.delta_bits(WORD_EMBEDDINGS, &[9, 4]), None);
        assert!(shared.has_base(WORD_EMBEDDINGS, &[9, 4]));
    }
}
