//! A table of embeddings that stays as it was stored: rows are decoded when they are picked.
//!
//! The word embeddings are more than half of a DeBERTa-v3, and a text reads some dozens of their rows. Where folds
//! have a table in common it is in memory once, and each fold has beside it what it adds to rows.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::Result;
use crate::kernels::low_bits::Bits;
use crate::kernels::twelve_bits;

/// Numbers of a row that have a scale together in [`Rows::Int4`].
pub const GROUP: usize = 128;

/// Rows, and what is added to some of them.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedTable {
    rows: Arc<Rows>,
    additions: Option<Additions>,
}

/// Whole numbers with scales to multiply with, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    width: usize,
    entries: usize,
    numbers: Numbers,
}

#[derive(Debug, Clone, PartialEq)]
enum Numbers {
    /// A value times its row's scale.
    Int16 {
        values: Vec<i16>,
        scales: Vec<f32>,
    },
    /// Packed ([`twelve_bits`]).
    Int12 {
        packed: Vec<u8>,
        scales: Vec<f32>,
    },
    Int8 {
        values: Vec<i8>,
        scales: Vec<f32>,
    },
    /// Packed ([`Bits::Four`]), a scale a group.
    Int4 {
        packed: Vec<u8>,
        scales: Vec<f32>,
    },
}

/// Numbers of few bits to be added to some rows of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Additions {
    bits: Bits,
    /// For each row of the table its place among those that have something added, or [`NOTHING`].
    places: Vec<u32>,
    packed: Vec<u8>,
    scales: Vec<f32>,
}

const NOTHING: u32 = u32::MAX;

impl Rows {
    /// `values` are as many rows as there are scales, end to end.
    pub fn int16(values: Vec<i16>, scales: Vec<f32>) -> Self {
        let entries = scales.len();
        let width = values.len() / entries;
        Self { width, entries, numbers: Numbers::Int16 { values, scales } }
    }

    /// `packed` are rows of `width` numbers of twelve bits, as many as there are scales, end to end.
    pub fn int12(packed: Vec<u8>, scales: Vec<f32>, width: usize) -> Self {
        Self { width, entries: scales.len(), numbers: Numbers::Int12 { packed, scales } }
    }

    /// As [`int16`](Self::int16).
    pub fn int8(values: Vec<i8>, scales: Vec<f32>) -> Self {
        let entries = scales.len();
        let width = values.len() / entries;
        Self { width, entries, numbers: Numbers::Int8 { values, scales } }
    }

    /// `packed` are rows of `width` numbers, end to end, with a scale for each [`GROUP`] of a row.
    pub fn int4(packed: Vec<u8>, scales: Vec<f32>, width: usize) -> Self {
        let entries = packed.len() / Bits::Four.bytes(width);
        Self { width, entries, numbers: Numbers::Int4 { packed, scales } }
    }

    /// Adds a row to `sums`.
    fn add(&self, row: usize, sums: &mut [f32]) {
        let values = row * self.width..(row + 1) * self.width;
        match &self.numbers {
            Numbers::Int16 { values: all, scales } => {
                let row = all[values].iter().map(|&x| f32::from(x) * scales[row]);
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            Numbers::Int12 { packed, scales } => {
                let bytes = twelve_bits::bytes(self.width);
                let row = twelve_bits::unpack(&packed[row * bytes..][..bytes])
                    .map(|x| f32::from(x) * scales[row]);
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            Numbers::Int8 { values: all, scales } => {
                let row = all[values].iter().map(|&x| f32::from(x) * scales[row]);
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            Numbers::Int4 { packed, scales } => {
                let (bytes, groups) = (Bits::Four.bytes(self.width), self.width.div_ceil(GROUP));
                let packed = packed[row * bytes..][..bytes].chunks(Bits::Four.bytes(GROUP));
                let scales = &scales[row * groups..][..groups];
                for ((sums, packed), &scale) in sums.chunks_mut(GROUP).zip(packed).zip(scales) {
                    Bits::Four.add(packed, scale, sums);
                }
            }
        }
    }
}

impl Additions {
    /// For a table of `entries` rows, none of which has an addition yet.
    pub fn none(bits: Bits, entries: usize) -> Self {
        Self { bits, places: vec![NOTHING; entries], packed: Vec::new(), scales: Vec::new() }
    }

    /// What is to be added to the rows from `first` on: packed rows, with a scale each.
    pub fn push(&mut self, first: usize, packed: &[u8], scales: impl Iterator<Item = f32>) {
        let next = self.scales.len();
        self.scales.extend(scales);
        self.packed.extend_from_slice(packed);
        for (row, place) in (first..).zip(next..self.scales.len()) {
            self.places[row] = place as u32;
        }
    }

    fn add(&self, row: usize, sums: &mut [f32]) {
        let place = self.places[row];
        if place != NOTHING {
            let (place, bytes) = (place as usize, self.bits.bytes(sums.len()));
            self.bits.add(&self.packed[place * bytes..][..bytes], self.scales[place], sums);
        }
    }
}

impl EncodedTable {
    pub fn new(rows: Arc<Rows>, additions: Option<Additions>) -> Self {
        Self { rows, additions }
    }

    /// What other folds may have as well.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// [entries, width]
    pub fn shape(&self) -> [usize; 2] {
        [self.rows.entries, self.rows.width]
    }

    /// -> [indices, width], f32.
    ///
    /// # Panics
    /// If an index is not below the number of entries.
    pub fn gather(&self, indices: &[u32]) -> Result<Tensor> {
        let width = self.rows.width;
        let mut output = vec![0.0; indices.len() * width];
        for (&index, sums) in indices.iter().zip(output.chunks_exact_mut(width)) {
            self.rows.add(index as usize, sums);
            if let Some(additions) = &self.additions {
                additions.add(index as usize, sums);
            }
        }
        Ok(Tensor::from_vec(output, (indices.len(), width), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(table: &EncodedTable, indices: &[u32]) -> Vec<Vec<f32>> {
        table.gather(indices).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn picked_rows_are_decoded() {
        let rows = Rows::int8(vec![1, -2, 127, 0, 5, 6], vec![0.5, 2.0, 0.25]);
        let table = EncodedTable::new(rows.into(), None);
        assert_eq!(table.shape(), [3, 2]);
        assert_eq!(gathered(&table, &[2, 0, 2]), [[1.25, 1.5], [0.5, -1.0], [1.25, 1.5]]);

        let rows = Rows::int16(vec![1, -2, 32767, 300], vec![0.5, 2.0]);
        let table = EncodedTable::new(rows.into(), None);
        assert_eq!(gathered(&table, &[1, 0]), [[65534.0, 600.0], [0.5, -1.0]]);

        // Three numbers take five bytes.
        let rows =
            Rows::int12(vec![0x23, 0xf1, 0xff, 0x56, 0x04, 0, 0, 0, 0xff, 0x0f], vec![2.0, 0.5], 3);
        let table = EncodedTable::new(rows.into(), None);
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(gathered(&table, &[1, 0]), [[0.0, 0.0, -0.5], [582.0, -2.0, 2220.0]]);

        // Codes 0 and 15 are -7.5 and 7.5 scales, 8 is half a scale; three numbers take two bytes.
        let rows = Rows::int4(vec![0xF0, 0x08, 0x80, 0x0F], vec![2.0, 0.5], 3);
        let table = EncodedTable::new(rows.into(), None);
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(gathered(&table, &[1, 0]), [[-3.75, 0.25, 3.75], [-15.0, 15.0, 1.0]]);
    }

    #[test]
    fn every_group_of_a_wide_row_has_its_own_scale() {
        let width = GROUP + 2;
        let rows = Rows::int4(vec![0x88; Bits::Four.bytes(width)], vec![2.0, 6.0], width);
        let row = &gathered(&EncodedTable::new(rows.into(), None), &[0])[0];
        assert_eq!((row.len(), row[GROUP - 1], row[GROUP]), (width, 1.0, 3.0));
    }

    #[test]
    fn rows_in_common_have_each_folds_additions() {
        let rows: Arc<Rows> = Rows::int8(vec![1, 1, 2, 2, 3, 3], vec![1.0; 3]).into();
        let mut additions = Additions::none(Bits::One, 3);
        additions.push(2, &[0b01], [0.5].into_iter());
        additions.push(0, &[0b10], [2.0].into_iter());
        let table = EncodedTable::new(Arc::clone(&rows), Some(additions));
        assert_eq!(gathered(&table, &[0, 1, 2]), [[0.0, 2.0], [2.0, 2.0], [3.25, 2.75]]);
        let other = EncodedTable::new(rows, None);
        assert_eq!(gathered(&other, &[2]), [[3.0, 3.0]]);
        assert!(Arc::ptr_eq(table.rows(), other.rows()));
    }
}
