//! Numbers as they are stored, both ways: f32 rows to bytes, bytes to f32 rows.

use half::f16;
use rayon::prelude::*;
use safetensors::Dtype;

use super::refuse;
use crate::Result;
use crate::kernels::low_bits::Bits;
use crate::kernels::twelve_bits;
use crate::nn::encoded_table::GROUP;

/// The largest magnitudes of whole numbers; -128 and -32768 are not used, so that ranges are symmetric.
const LARGEST_INT8: f32 = 127.0;
const LARGEST_INT12: f32 = twelve_bits::LARGEST as f32;
const LARGEST_INT16: f32 = 32767.0;

/// What one tensor is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    F32,
    F16,
    /// With one f32 a row to multiply with; so are [`Numbers::Int12`], which is packed, and [`Numbers::Int8`].
    Int16,
    Int12,
    Int8,
    /// Packed, with an f32 for each [`GROUP`] of a row.
    Int4,
    /// Packed, with an f32 a row; to be added to another tensor.
    Delta(Bits),
}

/// Rows as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Encoded {
    pub data: Vec<u8>,
    /// Empty for floats.
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
        (&self.data[part(numbers.row_bytes(width))], &self.scales[part(numbers.scale_bytes(width))])
    }

    /// Copies of the rows at these places, in this order.
    pub fn select(&self, numbers: Numbers, width: usize, places: &[usize]) -> Self {
        let mut selected = Self::default();
        for &place in places {
            let (data, scales) = self.rows(numbers, width, place, 1);
            selected.data.extend_from_slice(data);
            selected.scales.extend_from_slice(scales);
        }
        selected
    }
}

impl Numbers {
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Int16 => Dtype::I16,
            Self::Int8 => Dtype::I8,
            Self::Int12 | Self::Int4 | Self::Delta(_) => Dtype::U8,
        }
    }

    /// Bytes of a row of `width` numbers.
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::F32 => width.saturating_mul(4),
            Self::F16 | Self::Int16 => width.saturating_mul(2),
            Self::Int12 => twelve_bits::bytes(width),
            Self::Int8 => width,
            Self::Int4 => Bits::Four.bytes(width),
            Self::Delta(bits) => bits.bytes(width),
        }
    }

    /// How many scales a row of `width` numbers has.
    pub fn scales(self, width: usize) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Int16 | Self::Int12 | Self::Int8 | Self::Delta(_) => 1,
            Self::Int4 => width.div_ceil(GROUP),
        }
    }

    /// Bytes of a row's scales.
    pub fn scale_bytes(self, width: usize) -> usize {
        self.scales(width) * size_of::<f32>()
    }

    /// The shape of `rows` rows in a shard, for a tensor of this shape.
    pub fn stored_shape(self, rows: usize, shape: &[usize]) -> Vec<usize> {
        match self {
            Self::Int12 | Self::Int4 | Self::Delta(_) => {
                vec![rows, self.row_bytes(width_of(shape))]
            }
            _ => [&[rows], &shape[1..]].concat(),
        }
    }

    /// The shape of the scales of `rows` rows of `width` numbers.
    pub fn scales_shape(self, rows: usize, width: usize) -> Vec<usize> {
        match self {
            Self::Int4 => vec![rows, self.scales(width)],
            _ => vec![rows],
        }
    }

    /// Whether two scales of the same whole numbers mean the same row: at its largest number they are less than half a step
    /// apart, which is what storing it may have cost anyway.
    pub fn same_scale(self, a: &[u8], b: &[u8]) -> bool {
        let largest = match self {
            Self::Int16 => LARGEST_INT16,
            Self::Int12 => LARGEST_INT12,
            Self::Int8 => LARGEST_INT8,
            Self::F32 | Self::F16 | Self::Int4 | Self::Delta(_) => return a == b,
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
            Self::Int12 => {
                for row in rows.chunks_exact(width) {
                    let (scale, numbers) = whole_numbers(row, LARGEST_INT12);
                    twelve_bits::pack(numbers.map(|number| number as i16), &mut encoded.data);
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
            Self::Int4 => encoded = packed(Bits::Four, GROUP, rows, width),
            Self::Delta(bits) => encoded = packed(bits, width, rows, width),
        }
        Ok(encoded)
    }

    /// Adds stored rows of `width` numbers to `sums`.
    pub fn add(self, data: &[u8], scales: &[u8], width: usize, sums: &mut [f32]) {
        match self {
            Self::F32 => add(sums, f32_numbers(data)),
            Self::F16 => add(sums, f16_numbers(data).map(f16::to_f32)),
            Self::Int16 => {
                add_scaled(sums, i16_numbers(data).map(f32::from), f32_numbers(scales), width);
            }
            Self::Int12 => {
                let mut numbers = vec![0; sums.len()];
                unpack_i12(data, width, &mut numbers);
                let numbers = numbers.into_iter().map(f32::from);
                add_scaled(sums, numbers, f32_numbers(scales), width);
            }
            Self::Int8 => {
                add_scaled(sums, i8_numbers(data).map(f32::from), f32_numbers(scales), width);
            }
            Self::Int4 => add_packed(Bits::Four, GROUP, data, scales, width, sums),
            Self::Delta(bits) => add_packed(bits, width, data, scales, width, sums),
        }
    }
}

/// Numbers a row; a vector's rows have one.
pub(super) fn width_of(shape: &[usize]) -> usize {
    shape[1..].iter().product()
}

/// A row as multiples of a scale, by which its largest magnitude is `largest`.
fn whole_numbers(row: &[f32], largest: f32) -> (f32, impl Iterator<Item = f32> + '_) {
    let scale = row.iter().fold(0.0_f32, |most, number| most.max(number.abs())) / largest;
    // Of a row of zeros, or one so small that its scale has no inverse, nothing is kept.
    let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
    (scale, row.iter().map(move |number| (number * inverse).round().clamp(-largest, largest)))
}

/// Rows packed in groups, which takes a search for each scale.
fn packed(bits: Bits, group: usize, rows: &[f32], width: usize) -> Encoded {
    let pack = |row: &[f32]| {
        let mut encoded = Encoded::default();
        for group in row.chunks(group) {
            let scale = bits.pack(group, &mut encoded.data);
            encoded.scales.extend(scale.to_le_bytes());
        }
        encoded
    };
    let rows: Vec<Encoded> = rows.par_chunks_exact(width).map(pack).collect();
    let mut all = Encoded::default();
    for row in rows {
        all.data.extend(row.data);
        all.scales.extend(row.scales);
    }
    all
}

fn add_packed(
    bits: Bits,
    group: usize,
    data: &[u8],
    scales: &[u8],
    width: usize,
    sums: &mut [f32],
) {
    let mut scales = f32_numbers(scales);
    for (sums, row) in sums.chunks_exact_mut(width).zip(data.chunks_exact(bits.bytes(width))) {
        for (sums, packed) in sums.chunks_mut(group).zip(row.chunks(bits.bytes(group))) {
            bits.add(packed, scales.next().expect("a scale a group"), sums);
        }
    }
}

fn add(sums: &mut [f32], numbers: impl Iterator<Item = f32>) {
    sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
}

/// Rows of `width` numbers, each times its row's scale.
fn add_scaled(
    sums: &mut [f32],
    mut numbers: impl Iterator<Item = f32>,
    scales: impl Iterator<Item = f32>,
    width: usize,
) {
    for (row, scale) in sums.chunks_exact_mut(width).zip(scales) {
        add(row, numbers.by_ref().map(|number| number * scale));
    }
}

/// Little-endian f32, of whole numbers of four bytes.
pub(super) fn f32_numbers(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(f32::from_le_bytes)
}

/// Little-endian f16, of whole numbers of two bytes.
fn f16_numbers(bytes: &[u8]) -> impl Iterator<Item = f16> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(f16::from_le_bytes)
}

/// Little-endian i16, of whole numbers of two bytes.
pub(super) fn i16_numbers(bytes: &[u8]) -> impl Iterator<Item = i16> + '_ {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(i16::from_le_bytes)
}

/// Writes rows of `width` numbers of twelve bits.
pub(super) fn unpack_i12(bytes: &[u8], width: usize, numbers: &mut [i16]) {
    let rows = bytes.chunks_exact(twelve_bits::bytes(width));
    rows.zip(numbers.chunks_exact_mut(width))
        .for_each(|(packed, row)| twelve_bits::unpack(packed, row));
}

pub(super) fn i8_numbers(bytes: &[u8]) -> impl Iterator<Item = i8> + '_ {
    bytes.iter().map(|&byte| byte as i8)
}
