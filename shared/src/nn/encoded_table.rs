//! A table of embeddings that stays as it was stored: rows are decoded when they are picked.
//!
//! The word embeddings are more than half of a DeBERTa-v3, and a text reads some dozens of their rows. Where folds
//! have a table in common it is in memory once, and each fold has beside it what it adds to rows. A table can be in use
//! before its last rows are there, as long as nobody asks for these.

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};

use crate::Result;
use crate::kernels::low_bits::Bits;
use crate::kernels::twelve_bits;

/// Numbers of a row that have a scale together in [`Rows::Int4`].
pub const GROUP: usize = 128;

/// First rows, and the others when they have come.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedTable {
    entries: usize,
    first: Stretch,
    others: OnceLock<Stretch>,
}

/// Rows, and what is added to some of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub rows: Arc<Rows>,
    pub additions: Option<Additions>,
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
                let (bytes, mut numbers) = (twelve_bits::bytes(self.width), vec![0; self.width]);
                twelve_bits::unpack(&packed[row * bytes..][..bytes], &mut numbers);
                let row = numbers.into_iter().map(|x| f32::from(x) * scales[row]);
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

impl Stretch {
    /// All rows, end to end.
    pub fn decoded(&self) -> Vec<f32> {
        let width = self.rows.width;
        let mut decoded = vec![0.0; self.rows.entries * width];
        for (row, sums) in decoded.chunks_exact_mut(width).enumerate() {
            self.add(row, sums);
        }
        decoded
    }

    fn add(&self, row: usize, sums: &mut [f32]) {
        self.rows.add(row, sums);
        if let Some(additions) = &self.additions {
            additions.add(row, sums);
        }
    }
}

impl EncodedTable {
    /// A table of `entries` rows, of which these are the first.
    pub fn new(first: Stretch, entries: usize) -> Self {
        Self { entries, first, others: OnceLock::new() }
    }

    /// Takes the rows that are not here. `false` if these are not as many, or all are here.
    pub fn complete(&self, others: Stretch) -> bool {
        let [missing, width] = [self.entries - self.entries_here(), self.first.rows.width];
        let fits = missing > 0 && [others.rows.entries, others.rows.width] == [missing, width];
        fits && self.others.set(others).is_ok()
    }

    /// What other folds may have as well.
    pub fn first(&self) -> &Arc<Rows> {
        &self.first.rows
    }

    /// As [`first`](Self::first).
    pub fn others(&self) -> Option<&Arc<Rows>> {
        self.others.get().map(|others| &others.rows)
    }

    /// [entries, width]
    pub fn shape(&self) -> [usize; 2] {
        [self.entries, self.first.rows.width]
    }

    /// How many of the entries can be picked: all, or the first.
    pub fn entries_here(&self) -> usize {
        let others = self.others.get().map_or(0, |others| others.rows.entries);
        self.first.rows.entries + others
    }

    /// -> [indices, width], f32.
    ///
    /// # Panics
    /// If an index is not below the number of entries that are here.
    pub fn gather(&self, indices: &[u32]) -> Result<Tensor> {
        let (width, here) = (self.first.rows.width, self.first.rows.entries);
        let mut output = vec![0.0; indices.len() * width];
        for (&index, sums) in indices.iter().zip(output.chunks_exact_mut(width)) {
            match (index as usize).checked_sub(here) {
                None => self.first.add(index as usize, sums),
                Some(row) => self.others.get().expect("rows that are here").add(row, sums),
            }
        }
        Ok(Tensor::from_vec(output, (indices.len(), width), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(rows: impl Into<Arc<Rows>>, additions: Option<Additions>) -> EncodedTable {
        let rows = rows.into();
        let entries = rows.entries;
        EncodedTable::new(Stretch { rows, additions }, entries)
    }

    fn gathered(table: &EncodedTable, indices: &[u32]) -> Vec<Vec<f32>> {
        table.gather(indices).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn picked_rows_are_decoded() {
        let rows = Rows::int8(vec![1, -2, 127, 0, 5, 6], vec![0.5, 2.0, 0.25]);
        let table = whole(rows, None);
        assert_eq!(table.shape(), [3, 2]);
        assert_eq!(gathered(&table, &[2, 0, 2]), [[1.25, 1.5], [0.5, -1.0], [1.25, 1.5]]);

        let rows = Rows::int16(vec![1, -2, 32767, 300], vec![0.5, 2.0]);
        let table = whole(rows, None);
        assert_eq!(gathered(&table, &[1, 0]), [[65534.0, 600.0], [0.5, -1.0]]);

        // Three numbers take five bytes.
        let rows =
            Rows::int12(vec![0x23, 0xf1, 0xff, 0x56, 0x04, 0, 0, 0, 0xff, 0x0f], vec![2.0, 0.5], 3);
        let table = whole(rows, None);
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(gathered(&table, &[1, 0]), [[0.0, 0.0, -0.5], [582.0, -2.0, 2220.0]]);

        // Codes 0 and 15 are -7.5 and 7.5 scales, 8 is half a scale; three numbers take two bytes.
        let rows = Rows::int4(vec![0xF0, 0x08, 0x80, 0x0F], vec![2.0, 0.5], 3);
        let table = whole(rows, None);
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(gathered(&table, &[1, 0]), [[-3.75, 0.25, 3.75], [-15.0, 15.0, 1.0]]);
    }

    #[test]
    fn every_group_of_a_wide_row_has_its_own_scale() {
        let width = GROUP + 2;
        let rows = Rows::int4(vec![0x88; Bits::Four.bytes(width)], vec![2.0, 6.0], width);
        let row = &gathered(&whole(rows, None), &[0])[0];
        assert_eq!((row.len(), row[GROUP - 1], row[GROUP]), (width, 1.0, 3.0));
    }

    #[test]
    fn rows_in_common_have_each_folds_additions() {
        let rows: Arc<Rows> = Rows::int8(vec![1, 1, 2, 2, 3, 3], vec![1.0; 3]).into();
        let mut additions = Additions::none(Bits::One, 3);
        additions.push(2, &[0b01], [0.5].into_iter());
        additions.push(0, &[0b10], [2.0].into_iter());
        let one = whole(Arc::clone(&rows), Some(additions));
        assert_eq!(gathered(&one, &[0, 1, 2]), [[0.0, 2.0], [2.0, 2.0], [3.25, 2.75]]);
        let other = whole(rows, None);
        assert_eq!(gathered(&other, &[2]), [[3.0, 3.0]]);
        assert!(Arc::ptr_eq(one.first(), other.first()));
    }

    #[test]
    fn the_last_rows_may_come_later_but_only_they_and_only_once() {
        let rows = |values: &[i8]| Rows::int8(values.to_vec(), vec![1.0; values.len() / 2]).into();
        let stretch = |values: &[i8]| Stretch { rows: rows(values), additions: None };
        let table = EncodedTable::new(stretch(&[1, 2, 3, 4]), 3);
        assert_eq!((table.shape(), table.entries_here()), ([3, 2], 2));
        assert_eq!(gathered(&table, &[1, 0]), [[3.0, 4.0], [1.0, 2.0]]);
        assert!(!table.complete(stretch(&[5, 6, 7, 8])), "one row too many");

        let mut additions = Additions::none(Bits::One, 1);
        additions.push(0, &[0b01], [2.0].into_iter());
        let last = Stretch { additions: Some(additions), ..stretch(&[5, 6]) };
        assert!(table.complete(last.clone()));
        assert_eq!(gathered(&table, &[2, 1]), [[6.0, 5.0], [3.0, 4.0]]);
        assert!(!table.complete(last), "it is whole");
    }
}
