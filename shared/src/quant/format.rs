//! The formats that the numbers of a matrix are stored in.
//!
//! Everything that depends on the format stands in [`Format::layout`]. A new format is a variant with its arm there,
//! its name in [`Format::NAMED`], and a kernel if its codes lie in bytes in a new way.

use std::fmt;

use half::f16;
use safetensors::Dtype;

use crate::kernels::low_bits::Bits;
use crate::kernels::twelve_bits;
use crate::{Error, Result};

/// Numbers of a row that share a scale, in formats with more than one scale a row.
pub const GROUP: usize = 128;

/// Integers that are packed or unpacked at a time. In every format they fill whole bytes.
const CHUNK: usize = 128;

/// A format that the numbers of a matrix are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// Integers of 16 bits times the scale of their row. As large as f16 and some ten times as close: five bits of
    /// each f16 are an exponent, which the numbers of one row can share.
    Int16,
    /// Integers of 12 bits times the scale of their row, two in three bytes ([`twelve_bits`]).
    Int12,
    /// Integers of 8 bits times the scale of their row.
    Int8,
    /// Levels of 4 bits ([`Bits::Four`]) times the scale of their [`GROUP`].
    Int4,
    /// Levels of 1, 2 or 4 bits times the scale of their row: what is added to a row of another matrix.
    Delta(Bits),
}

/// The operand of a linear layer, given weights in some format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// The numbers, as f32.
    F32,
    /// The stored integers, of 8 bits.
    Int8,
    /// The stored integers, widened to 16 bits.
    Int16,
    /// The decoded numbers, rounded to integers of as many bits as the sums of a product have room for.
    Requantized,
}

struct Layout {
    /// The type of the tensor in a safetensors file.
    dtype: Dtype,
    codes: Codes,
    scales: Scales,
    operand: Operand,
}

/// The codes of numbers that share a scale, and the bytes that they become.
enum Codes {
    F32,
    F16,
    /// Multiples of the scale. The largest magnitude of the numbers becomes `qmax`, so the range is symmetric.
    Integers {
        qmax: i16,
        /// Bytes of so many integers.
        bytes: fn(usize) -> usize,
        pack: fn(&[i16], &mut Vec<u8>),
        unpack: fn(&[u8], &mut [i16]),
    },
    /// Evenly spaced levels without a zero.
    Levels(Bits),
}

/// The numbers that share a scale.
enum Scales {
    None,
    Row,
    Group,
}

impl Format {
    /// The formats that an encoding can name, and their names.
    pub const NAMED: [(&'static str, Self); 6] = [
        ("f32", Self::F32),
        ("f16", Self::F16),
        ("int16", Self::Int16),
        ("int12", Self::Int12),
        ("int8", Self::Int8),
        ("int4", Self::Int4),
    ];

    const fn layout(self) -> Layout {
        let (dtype, codes, scales, operand) = match self {
            Self::F32 => (Dtype::F32, Codes::F32, Scales::None, Operand::F32),
            Self::F16 => (Dtype::F16, Codes::F16, Scales::None, Operand::F32),
            Self::Int16 => {
                let bytes = |count: usize| count.saturating_mul(2);
                let codes =
                    Codes::Integers { qmax: 32767, bytes, pack: pack_i16, unpack: unpack_i16 };
                (Dtype::I16, codes, Scales::Row, Operand::F32)
            }
            Self::Int12 => {
                let codes = Codes::Integers {
                    qmax: twelve_bits::QMAX,
                    bytes: twelve_bits::bytes,
                    pack: twelve_bits::pack,
                    unpack: twelve_bits::unpack,
                };
                (Dtype::U8, codes, Scales::Row, Operand::Int16)
            }
            Self::Int8 => {
                let bytes = |count| count;
                let codes = Codes::Integers { qmax: 127, bytes, pack: pack_i8, unpack: unpack_i8 };
                (Dtype::I8, codes, Scales::Row, Operand::Int8)
            }
            Self::Int4 => {
                (Dtype::U8, Codes::Levels(Bits::Four), Scales::Group, Operand::Requantized)
            }
            Self::Delta(bits) => {
                (Dtype::U8, Codes::Levels(bits), Scales::Row, Operand::Requantized)
            }
        };
        Layout { dtype, codes, scales, operand }
    }

    /// The format of this name, if an encoding can name one so.
    pub fn named(name: &str) -> Option<Self> {
        let (_, format) = Self::NAMED.into_iter().find(|(known, _)| *known == name)?;
        Some(format)
    }

    /// The type of a stored tensor.
    pub fn dtype(self) -> Dtype {
        self.layout().dtype
    }

    /// The operand that a linear layer multiplies by.
    pub fn operand(self) -> Operand {
        self.layout().operand
    }

    /// The format of a matrix whose rows have outliers, where that is another: one with more bits, and another
    /// [`dtype`](Self::dtype).
    pub fn for_outliers(self) -> Option<Self> {
        (self == Self::Int8).then_some(Self::Int12)
    }

    /// Bytes of a row of `width` numbers.
    pub fn row_bytes(self, width: usize) -> usize {
        self.layout().codes.bytes(width)
    }

    /// Scales of a row of `width` numbers, each an f32.
    pub fn row_scales(self, width: usize) -> usize {
        match self.layout().scales {
            Scales::None => 0,
            Scales::Row => 1,
            Scales::Group => width.div_ceil(GROUP),
        }
    }

    /// The shape in which `rows` rows of a tensor of shape `shape` are stored.
    pub fn stored_shape(self, rows: usize, shape: &[usize]) -> Vec<usize> {
        match self.dtype() {
            // Several numbers a byte, or a number in parts of two.
            Dtype::U8 => vec![rows, self.row_bytes(shape[1..].iter().product())],
            _ => [&[rows], &shape[1..]].concat(),
        }
    }

    /// The shape in which the scales of `rows` rows of `width` numbers are stored; `None` if there are none.
    pub fn scales_shape(self, rows: usize, width: usize) -> Option<Vec<usize>> {
        match self.layout().scales {
            Scales::None => None,
            Scales::Row => Some(vec![rows]),
            Scales::Group => Some(vec![rows, self.row_scales(width)]),
        }
    }

    /// Encodes rows of `width` numbers behind `data` and `scales`.
    ///
    /// # Errors
    /// If a number is not finite, or too large for f16.
    pub(super) fn encode(
        self,
        rows: &[f32],
        width: usize,
        data: &mut Vec<u8>,
        scales: &mut Vec<f32>,
    ) -> Result<()> {
        if !rows.iter().all(|number| number.is_finite()) {
            return Err(Error::Bundle("a weight is not a finite number".to_owned()));
        }
        let codes = self.layout().codes;
        let group = self.group(width);
        for row in rows.chunks_exact(width) {
            for numbers in row.chunks(group) {
                scales.extend(codes.encode(numbers, data)?);
            }
        }
        Ok(())
    }

    /// Adds stored rows of `width` numbers to `sums`.
    pub(super) fn add(self, data: &[u8], scales: &[f32], width: usize, sums: &mut [f32]) {
        let Layout { codes, scales: shared, .. } = self.layout();
        if matches!(shared, Scales::None) {
            return codes.add(data, 1.0, sums);
        }
        let (group, mut scales) = (self.group(width), scales.iter());
        let rows = data.chunks_exact(codes.bytes(width));
        for (sums, row) in sums.chunks_exact_mut(width).zip(rows) {
            for (sums, group) in sums.chunks_mut(group).zip(row.chunks(codes.bytes(group))) {
                codes.add(group, *scales.next().expect("a scale a group"), sums);
            }
        }
    }

    /// Writes the integers of stored rows of `width` numbers.
    ///
    /// # Panics
    /// If the format does not store integers.
    pub(super) fn integers(self, data: &[u8], width: usize) -> Vec<i16> {
        let Codes::Integers { bytes, unpack, .. } = self.layout().codes else {
            panic!("{self} does not store integers");
        };
        let rows = data.chunks_exact(bytes(width));
        let mut integers = vec![0; rows.len() * width];
        rows.zip(integers.chunks_exact_mut(width)).for_each(|(row, place)| unpack(row, place));
        integers
    }

    /// Whether two scales of equal codes stand for the same row: the row's largest numbers are less than half a step
    /// apart, which is what rounding may have cost anyway. Scales of levels must be equal.
    pub(super) fn is_same_scale(self, a: f32, b: f32) -> bool {
        match self.layout().codes {
            Codes::Integers { qmax, .. } => (a - b).abs() * f32::from(qmax) <= a.min(b) / 2.0,
            _ => a == b,
        }
    }

    /// Numbers of a row of `width` that share a scale.
    fn group(self, width: usize) -> usize {
        match self.layout().scales {
            Scales::None | Scales::Row => width,
            Scales::Group => GROUP,
        }
    }
}

impl Codes {
    fn bytes(&self, count: usize) -> usize {
        match self {
            Self::F32 => count.saturating_mul(4),
            Self::F16 => count.saturating_mul(2),
            Self::Integers { bytes, .. } => bytes(count),
            Self::Levels(bits) => bits.bytes(count),
        }
    }

    /// Encodes numbers behind `data` and returns the scale that they share, if they have one.
    fn encode(&self, numbers: &[f32], data: &mut Vec<u8>) -> Result<Option<f32>> {
        match *self {
            Self::F32 => data.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            Self::F16 => {
                let halves = numbers.iter().map(|&number| f16::from_f32(number));
                if halves.clone().any(f16::is_infinite) {
                    let reason = "a weight is too large for f16: export with another encoding";
                    return Err(Error::Bundle(reason.to_owned()));
                }
                data.extend(halves.flat_map(f16::to_le_bytes));
            }
            Self::Integers { qmax, pack, .. } => {
                let qmax = f32::from(qmax);
                let largest = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
                let scale = largest / qmax;
                // A row of zeros, or one so small that its scale has no inverse, becomes zeros.
                let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
                let mut integers = [0; CHUNK];
                for numbers in numbers.chunks(CHUNK) {
                    for (integer, number) in integers.iter_mut().zip(numbers) {
                        *integer = (number * inverse).round().clamp(-qmax, qmax) as i16;
                    }
                    pack(&integers[..numbers.len()], data);
                }
                return Ok(Some(scale));
            }
            Self::Levels(bits) => return Ok(Some(bits.pack(numbers, data))),
        }
        Ok(None)
    }

    /// Adds numbers that share `scale` to `sums`.
    fn add(&self, data: &[u8], scale: f32, sums: &mut [f32]) {
        match *self {
            Self::F32 => {
                for (sum, &bytes) in sums.iter_mut().zip(data.as_chunks().0) {
                    *sum += f32::from_le_bytes(bytes);
                }
            }
            Self::F16 => {
                for (sum, &bytes) in sums.iter_mut().zip(data.as_chunks().0) {
                    *sum += f16::from_le_bytes(bytes).to_f32();
                }
            }
            Self::Integers { bytes, unpack, .. } => {
                let mut integers = [0; CHUNK];
                for (sums, data) in sums.chunks_mut(CHUNK).zip(data.chunks(bytes(CHUNK))) {
                    let integers = &mut integers[..sums.len()];
                    unpack(data, integers);
                    for (sum, &integer) in sums.iter_mut().zip(&*integers) {
                        *sum += f32::from(integer) * scale;
                    }
                }
            }
            Self::Levels(bits) => bits.add(data, scale, sums),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|(_, format)| format == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "delta"),
        }
    }
}

fn pack_i16(integers: &[i16], data: &mut Vec<u8>) {
    data.extend(integers.iter().flat_map(|integer| integer.to_le_bytes()));
}

fn unpack_i16(data: &[u8], integers: &mut [i16]) {
    for (integer, &bytes) in integers.iter_mut().zip(data.as_chunks().0) {
        *integer = i16::from_le_bytes(bytes);
    }
}

fn pack_i8(integers: &[i16], data: &mut Vec<u8>) {
    data.extend(integers.iter().map(|&integer| integer as u8));
}

fn unpack_i8(data: &[u8], integers: &mut [i16]) {
    for (integer, &byte) in integers.iter_mut().zip(data) {
        *integer = i16::from(byte as i8);
    }
}
