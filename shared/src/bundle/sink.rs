//! A tensor on its way in: rows arrive from shards in any order, each exactly once, and are decoded on arrival.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use half::f16;

use super::encoding::{InMemory, Numbers, f16_numbers, f32_numbers, i8_numbers, i16_numbers};
use crate::Result;
use crate::kernels::packed::PackedLinear;
use crate::nn::EncodedTable;

/// Room for a whole tensor.
pub(super) struct Sink {
    shape: Vec<usize>,
    stored: Numbers,
    becomes: InMemory,
    kept: Kept,
    filled: Vec<bool>,
    missing: usize,
}

/// What rows become in memory.
enum Kept {
    F32(Vec<f32>),
    Int16 { values: Vec<i16>, scales: Vec<f32> },
    Int8 { values: Vec<i8>, scales: Vec<f32> },
}

/// What a sink has become.
pub(super) enum Filled {
    Dense(Tensor),
    Encoded(Arc<EncodedTable>),
    Packed(Arc<PackedLinear>),
}

/// Rows from one shard: their bytes, and for int8 their scales.
pub(super) struct Arrival<'a> {
    pub data: &'a [u8],
    pub scales: &'a [u8],
}

impl Sink {
    pub fn new(shape: Vec<usize>, stored: Numbers, becomes: InMemory) -> Self {
        let (rows, numbers) = (shape[0], shape.iter().product());
        let kept = match (becomes, stored) {
            (InMemory::Encoded, Numbers::Int16) => {
                Kept::Int16 { values: vec![0; numbers], scales: vec![0.0; rows] }
            }
            (InMemory::Encoded | InMemory::Packed, Numbers::Int8) => {
                Kept::Int8 { values: vec![0; numbers], scales: vec![0.0; rows] }
            }
            _ => Kept::F32(vec![0.0; numbers]),
        };
        Self { shape, stored, becomes, kept, filled: vec![false; rows], missing: rows }
    }

    pub fn is_full(&self) -> bool {
        self.missing == 0
    }

    /// Takes rows, a run of them at a time: first row and number of rows. `false` if a row lies beyond the tensor or
    /// has come before, or the runs are not as many rows as have arrived.
    pub fn take(
        &mut self,
        runs: impl Iterator<Item = (usize, usize)>,
        arrived: &Arrival<'_>,
    ) -> bool {
        let (row_bytes, scale_bytes) =
            (self.width() * self.stored.size(), self.stored.scale_size());
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
            self.decode(first, run, run_scales);
            (data, scales) = (rest, rest_scales);
        }
        data.is_empty() && scales.is_empty()
    }

    /// The tensor, all of whose rows have come.
    pub fn finish(self) -> Result<Filled> {
        debug_assert_eq!(self.missing, 0);
        Ok(match self.kept {
            Kept::F32(values) if self.becomes == InMemory::Packed => {
                Filled::Packed(PackedLinear::f32(&values, self.shape[1]).into())
            }
            Kept::Int8 { values, scales } if self.becomes == InMemory::Packed => {
                Filled::Packed(PackedLinear::int8(&values, scales).into())
            }
            Kept::F32(values) => Filled::Dense(Tensor::from_vec(values, self.shape, &Device::Cpu)?),
            Kept::Int16 { values, scales } => {
                Filled::Encoded(EncodedTable::int16(values, scales).into())
            }
            Kept::Int8 { values, scales } => {
                Filled::Encoded(EncodedTable::int8(values, scales).into())
            }
        })
    }

    fn decode(&mut self, first: usize, data: &[u8], scales: &[u8]) {
        let width = self.width();
        let place = first * width;
        match (&mut self.kept, self.stored) {
            (Kept::F32(values), Numbers::F32) => write(&mut values[place..], f32_numbers(data)),
            (Kept::F32(values), Numbers::F16) => {
                write(&mut values[place..], f16_numbers(data).map(f16::to_f32));
            }
            (Kept::F32(values), Numbers::Int16) => {
                let numbers = i16_numbers(data).map(f32::from);
                write_scaled(&mut values[place..], numbers, f32_numbers(scales), width);
            }
            (Kept::F32(values), Numbers::Int8) => {
                let numbers = i8_numbers(data).map(f32::from);
                write_scaled(&mut values[place..], numbers, f32_numbers(scales), width);
            }
            (Kept::Int16 { values, scales: kept }, _) => {
                write(&mut values[place..], i16_numbers(data));
                write(&mut kept[first..], f32_numbers(scales));
            }
            (Kept::Int8 { values, scales: kept }, _) => {
                write(&mut values[place..], i8_numbers(data));
                write(&mut kept[first..], f32_numbers(scales));
            }
        }
    }

    /// Numbers a row; a vector's rows have one.
    fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

fn write<T>(place: &mut [T], values: impl Iterator<Item = T>) {
    place.iter_mut().zip(values).for_each(|(place, value)| *place = value);
}

/// Rows of `width` numbers, each times its row's scale.
fn write_scaled(
    place: &mut [f32],
    mut numbers: impl Iterator<Item = f32>,
    scales: impl Iterator<Item = f32>,
    width: usize,
) {
    for (row, scale) in place.chunks_exact_mut(width).zip(scales) {
        write(row, numbers.by_ref().map(|number| number * scale));
    }
}
