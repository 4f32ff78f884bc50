//! The place of one head of one text in each operand.

use crate::kernels::matmul::{Matrix, MatrixMut};

/// One head of one text: its extent, and where it begins in each buffer.
pub struct Head {
    pub keys: usize,
    pub queries: usize,
    /// Columns of this head.
    pub size: usize,
    /// Columns of all heads.
    pub width: usize,
    pub query_at: usize,
    pub key_at: usize,
    /// The row of distance `queries - 1`, the largest that occurs, in the position tables.
    pub position_at: usize,
    pub scores_at: usize,
}

impl Head {
    /// Returns the number of distances i - j that occur.
    pub fn reach(&self) -> usize {
        self.keys + self.queries - 1
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
