//! Embeddings whose rows stay quantized: a row is decoded when it is picked.
//!
//! The word embeddings are more than half of a DeBERTa-v3, and a text reads some dozens of their rows. Rows that several
//! folds share are in memory once, and each fold adds its own deltas. The hot rows can be read before the cold ones are
//! loaded.

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};

use crate::Result;
use crate::quant::{QuantizedMatrix, Segment};

/// A table [rows, width]: its first rows are hot, the others are cold and may come later.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedEmbedding {
    rows: usize,
    hot: Segment,
    cold: OnceLock<Segment>,
}

impl QuantizedEmbedding {
    /// A table of `rows` rows, the first of which are `hot`.
    pub fn new(hot: Segment, rows: usize) -> Self {
        Self { rows, hot, cold: OnceLock::new() }
    }

    /// Takes the rows behind the hot ones. `false` if there are more or fewer, or if the table has them already.
    pub fn add_cold_rows(&self, cold: Segment) -> bool {
        let [hot_rows, width] = self.hot.rows.shape();
        let fits = cold.rows.shape() == [self.rows - hot_rows, width];
        hot_rows < self.rows && fits && self.cold.set(cold).is_ok()
    }

    /// The hot rows without deltas, which other folds may share.
    pub fn hot_rows(&self) -> &Arc<QuantizedMatrix> {
        &self.hot.rows
    }

    /// The cold rows without deltas, if they are loaded.
    pub fn cold_rows(&self) -> Option<&Arc<QuantizedMatrix>> {
        self.cold.get().map(|cold| &cold.rows)
    }

    /// [rows, width]
    pub fn shape(&self) -> [usize; 2] {
        let [_, width] = self.hot.rows.shape();
        [self.rows, width]
    }

    /// The number of first rows that can be picked: all, or the hot ones.
    pub fn loaded_rows(&self) -> usize {
        if self.cold.get().is_some() { self.rows } else { self.hot.rows.shape()[0] }
    }

    /// -> [indices, width], f32.
    ///
    /// # Panics
    /// If an index is not below [`loaded_rows`](Self::loaded_rows).
    pub fn gather(&self, indices: &[u32]) -> Result<Tensor> {
        let [hot_rows, width] = self.hot.rows.shape();
        let mut output = vec![0.0; indices.len() * width];
        for (&index, values) in indices.iter().zip(output.chunks_exact_mut(width)) {
            match (index as usize).checked_sub(hot_rows) {
                None => self.hot.add_row(index as usize, values),
                Some(row) => self.cold.get().expect("a loaded row").add_row(row, values),
            }
        }
        Ok(Tensor::from_vec(output, (indices.len(), width), &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::low_bits::Bits;
    use crate::quant::{Deltas, Format, GROUP, QuantizedRows};

    fn matrix(format: Format, width: usize, data: &[u8], scales: &[f32]) -> QuantizedMatrix {
        let rows = QuantizedRows::new(format, width, data, scales);
        let mut matrix = QuantizedMatrix::unfilled(format, rows.len(), width);
        matrix.copy_rows(0, rows);
        matrix
    }

    fn hot_only(
        rows: impl Into<Arc<QuantizedMatrix>>,
        deltas: Option<Deltas>,
    ) -> QuantizedEmbedding {
        let rows = rows.into();
        let count = rows.shape()[0];
        QuantizedEmbedding::new(Segment { rows, deltas }, count)
    }

    fn gathered(table: &QuantizedEmbedding, indices: &[u32]) -> Vec<Vec<f32>> {
        table.gather(indices).unwrap().to_vec2().unwrap()
    }

    /// Deltas of one bit for rows of two numbers: which row, packed codes, scale.
    fn deltas(rows: usize, each: &[(usize, u8, f32)]) -> Deltas {
        let mut deltas = Deltas::none(Bits::One, [rows, 2]);
        for &(row, codes, scale) in each {
            deltas.push(row, QuantizedRows::new(Format::Delta(Bits::One), 2, &[codes], &[scale]));
        }
        deltas
    }

    #[test]
    fn picked_rows_are_decoded() {
        let rows = matrix(Format::Int8, 2, &[1, 254, 127, 0, 5, 6], &[0.5, 2.0, 0.25]);
        let table = hot_only(rows, None);
        assert_eq!(table.shape(), [3, 2]);
        assert_eq!(gathered(&table, &[2, 0, 2]), [[1.25, 1.5], [0.5, -1.0], [1.25, 1.5]]);

        // 1, -2, 32767 and 300, little-endian.
        let data = [1, 0, 254, 255, 255, 127, 44, 1];
        let table = hot_only(matrix(Format::Int16, 2, &data, &[0.5, 2.0]), None);
        assert_eq!(gathered(&table, &[1, 0]), [[65534.0, 600.0], [0.5, -1.0]]);

        // Three numbers take five bytes.
        let data = [0x23, 0xf1, 0xff, 0x56, 0x04, 0, 0, 0, 0xff, 0x0f];
        let table = hot_only(matrix(Format::Int12, 3, &data, &[2.0, 0.5]), None);
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(gathered(&table, &[1, 0]), [[0.0, 0.0, -0.5], [582.0, -2.0, 2220.0]]);

        // Codes 0 and 15 are -7.5 and 7.5 scales, 8 is half a scale; three numbers take two bytes.
        let data = [0xF0, 0x08, 0x80, 0x0F];
        let table = hot_only(matrix(Format::Int4, 3, &data, &[2.0, 0.5]), None);
        assert_eq!(table.shape(), [2, 3]);
        assert_eq!(gathered(&table, &[1, 0]), [[-3.75, 0.25, 3.75], [-15.0, 15.0, 1.0]]);
    }

    #[test]
    fn every_group_of_a_wide_row_has_its_own_scale() {
        let width = GROUP + 2;
        let data = vec![0x88; Bits::Four.bytes(width)];
        let rows = matrix(Format::Int4, width, &data, &[2.0, 6.0]);
        let row = &gathered(&hot_only(rows, None), &[0])[0];
        assert_eq!((row.len(), row[GROUP - 1], row[GROUP]), (width, 1.0, 3.0));
    }

    #[test]
    fn each_fold_adds_its_deltas_to_shared_rows() {
        let rows: Arc<QuantizedMatrix> =
            matrix(Format::Int8, 2, &[1, 1, 2, 2, 3, 3], &[1.0; 3]).into();
        let own = deltas(3, &[(2, 0b01, 0.5), (0, 0b10, 2.0)]);
        let one = hot_only(Arc::clone(&rows), Some(own));
        assert_eq!(gathered(&one, &[0, 1, 2]), [[0.0, 2.0], [2.0, 2.0], [3.25, 2.75]]);
        let other = hot_only(rows, None);
        assert_eq!(gathered(&other, &[2]), [[3.0, 3.0]]);
        assert!(Arc::ptr_eq(one.hot_rows(), other.hot_rows()));
    }

    #[test]
    fn the_cold_rows_may_come_later_but_only_they_and_only_once() {
        let segment = |data: &[u8], deltas| {
            let rows = matrix(Format::Int8, 2, data, &vec![1.0; data.len() / 2]).into();
            Segment { rows, deltas }
        };
        let table = QuantizedEmbedding::new(segment(&[1, 2, 3, 4], None), 3);
        assert_eq!((table.shape(), table.loaded_rows()), ([3, 2], 2));
        assert_eq!(gathered(&table, &[1, 0]), [[3.0, 4.0], [1.0, 2.0]]);
        assert!(!table.add_cold_rows(segment(&[5, 6, 7, 8], None)), "one row too many");

        let cold = segment(&[5, 6], Some(deltas(1, &[(0, 0b01, 2.0)])));
        assert!(table.add_cold_rows(cold.clone()));
        assert_eq!(gathered(&table, &[2, 1]), [[6.0, 5.0], [3.0, 4.0]]);
        assert!(!table.add_cold_rows(cold), "the table has them");

        let full = hot_only(matrix(Format::Int8, 2, &[1, 2], &[1.0]), None);
        assert!(!full.add_cold_rows(segment(&[], None)), "no row is cold");
    }
}
