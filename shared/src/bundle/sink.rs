//! A tensor on its way in: rows arrive from shards in any order, each exactly once, and are decoded on arrival or kept as
//! they are stored. Where folds have a base in common, what is to be added to some of its rows arrives likewise.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::encoding::InMemory;
use super::numbers::{Numbers, f32_numbers, i8_numbers, i16_numbers, unpack_i12, width_of};
use crate::Result;
use crate::kernels::low_bits::Bits;
use crate::kernels::packed::PackedLinear;
use crate::nn::encoded_table::{Additions, Rows, Stretch};

/// Room for a whole tensor.
pub(super) struct Sink {
    shape: Vec<usize>,
    stored: Numbers,
    becomes: InMemory,
    kept: Kept,
    arrived: Ledger,
    deltas_arrived: Ledger,
    /// Deltas of rows that are kept as they are stored; to others they are added at once.
    additions: Option<Additions>,
}

/// What rows become in memory.
enum Kept {
    F32(Vec<f32>),
    Int16 {
        values: Vec<i16>,
        scales: Vec<f32>,
    },
    Int12 {
        packed: Vec<u8>,
        scales: Vec<f32>,
    },
    Int8 {
        values: Vec<i8>,
        scales: Vec<f32>,
    },
    Int4 {
        packed: Vec<u8>,
        scales: Vec<f32>,
    },
    /// All that there is, where nothing can be added.
    Packed(Arc<PackedLinear>),
    /// In memory already, for another fold.
    Common(Arc<Rows>),
}

/// What a sink has become.
pub(super) enum Filled {
    Dense(Tensor),
    Encoded(Stretch),
    Packed(Arc<PackedLinear>),
}

/// Rows from one shard: their bytes, and the scales of those that have some.
pub(super) struct Arrival<'a> {
    pub data: &'a [u8],
    pub scales: &'a [u8],
}

impl Sink {
    pub fn new(shape: Vec<usize>, stored: Numbers, becomes: InMemory) -> Self {
        let (rows, numbers) = (shape[0], shape.iter().product());
        let kept = match (becomes, stored) {
            (InMemory::Encoded, Numbers::Int16) | (InMemory::Packed, Numbers::Int12) => {
                Kept::Int16 { values: vec![0; numbers], scales: vec![0.0; rows] }
            }
            (InMemory::Encoded | InMemory::PackedFinely, Numbers::Int12) => {
                let packed = vec![0; rows * stored.row_bytes(width_of(&shape))];
                Kept::Int12 { packed, scales: vec![0.0; rows] }
            }
            (_, Numbers::Int8) if becomes != InMemory::F32 => {
                Kept::Int8 { values: vec![0; numbers], scales: vec![0.0; rows] }
            }
            (InMemory::Encoded | InMemory::PackedFinely, Numbers::Int4) => {
                let width = width_of(&shape);
                let packed = vec![0; rows * stored.row_bytes(width)];
                Kept::Int4 { packed, scales: vec![0.0; rows * stored.scales(width)] }
            }
            _ => Kept::F32(vec![0.0; numbers]),
        };
        let (arrived, deltas_arrived) = (Ledger::new(rows), Ledger::new(rows));
        Self { shape, stored, becomes, kept, arrived, deltas_arrived, additions: None }
    }

    /// For a table whose rows are in memory, and whole.
    pub fn beside(rows: Arc<Rows>, shape: Vec<usize>, stored: Numbers) -> Self {
        let (arrived, deltas_arrived) = (Ledger::full(shape[0]), Ledger::new(shape[0]));
        let (kept, becomes) = (Kept::Common(rows), InMemory::Encoded);
        Self { shape, stored, becomes, kept, arrived, deltas_arrived, additions: None }
    }

    pub fn is_full(&self) -> bool {
        self.arrived.missing == 0
    }

    /// Takes rows, a run of them at a time: first row and number of rows. `false` if a row lies beyond the tensor or
    /// has come before, or the runs are not as many rows as have arrived.
    pub fn take(
        &mut self,
        runs: impl Iterator<Item = (usize, usize)>,
        arrived: &Arrival<'_>,
    ) -> bool {
        let (stored, width) = (self.stored, width_of(&self.shape));
        let kept = &mut self.kept;
        let taken = self.arrived.take(runs, stored, width, arrived, |first, data, scales| {
            kept.decode(stored, first, width, data, scales);
        });
        if self.is_full() && self.becomes == InMemory::Packed {
            self.kept = std::mem::replace(&mut self.kept, Kept::F32(Vec::new())).packed();
        }
        taken
    }

    /// Takes what is to be added to rows; otherwise as [`take`](Self::take). A row need not have any.
    pub fn take_deltas(
        &mut self,
        bits: Bits,
        runs: impl Iterator<Item = (usize, usize)>,
        arrived: &Arrival<'_>,
    ) -> bool {
        let (numbers, width, rows) = (Numbers::Delta(bits), width_of(&self.shape), self.shape[0]);
        let Self { kept, additions, deltas_arrived, .. } = self;
        deltas_arrived.take(runs, numbers, width, arrived, |first, data, scales| match kept {
            Kept::F32(values) => numbers.add(data, scales, width, &mut values[first * width..]),
            _ => {
                let additions = additions.get_or_insert_with(|| Additions::none(bits, rows));
                additions.push(first, data, f32_numbers(scales));
            }
        })
    }

    /// The tensor, all of whose rows have come.
    pub fn finish(self) -> Result<Filled> {
        debug_assert!(self.is_full());
        let width = width_of(&self.shape);
        let packed = |weight: PackedLinear| Ok(Filled::Packed(weight.into()));
        let rows = match self.kept {
            Kept::F32(values) if self.becomes == InMemory::Packed => {
                return packed(PackedLinear::f32(&values, width));
            }
            Kept::F32(values) => {
                let tensor = Tensor::from_vec(values, self.shape, &Device::Cpu)?;
                return Ok(Filled::Dense(tensor));
            }
            Kept::Packed(weight) => return Ok(Filled::Packed(weight)),
            Kept::Int16 { values, scales } => Rows::int16(values, scales).into(),
            Kept::Int12 { packed, scales } => Rows::int12(packed, scales, width).into(),
            Kept::Int8 { values, scales } => Rows::int8(values, scales).into(),
            Kept::Int4 { packed, scales } => Rows::int4(packed, scales, width).into(),
            Kept::Common(rows) => rows,
        };
        let stretch = Stretch { rows, additions: self.additions };
        match self.becomes {
            InMemory::PackedFinely => packed(PackedLinear::int16_of(&stretch.decoded(), width)),
            _ => Ok(Filled::Encoded(stretch)),
        }
    }
}

impl Kept {
    /// At once, so that a fold is not in memory twice. To floats something may have to be added.
    fn packed(self) -> Self {
        match self {
            Self::Int8 { values, scales } => {
                Self::Packed(PackedLinear::int8(&values, scales).into())
            }
            Self::Int16 { values, scales } => {
                Self::Packed(PackedLinear::int16(values, scales).into())
            }
            other => other,
        }
    }

    fn decode(&mut self, stored: Numbers, first: usize, width: usize, data: &[u8], scales: &[u8]) {
        match self {
            // Added to zeros, or to what is to be added.
            Self::F32(values) => stored.add(data, scales, width, &mut values[first * width..]),
            Self::Int16 { values, scales: kept } => {
                let values = &mut values[first * width..];
                match stored {
                    Numbers::Int12 => unpack_i12(data, width, values),
                    _ => write(values, i16_numbers(data)),
                }
                write(&mut kept[first..], f32_numbers(scales));
            }
            Self::Int8 { values, scales: kept } => {
                write(&mut values[first * width..], i8_numbers(data));
                write(&mut kept[first..], f32_numbers(scales));
            }
            Self::Int12 { packed, scales: kept } | Self::Int4 { packed, scales: kept } => {
                packed[first * stored.row_bytes(width)..][..data.len()].copy_from_slice(data);
                write(&mut kept[first * stored.scales(width)..], f32_numbers(scales));
            }
            Self::Packed(_) | Self::Common(_) => unreachable!("all of its rows have come"),
        }
    }
}

/// Which rows have come.
struct Ledger {
    filled: Vec<bool>,
    missing: usize,
}

impl Ledger {
    fn new(rows: usize) -> Self {
        Self { filled: vec![false; rows], missing: rows }
    }

    fn full(rows: usize) -> Self {
        Self { filled: vec![true; rows], missing: 0 }
    }

    /// Hands on each run's first row, bytes and scales; see [`Sink::take`].
    fn take(
        &mut self,
        runs: impl Iterator<Item = (usize, usize)>,
        numbers: Numbers,
        width: usize,
        arrived: &Arrival<'_>,
        mut decode: impl FnMut(usize, &[u8], &[u8]),
    ) -> bool {
        let (row_bytes, scale_bytes) = (numbers.row_bytes(width), numbers.scale_bytes(width));
        let (mut data, mut scales) = (arrived.data, arrived.scales);
        for (first, count) in runs {
            let Some(filled) =
                first.checked_add(count).and_then(|end| self.filled.get_mut(first..end))
            else {
                return false;
            };
            if filled.contains(&true) {
                return false;
            }
            let sizes = (count.checked_mul(row_bytes), count.checked_mul(scale_bytes));
            let (Some(data_bytes), Some(scales_bytes)) = sizes else { return false };
            let parts = (data.split_at_checked(data_bytes), scales.split_at_checked(scales_bytes));
            let (Some((run, rest)), Some((run_scales, rest_scales))) = parts else { return false };
            filled.fill(true);
            self.missing -= count;
            decode(first, run, run_scales);
            (data, scales) = (rest, rest_scales);
        }
        data.is_empty() && scales.is_empty()
    }
}

fn write<T>(place: &mut [T], values: impl Iterator<Item = T>) {
    place.iter_mut().zip(values).for_each(|(place, value)| *place = value);
}
