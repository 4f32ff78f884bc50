//! What a bundle stores numbers as, both ways: f32 rows to bytes, bytes to f32 rows.

use half::f16;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::refuse;
use crate::Result;
use crate::kernels::packed::PackedLinear;

/// The table that stays encoded in memory.
const WORD_EMBEDDINGS: &str = "deberta.embeddings.word_embeddings.weight";

/// The largest magnitudes of whole numbers; -128 and -32768 are not used, so that ranges are symmetric.
const LARGEST_INT8: f32 = 127.0;
const LARGEST_INT16: f32 = 32767.0;

/// What the matrices of a bundle are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    F32,
    /// Floats in the feed-forward matrices; the others are as in [`Encoding::Int16`].
    F16,
    /// As large as f16 and some ten times as close: of f16's bits five are an exponent, which numbers of one row do
    /// not need each.
    Int16,
    Int8,
}

/// What one tensor is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    F32,
    F16,
    /// With one f32 a row to multiply with; so is [`Numbers::Int8`].
    Int16,
    Int8,
}

/// What one tensor is in a loaded fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InMemory {
    F32,
    /// As it is stored: the rows that are read are decoded then.
    Encoded,
    /// A linear layer's weights in the order of its product: whole numbers of eight bits as such, others as f32.
    Packed,
}

/// Rows as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Encoded {
    pub data: Vec<u8>,
    /// Empty but for whole numbers.
    pub scales: Vec<u8>,
}

impl Encoded {
    /// Some rows of `width` numbers and their scales.
    pub fn rows(
        &self,
        numbers: Numbers,
        width: usize,
        first: usize,
        count: usize,
    ) -> (&[u8], &[u8]) {
        let part = |bytes_a_row: usize| first * bytes_a_row..(first + count) * bytes_a_row;
        (&self.data[part(width * numbers.size())], &self.scales[part(numbers.scale_size())])
    }
}

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
        }
    }

    /// What the tensor of this name and shape is stored as.
    pub(super) fn of(self, name: &str, shape: &[usize]) -> Numbers {
        let few = shape.len() != 2 || is_classifier(name);
        match self {
            _ if few => Numbers::F32,
            Self::F32 => Numbers::F32,
            Self::F16 if is_feed_forward(name) => Numbers::F16,
            Self::F16 | Self::Int16 => Numbers::Int16,
            Self::Int8 => Numbers::Int8,
        }
    }

    /// What a loaded fold makes of the tensor of this name and shape.
    pub(super) fn in_memory(self, name: &str, shape: &[usize]) -> InMemory {
        let is_linear =
            shape.len() == 2 && !name.ends_with("_embeddings.weight") && !is_classifier(name);
        match self.of(name, shape) {
            Numbers::Int16 | Numbers::Int8 if name == WORD_EMBEDDINGS => InMemory::Encoded,
            Numbers::Int8 if is_linear => InMemory::Packed,
            Numbers::F32 | Numbers::F16 | Numbers::Int16
                if is_linear && PackedLinear::HOLDS_F32 =>
            {
                InMemory::Packed
            }
            _ => InMemory::F32,
        }
    }

    /// Of a matrix that is whole numbers in memory, too.
    pub(super) fn in_memory_bytes_a_row(self, name: &str, shape: &[usize]) -> Option<u64> {
        let size = match (self.in_memory(name, shape), self.of(name, shape)) {
            (InMemory::Encoded, Numbers::Int16) => 2,
            (InMemory::Encoded | InMemory::Packed, Numbers::Int8) => 1,
            _ => return None,
        };
        let scale = size_of::<f32>() as u64;
        Some((shape[1] as u64).saturating_mul(size).saturating_add(scale))
    }
}

/// Whether the tensor is of the last layer, which has a row a label.
fn is_classifier(name: &str) -> bool {
    name.starts_with("classifier.")
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

impl Numbers {
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Int16 => Dtype::I16,
            Self::Int8 => Dtype::I8,
        }
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Int16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Bytes of a row's scale.
    pub fn scale_size(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Int16 | Self::Int8 => size_of::<f32>(),
        }
    }

    /// Whether two scales of the same whole numbers mean the same row: at its largest number they are less than half a step
    /// apart, which is what storing it may have cost anyway.
    pub fn same_scale(self, a: &[u8], b: &[u8]) -> bool {
        let largest = match self {
            Self::F32 | Self::F16 => return a == b,
            Self::Int16 => LARGEST_INT16,
            Self::Int8 => LARGEST_INT8,
        };
        f32_numbers(a).zip(f32_numbers(b)).all(|(a, b)| (a - b).abs() * largest <= a.min(b) / 2.0)
    }

    /// Encodes rows of `width` numbers each.
    ///
    /// # Errors
    /// If a number is not finite, or too large for f16.
    pub fn encode(self, rows: &[f32], width: usize) -> Result<Encoded> {
        if !rows.iter().all(|number| number.is_finite()) {
            return refuse("a weight is not a finite number");
        }
        let mut encoded = Encoded::default();
        encoded.data.reserve_exact(rows.len() * self.size());
        match self {
            Self::F32 => encoded.data.extend(rows.iter().flat_map(|number| number.to_le_bytes())),
            Self::F16 => {
                let numbers = rows.iter().map(|&number| f16::from_f32(number));
                if numbers.clone().any(f16::is_infinite) {
                    return refuse("a weight is too large for f16: export with another encoding");
                }
                encoded.data.extend(numbers.flat_map(f16::to_le_bytes));
            }
            Self::Int16 => {
                for row in rows.chunks_exact(width) {
                    let (scale, numbers) = whole_numbers(row, LARGEST_INT16);
                    encoded.data.extend(numbers.flat_map(|number| (number as i16).to_le_bytes()));
                    encoded.scales.extend(scale.to_le_bytes());
                }
            }
            Self::Int8 => {
                for row in rows.chunks_exact(width) {
                    let (scale, numbers) = whole_numbers(row, LARGEST_INT8);
                    encoded.data.extend(numbers.map(|number| number as i8 as u8));
                    encoded.scales.extend(scale.to_le_bytes());
                }
            }
        }
        Ok(encoded)
    }
}

/// A row as multiples of a scale, by which its largest magnitude is `largest`.
fn whole_numbers(row: &[f32], largest: f32) -> (f32, impl Iterator<Item = f32> + '_) {
    let scale = row.iter().fold(0.0_f32, |most, number| most.max(number.abs())) / largest;
    // Of a row of zeros, or one so small that its scale has no inverse, nothing is kept.
    let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
    (scale, row.iter().map(move |number| (number * inverse).round().clamp(-largest, largest)))
}

/// Little-endian f32, of whole numbers of four bytes.
pub(super) fn f32_numbers(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(f32::from_le_bytes)
}

/// Little-endian f16, of whole numbers of two bytes.
pub(super) fn f16_numbers(bytes: &[u8]) -> impl Iterator<Item = f16> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(f16::from_le_bytes)
}

/// Little-endian i16, of whole numbers of two bytes.
pub(super) fn i16_numbers(bytes: &[u8]) -> impl Iterator<Item = i16> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(i16::from_le_bytes)
}

pub(super) fn i8_numbers(bytes: &[u8]) -> impl Iterator<Item = i8> + '_ {
    bytes.iter().map(|&byte| byte as i8)
}
