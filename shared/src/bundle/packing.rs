//! Fills shards: for each set of folds one that is not full yet.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::encoding::{Encoded, Numbers};
use super::writer::FoldSet;
use super::{LARGEST_SHARD, ROWS, SCALES, Shard};
use crate::tokenizer::TokenizerTensor;
use crate::{Error, Result};

/// What an entry of the header takes beside its name, generously: three names of fields, a type, four numbers.
const HEADER_BYTES_AN_ENTRY: usize = 160;

/// A first row and a number of rows, u32 each.
const RUN_BYTES: usize = 8;

pub(super) struct Packer<F> {
    open: BTreeMap<FoldSet, Unfinished>,
    finished: Vec<(FoldSet, Shard)>,
    emit: F,
}

/// One fold's version of a tensor.
pub(super) struct Piece<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    pub numbers: Numbers,
    pub source: &'a Encoded,
}

#[derive(Default)]
struct Unfinished {
    entries: Vec<Entry>,
    /// At most what the file will have.
    bytes: usize,
}

struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl<E: From<Error>, F: FnMut(&Shard, Vec<u8>) -> Result<(), E>> Packer<F> {
    pub fn new(emit: F) -> Self {
        Self { open: BTreeMap::new(), finished: Vec::new(), emit }
    }

    /// Adds a table that is never cut.
    pub fn add_table(&mut self, set: FoldSet, table: TokenizerTensor) -> Result<(), E> {
        let shape = vec![table.bytes.len() / (table.dtype.bitsize() / 8)];
        let entry =
            Entry { name: table.name.to_owned(), dtype: table.dtype, shape, data: table.bytes };
        if Unfinished::default().room() < entry.size() {
            return Err(Error::Bundle(format!("`{}` does not fit a shard", entry.name)).into());
        }
        if self.open(set).room() < entry.size() {
            self.close(set)?;
        }
        self.open(set).add(entry);
        Ok(())
    }

    /// Adds rows of a tensor, ascending, cut where a shard is full.
    pub fn add_rows(&mut self, set: FoldSet, piece: &Piece<'_>, rows: &[usize]) -> Result<(), E> {
        let mut left = rows;
        while !left.is_empty() {
            let fitting = piece.fitting(left, self.open(set).room());
            if fitting == 0 && self.open(set).entries.is_empty() {
                let reason = format!("a row of `{}` does not fit a shard", piece.name);
                return Err(Error::Bundle(reason).into());
            }
            let (now, rest) = left.split_at(fitting);
            if !now.is_empty() {
                piece.entries(now).into_iter().for_each(|entry| self.open(set).add(entry));
            }
            if !rest.is_empty() {
                self.close(set)?;
            }
            left = rest;
        }
        Ok(())
    }

    /// All shards: first those that most folds need.
    pub fn finish(mut self) -> Result<Vec<Shard>, E> {
        let sets: Vec<FoldSet> = self.open.keys().copied().collect();
        for set in sets {
            self.close(set)?;
        }
        let mut finished = self.finished;
        finished.sort_by_key(|(set, _)| (std::cmp::Reverse(set.count_ones()), *set));
        Ok(finished.into_iter().map(|(_, shard)| shard).collect())
    }

    fn open(&mut self, set: FoldSet) -> &mut Unfinished {
        self.open.entry(set).or_default()
    }

    fn close(&mut self, set: FoldSet) -> Result<(), E> {
        let unfinished = self.open.remove(&set).unwrap_or_default();
        if unfinished.entries.is_empty() {
            return Ok(());
        }
        let bytes = unfinished.serialize();
        let shard = Shard::of(&bytes, members(set));
        (self.emit)(&shard, bytes)?;
        self.finished.push((set, shard));
        Ok(())
    }
}

/// The folds of a set, ascending.
fn members(set: FoldSet) -> Vec<usize> {
    (0..FoldSet::BITS as usize).filter(|fold| set >> fold & 1 == 1).collect()
}

impl Unfinished {
    fn room(&self) -> usize {
        (LARGEST_SHARD as usize - HEADER_BYTES_AN_ENTRY).saturating_sub(self.bytes)
    }

    fn add(&mut self, entry: Entry) {
        self.bytes += entry.size();
        self.entries.push(entry);
    }

    fn serialize(&self) -> Vec<u8> {
        let views = self.entries.iter().map(|entry| {
            let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.data);
            (&entry.name, view.expect("as many bytes as its shape has"))
        });
        let bytes = serialize(views, None).expect("names and sizes fit");
        assert!(
            bytes.len() as u64 <= LARGEST_SHARD,
            "a shard's size is known before it is written"
        );
        bytes
    }
}

impl Entry {
    fn size(&self) -> usize {
        HEADER_BYTES_AN_ENTRY + self.name.len() + self.data.len()
    }
}

impl Piece<'_> {
    /// How many of the first rows fit into `room` bytes of a shard.
    fn fitting(&self, rows: &[usize], room: usize) -> usize {
        let row_bytes = self.width() * self.numbers.size() + self.numbers.scale_size();
        let mut bytes = 3 * (HEADER_BYTES_AN_ENTRY + self.name.len() + SCALES.len());
        let full = (0..rows.len()).position(|place| {
            let begins_a_run = place == 0 || rows[place] != rows[place - 1] + 1;
            bytes += row_bytes + if begins_a_run { RUN_BYTES } else { 0 };
            bytes > room
        });
        full.unwrap_or(rows.len())
    }

    /// The rows as they lie in a shard: numbers, scales, and which rows they are if they are not all.
    fn entries(&self, rows: &[usize]) -> Vec<Entry> {
        let runs = runs(rows);
        let (mut data, mut scales) = (Vec::new(), Vec::new());
        for &(first, count) in &runs {
            let (run, run_scales) = self.source.rows(self.numbers, self.width(), first, count);
            data.extend_from_slice(run);
            scales.extend_from_slice(run_scales);
        }
        let entry = |ending: &str, dtype, shape, data| Entry {
            name: format!("{}{ending}", self.name),
            dtype,
            shape,
            data,
        };
        let shape = [&[rows.len()], &self.shape[1..]].concat();
        let mut entries = vec![entry("", self.numbers.dtype(), shape, data)];
        if !scales.is_empty() {
            entries.push(entry(SCALES, Dtype::F32, vec![rows.len()], scales));
        }
        if rows.len() < self.shape[0] {
            let numbers = runs.iter().flat_map(|&(first, count)| [first as u32, count as u32]);
            let bytes = numbers.flat_map(u32::to_le_bytes).collect();
            entries.push(entry(ROWS, Dtype::U32, vec![runs.len(), 2], bytes));
        }
        entries
    }

    fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// First row and number of rows of each run of neighbours.
fn runs(rows: &[usize]) -> Vec<(usize, usize)> {
    let runs = rows.chunk_by(|row, next| row + 1 == *next);
    runs.map(|run| (run[0], run.len())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_are_neighbours() {
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), [(0, 3), (5, 1), (7, 2)]);
        assert_eq!(runs(&[]), []);
    }

    proptest! {
        #[test]
        fn runs_give_back_the_rows(rows in prop::collection::btree_set(0_usize..60, 0..40)) {
            let rows: Vec<usize> = rows.into_iter().collect();
            let again = runs(&rows).into_iter().flat_map(|(first, count)| first..first + count);
            prop_assert!(again.eq(rows));
        }
    }
}
