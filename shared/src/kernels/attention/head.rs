//! The place of one head of one text in each operand.

use std::ops::Range;

use crate::kernels::matmul::{Matrix, MatrixMut};

/// The most queries, or keys, of a block. A row of a block's band leaves nearly so many columns unused: small blocks waste less,
/// and large ones make faster products. In tests the texts are short.
const BLOCK_ROWS: usize = if cfg!(test) { 3 } else { 64 };

/// One head of one text, or some of its queries or keys: its extent, and where it begins in each buffer.
#[derive(Clone, Copy)]
pub struct Head {
    pub keys: usize,
    pub queries: usize,
    /// Columns of this head.
    pub size: usize,
    /// Columns of all heads.
    pub width: usize,
    pub query_at: usize,
    pub key_at: usize,
    /// The row of the largest distance that occurs, in the position tables.
    pub position_at: usize,
    pub scores_at: usize,
    /// Columns of the score matrix: all keys of the text.
    pub score_columns: usize,
}

impl Head {
    /// Returns the number of distances i - j that occur.
    pub fn reach(&self) -> usize {
        self.keys + self.queries - 1
    }

    /// Returns the head for some of its queries at a time.
    pub fn blocks_of_queries(self) -> impl Iterator<Item = Self> {
        blocks(self.queries).map(move |rows| Self {
            queries: rows.len(),
            query_at: self.query_at + rows.start * self.width,
            position_at: self.position_at + (self.queries - rows.end) * self.width,
            scores_at: self.scores_at + rows.start * self.score_columns,
            ..self
        })
    }

    /// Returns the head for some of its keys at a time.
    pub fn blocks_of_keys(self) -> impl Iterator<Item = Self> {
        blocks(self.keys).map(move |rows| Self {
            keys: rows.len(),
            key_at: self.key_at + rows.start * self.width,
            position_at: self.position_at + rows.start * self.width,
            scores_at: self.scores_at + rows.start,
            ..self
        })
    }

    /// Returns the number of elements from the first score of this head to that of a block.
    pub fn to(&self, block: &Self) -> usize {
        block.scores_at - self.scores_at
    }

    pub fn queries<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&values[self.query_at..], self.queries, self.size, self.width)
    }

    pub fn keys<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&values[self.key_at..], self.keys, self.size, self.width)
    }

    pub fn positions<'a>(&self, table: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&table[self.position_at..], self.reach(), self.size, self.width)
    }

    pub fn queries_mut<'a>(&self, from: &'a mut [f32]) -> MatrixMut<'a> {
        MatrixMut::strided(from, self.queries, self.size, self.width)
    }

    pub fn keys_mut<'a>(&self, from: &'a mut [f32]) -> MatrixMut<'a> {
        MatrixMut::strided(from, self.keys, self.size, self.width)
    }

    pub fn positions_mut<'a>(&self, table: &'a mut [f32]) -> MatrixMut<'a> {
        let from = &mut table[self.position_at..];
        MatrixMut::strided(from, self.reach(), self.size, self.width)
    }

    /// Returns the column of a band [rows, reach] at which the distances of query i begin.
    pub fn shift(&self, i: usize) -> usize {
        self.queries - 1 - i
    }
}

/// Divides rows into blocks of about equal size.
fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(BLOCK_ROWS);
    (0..count).map(move |block| block * rows / count..(block + 1) * rows / count)
}
