//! Fills shards. Each set of folds has one that is not full yet, and one more for its cold rows.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::names::{ROWS, SCALES};
use super::shard::{LARGEST_SHARD, Shard};
use crate::quant::QuantizedMatrix;
use crate::tokenizer::TokenizerTensor;
use crate::{Error, Result};

/// A set of folds: bit f stands for the fold at place f.
pub(super) type FoldSet = u64;

/// Bytes of an entry of the header beside its name, generously: three field names, a type, four numbers.
const HEADER_BYTES_AN_ENTRY: usize = 160;

/// Bytes of a run: its first row and its number of rows, u32 each.
const RUN_BYTES: usize = 8;

/// Collects rows and tables in shards, and hands each full shard to `emit`.
pub(super) struct Packer<F> {
    open: BTreeMap<Group, Unfinished>,
    finished: Vec<(Group, Shard)>,
    emit: F,
}

/// The properties that all contents of one shard have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    cold: bool,
    set: FoldSet,
}

/// Some rows of a tensor.
pub(super) struct Piece<'a> {
    pub name: &'a str,
    /// The shape of the whole tensor.
    pub shape: &'a [usize],
    /// The rows' indices in the tensor, ascending.
    pub rows: &'a [usize],
    /// Whether they are cold.
    pub cold: bool,
    /// These rows and no others.
    pub matrix: &'a QuantizedMatrix,
}

#[derive(Default)]
struct Unfinished {
    tables: Vec<Entry>,
    tensors: BTreeMap<String, PartialTensor>,
    /// The most bytes that the file will have.
    bytes: usize,
}

/// The rows of a tensor that a shard has so far.
struct PartialTensor {
    /// The shape of the whole tensor.
    shape: Vec<usize>,
    rows: Vec<usize>,
    matrix: QuantizedMatrix,
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

    /// Adds a table, which is never cut.
    pub fn add_table(&mut self, set: FoldSet, table: TokenizerTensor) -> Result<(), E> {
        let shape = vec![table.bytes.len() / (table.dtype.bitsize() / 8)];
        let entry =
            Entry { name: table.name.to_owned(), dtype: table.dtype, shape, data: table.bytes };
        if Unfinished::default().room() < entry.size() {
            return Err(
                Error::Bundle(format!("`{}` is larger than a shard may be", entry.name)).into()
            );
        }
        let group = Group { cold: false, set };
        if self.open(group).room() < entry.size() {
            self.close(group)?;
        }
        let unfinished = self.open(group);
        unfinished.bytes += entry.size();
        unfinished.tables.push(entry);
        Ok(())
    }

    /// Adds rows of a tensor, and starts a new shard where one is full. They come after the rows that the set has already.
    pub fn add_rows(&mut self, set: FoldSet, piece: &Piece<'_>) -> Result<(), E> {
        let group = Group { cold: piece.cold, set };
        let mut done = 0;
        while done < piece.rows.len() {
            let unfinished = self.open(group);
            let fitting =
                piece.fitting(done, unfinished.room(), unfinished.tensors.get(piece.name));
            if fitting == 0 && unfinished.is_empty() {
                let reason = format!("a row of `{}` is larger than a shard may be", piece.name);
                return Err(Error::Bundle(reason).into());
            }
            unfinished.add(piece, done, fitting);
            done += fitting;
            if done < piece.rows.len() {
                self.close(group)?;
            }
        }
        Ok(())
    }

    /// All shards: the cold ones last, and before that, those that more folds need first.
    pub fn finish(mut self) -> Result<Vec<Shard>, E> {
        let groups: Vec<Group> = self.open.keys().copied().collect();
        for group in groups {
            self.close(group)?;
        }
        let mut finished = self.finished;
        finished.sort_by_key(|(group, _)| (group.cold, Reverse(group.set.count_ones()), group.set));
        Ok(finished.into_iter().map(|(_, shard)| shard).collect())
    }

    fn open(&mut self, group: Group) -> &mut Unfinished {
        self.open.entry(group).or_default()
    }

    fn close(&mut self, group: Group) -> Result<(), E> {
        let unfinished = self.open.remove(&group).unwrap_or_default();
        if unfinished.is_empty() {
            return Ok(());
        }
        let bytes = unfinished.serialize();
        let shard = Shard { cold: group.cold, ..Shard::of(&bytes, members(group.set)) };
        (self.emit)(&shard, bytes)?;
        self.finished.push((group, shard));
        Ok(())
    }
}

/// The folds of a set, ascending.
fn members(set: FoldSet) -> Vec<usize> {
    (0..FoldSet::BITS as usize).filter(|fold| set >> fold & 1 == 1).collect()
}

impl Unfinished {
    fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.tensors.is_empty()
    }

    fn room(&self) -> usize {
        (LARGEST_SHARD as usize - HEADER_BYTES_AN_ENTRY).saturating_sub(self.bytes)
    }

    /// Adds `count` rows of a piece, from the one at `first` on.
    fn add(&mut self, piece: &Piece<'_>, first: usize, count: usize) {
        if count == 0 {
            return;
        }
        let rows = &piece.rows[first..first + count];
        self.bytes += piece.bytes(rows, self.tensors.get(piece.name));
        let tensor = self.tensors.entry(piece.name.to_owned()).or_insert_with(|| PartialTensor {
            shape: piece.shape.to_vec(),
            rows: Vec::new(),
            matrix: piece.matrix.select_rows(&[]),
        });
        tensor.rows.extend(rows);
        tensor.matrix.push_rows(piece.matrix.slice_rows(first..first + count));
    }

    fn serialize(self) -> Vec<u8> {
        let tensors = self.tensors.into_iter().flat_map(|(name, tensor)| tensor.entries(&name));
        let entries: Vec<Entry> = self.tables.into_iter().chain(tensors).collect();
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

impl PartialTensor {
    /// The entries of a shard: codes, scales, and which rows they are if not all.
    fn entries(self, name: &str) -> Vec<Entry> {
        let Self { shape, rows, matrix } = self;
        let (format, [count, width]) = (matrix.format(), matrix.shape());
        let entry = |ending: &str, dtype, shape, data| Entry {
            name: format!("{name}{ending}"),
            dtype,
            shape,
            data,
        };
        let stored_shape = format.stored_shape(count, &shape);
        let scales = matrix.scales().iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let mut entries = vec![entry("", format.dtype(), stored_shape, matrix.into_data())];
        if let Some(scales_shape) = format.scales_shape(count, width) {
            entries.push(entry(SCALES, Dtype::F32, scales_shape, scales));
        }
        if count < shape[0] {
            let runs = runs(&rows);
            let numbers = runs.iter().flat_map(|&(first, count)| [first as u32, count as u32]);
            let bytes = numbers.flat_map(u32::to_le_bytes).collect();
            entries.push(entry(ROWS, Dtype::U32, vec![runs.len(), 2], bytes));
        }
        entries
    }
}

impl Piece<'_> {
    /// The number of rows from the one at `first` on fit into `room` bytes of a shard that has `there` of the tensor.
    fn fitting(&self, first: usize, room: usize, there: Option<&PartialTensor>) -> usize {
        let rows = &self.rows[first..];
        let mut bytes = self.head_bytes(there);
        let mut last = there.and_then(|tensor| tensor.rows.last()).copied();
        let full = rows.iter().position(|&row| {
            bytes += self.row_bytes(last, row);
            last = Some(row);
            bytes > room
        });
        full.unwrap_or(rows.len())
    }

    /// The bytes that these rows add to such a shard.
    fn bytes(&self, rows: &[usize], there: Option<&PartialTensor>) -> usize {
        let mut last = there.and_then(|tensor| tensor.rows.last()).copied();
        let rows = rows.iter().map(|&row| self.row_bytes(last.replace(row), row));
        self.head_bytes(there) + rows.sum::<usize>()
    }

    fn head_bytes(&self, there: Option<&PartialTensor>) -> usize {
        match there {
            Some(_) => 0,
            None => 3 * (HEADER_BYTES_AN_ENTRY + self.name.len() + SCALES.len()),
        }
    }

    fn row_bytes(&self, last: Option<usize>, row: usize) -> usize {
        let (format, [_, width]) = (self.matrix.format(), self.matrix.shape());
        let begins_a_run = last.is_none_or(|last| last + 1 != row);
        format.row_bytes(width)
            + 4 * format.row_scales(width)
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
