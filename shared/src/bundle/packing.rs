//! Fills shards: for each set of folds one that is not full yet, and where there are cold rows one of these.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::numbers::{Encoded, Numbers, width_of};
use super::{LARGEST_SHARD, ROWS, SCALES, Shard};
use crate::tokenizer::TokenizerTensor;
use crate::{Error, Result};

/// A set of folds: bit f stands for the fold at place f.
pub(super) type FoldSet = u64;

/// What an entry of the header takes beside its name, generously: three names of fields, a type, four numbers.
const HEADER_BYTES_AN_ENTRY: usize = 160;

/// A first row and a number of rows, u32 each.
const RUN_BYTES: usize = 8;

pub(super) struct Packer<F> {
    open: BTreeMap<Kind, Unfinished>,
    finished: Vec<(Kind, Shard)>,
    emit: F,
}

/// Which shards are filled alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    cold: bool,
    set: FoldSet,
}

/// Some rows of a tensor.
pub(super) struct Piece<'a> {
    pub name: &'a str,
    /// Of the whole tensor.
    pub shape: &'a [usize],
    pub numbers: Numbers,
    /// Which they are, ascending.
    pub rows: &'a [usize],
    /// Whether they are cold.
    pub cold: bool,
    /// These rows and no others.
    pub encoded: &'a Encoded,
}

#[derive(Default)]
struct Unfinished {
    tables: Vec<Entry>,
    parts: BTreeMap<String, Part>,
    /// At most what the file will have.
    bytes: usize,
}

/// What a shard has of a tensor so far.
struct Part {
    shape: Vec<usize>,
    numbers: Numbers,
    rows: Vec<usize>,
    encoded: Encoded,
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
        let kind = Kind { cold: false, set };
        if self.open(kind).room() < entry.size() {
            self.close(kind)?;
        }
        let unfinished = self.open(kind);
        unfinished.bytes += entry.size();
        unfinished.tables.push(entry);
        Ok(())
    }

    /// Adds rows of a tensor, cut where a shard is full. They come after those of the tensor that the set has already.
    pub fn add_rows(&mut self, set: FoldSet, piece: &Piece<'_>) -> Result<(), E> {
        let kind = Kind { cold: piece.cold, set };
        let mut done = 0;
        while done < piece.rows.len() {
            let unfinished = self.open(kind);
            let fitting = piece.fitting(done, unfinished.room(), unfinished.parts.get(piece.name));
            if fitting == 0 && unfinished.is_empty() {
                let reason = format!("a row of `{}` does not fit a shard", piece.name);
                return Err(Error::Bundle(reason).into());
            }
            unfinished.add(piece, done, fitting);
            done += fitting;
            if done < piece.rows.len() {
                self.close(kind)?;
            }
        }
        Ok(())
    }

    /// All shards, the cold ones last; before that, first those that most folds need.
    pub fn finish(mut self) -> Result<Vec<Shard>, E> {
        let kinds: Vec<Kind> = self.open.keys().copied().collect();
        for kind in kinds {
            self.close(kind)?;
        }
        let mut finished = self.finished;
        finished.sort_by_key(|(kind, _)| (kind.cold, Reverse(kind.set.count_ones()), kind.set));
        Ok(finished.into_iter().map(|(_, shard)| shard).collect())
    }

    fn open(&mut self, kind: Kind) -> &mut Unfinished {
        self.open.entry(kind).or_default()
    }

    fn close(&mut self, kind: Kind) -> Result<(), E> {
        let unfinished = self.open.remove(&kind).unwrap_or_default();
        if unfinished.is_empty() {
            return Ok(());
        }
        let bytes = unfinished.serialize();
        let shard = Shard { cold: kind.cold, ..Shard::of(&bytes, members(kind.set)) };
        (self.emit)(&shard, bytes)?;
        self.finished.push((kind, shard));
        Ok(())
    }
}

/// The folds of a set, ascending.
fn members(set: FoldSet) -> Vec<usize> {
    (0..FoldSet::BITS as usize).filter(|fold| set >> fold & 1 == 1).collect()
}

impl Unfinished {
    fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.parts.is_empty()
    }

    fn room(&self) -> usize {
        (LARGEST_SHARD as usize - HEADER_BYTES_AN_ENTRY).saturating_sub(self.bytes)
    }

    /// Adds `count` rows of a piece from its place `first` on.
    fn add(&mut self, piece: &Piece<'_>, first: usize, count: usize) {
        if count == 0 {
            return;
        }
        let rows = &piece.rows[first..first + count];
        self.bytes += piece.bytes(rows, self.parts.get(piece.name));
        let part = self.parts.entry(piece.name.to_owned()).or_insert_with(|| Part {
            shape: piece.shape.to_vec(),
            numbers: piece.numbers,
            rows: Vec::new(),
            encoded: Encoded::default(),
        });
        let width = width_of(piece.shape);
        let (data, scales) = piece.encoded.rows(piece.numbers, width, first, count);
        part.rows.extend(rows);
        part.encoded.data.extend_from_slice(data);
        part.encoded.scales.extend_from_slice(scales);
    }

    fn serialize(self) -> Vec<u8> {
        let parts = self.parts.into_iter().flat_map(|(name, part)| part.entries(&name));
        let entries: Vec<Entry> = self.tables.into_iter().chain(parts).collect();
        let views = entries.iter().map(|entry| {
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

impl Part {
    /// The rows as they lie in a shard: numbers, scales, and which rows they are if they are not all.
    fn entries(self, name: &str) -> Vec<Entry> {
        let Self { shape, numbers, rows, encoded } = self;
        let entry = |ending: &str, dtype, shape, data| Entry {
            name: format!("{name}{ending}"),
            dtype,
            shape,
            data,
        };
        let stored_shape = numbers.stored_shape(rows.len(), &shape);
        let mut entries = vec![entry("", numbers.dtype(), stored_shape, encoded.data)];
        if !encoded.scales.is_empty() {
            let scales_shape = numbers.scales_shape(rows.len(), width_of(&shape));
            entries.push(entry(SCALES, Dtype::F32, scales_shape, encoded.scales));
        }
        if rows.len() < shape[0] {
            let runs = runs(&rows);
            let numbers = runs.iter().flat_map(|&(first, count)| [first as u32, count as u32]);
            let bytes = numbers.flat_map(u32::to_le_bytes).collect();
            entries.push(entry(ROWS, Dtype::U32, vec![runs.len(), 2], bytes));
        }
        entries
    }
}

impl Piece<'_> {
    /// How many rows from the place `first` on fit into `room` bytes of a shard that has `part` of the tensor.
    fn fitting(&self, first: usize, room: usize, part: Option<&Part>) -> usize {
        let rows = &self.rows[first..];
        let mut bytes = self.head_bytes(part);
        let mut last = part.and_then(|part| part.rows.last()).copied();
        let full = rows.iter().position(|&row| {
            bytes += self.row_bytes(last, row);
            last = Some(row);
            bytes > room
        });
        full.unwrap_or(rows.len())
    }

    /// What these rows add to such a shard.
    fn bytes(&self, rows: &[usize], part: Option<&Part>) -> usize {
        let mut last = part.and_then(|part| part.rows.last()).copied();
        let rows = rows.iter().map(|&row| self.row_bytes(last.replace(row), row));
        self.head_bytes(part) + rows.sum::<usize>()
    }

    fn head_bytes(&self, part: Option<&Part>) -> usize {
        match part {
            Some(_) => 0,
            None => 3 * (HEADER_BYTES_AN_ENTRY + self.name.len() + SCALES.len()),
        }
    }

    fn row_bytes(&self, last: Option<usize>, row: usize) -> usize {
        let width = width_of(self.shape);
        let begins_a_run = last.is_none_or(|last| last + 1 != row);
        self.numbers.row_bytes(width)
            + self.numbers.scale_bytes(width)
            + if begins_a_run { RUN_BYTES } else { 0 }
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
