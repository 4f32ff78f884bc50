//! The division of a call into blocks for threads.
//!
//! Where the `gemm` crate divides a product itself, it first packs a matrix that has to be transposed, such as the weights of each
//! layer on the way forward, on one thread. A block packs its own columns. With AVX-512, whose kernel computes all columns of a
//! block at once, this is faster: a training step on short texts takes a twentieth less. With AVX2 it is not.

use std::ops::Range;

use rayon::prelude::*;

use super::call::Call;

/// Columns of a block: as many as the crate's kernel for AVX-512 computes at once.
const BLOCK_COLUMNS: usize = 64;

/// The least rows of a block. Each block packs its columns again.
const BLOCK_ROWS: usize = 128;

/// Multiplications of a product that is not worth dividing.
const UNDIVIDED: usize = 1 << 19;

#[expect(unsafe_code, reason = "blocks are computed by several threads")]
// SAFETY: the pointers are used in `run` alone, whose caller answers for them.
unsafe impl Send for Call {}
#[expect(unsafe_code, reason = "blocks are computed by several threads")]
// SAFETY: as above.
unsafe impl Sync for Call {}

impl Call {
    /// The same product in blocks, enough for so many threads where it is large. An element's bits do not depend on
    /// the number of threads.
    pub fn blocks(self, threads: usize) -> impl ParallelIterator<Item = Self> {
        let (of_columns, of_rows) = match self.rows * self.columns * self.depth > UNDIVIDED {
            false => (1, 1),
            true => {
                let of_columns = (self.columns / BLOCK_COLUMNS).max(1);
                let of_rows = (2 * threads).div_ceil(of_columns).min(self.rows / BLOCK_ROWS);
                (of_columns, of_rows.max(1))
            }
        };
        (0..of_columns * of_rows).into_par_iter().map(move |block| {
            let (row, column) = (block / of_columns, block % of_columns);
            let rows = row * self.rows / of_rows..(row + 1) * self.rows / of_rows;
            let first = column * BLOCK_COLUMNS;
            // The last block has the rest as well: the crate adds up in another order where columns are very few.
            let is_last = column + 1 == of_columns;
            let end = if is_last { self.columns } else { first + BLOCK_COLUMNS };
            self.block(rows, first..end)
        })
    }

    fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let ([a_row, _], [_, b_column]) = (self.a_strides, self.b_strides);
        Self {
            rows: rows.len(),
            columns: columns.len(),
            output: self.output.wrapping_add(rows.start * self.output_stride + columns.start),
            a: self.a.wrapping_add(rows.start * a_row),
            b: self.b.wrapping_add(columns.start * b_column),
            ..self
        }
    }
}
