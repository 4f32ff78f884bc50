//! A matrix that several tasks fill, each some columns of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A matrix [rows, columns] that is being filled.
pub struct Columns {
    matrix: *mut f32,
    rows: usize,
    columns: usize,
    written: AtomicUsize,
}

#[expect(unsafe_code, reason = "columns are written by several threads")]
// SAFETY: the pointer is used in `put` alone, whose callers write different places.
unsafe impl Sync for Columns {}

impl Columns {
    /// The matrix, once `fill` has written all of it.
    pub fn filled(rows: usize, columns: usize, fill: impl FnOnce(&Self)) -> Vec<f32> {
        let mut matrix = Vec::with_capacity(rows * columns);
        let written = AtomicUsize::new(0);
        let place = Self { matrix: matrix.as_mut_ptr(), rows, columns, written };
        fill(&place);
        assert_eq!(place.written.into_inner(), rows * columns, "numbers that were written");
        #[expect(unsafe_code, reason = "it was written through a pointer")]
        // SAFETY: the capacity is this, and every number has been written.
        unsafe {
            matrix.set_len(rows * columns);
        }
        matrix
    }

    /// Writes the first `count` of `values` into a row, from column `first` on. Usually `count` is N. Each element must be
    /// written by one task, once, and reported to [`count`](Self::count).
    #[inline(always)]
    pub fn put<const N: usize>(&self, row: usize, first: usize, count: usize, values: &[f32]) {
        assert!(row < self.rows && first + count <= self.columns && count <= values.len());
        #[expect(unsafe_code, reason = "columns are written by several threads")]
        // SAFETY: the place lies within the matrix, and nobody else writes it.
        unsafe {
            let place = self.matrix.add(row * self.columns + first);
            if count == N && N.is_multiple_of(4) {
                // Vector by vector: no call.
                for i in (0..N).step_by(4) {
                    let four = values.as_ptr().add(i).cast::<[f32; 4]>().read_unaligned();
                    place.add(i).cast::<[f32; 4]>().write_unaligned(four);
                }
            } else {
                place.copy_from_nonoverlapping(values.as_ptr(), count);
            }
        }
    }

    /// Reports that `written` elements were written.
    pub fn count(&self, written: usize) {
        self.written.fetch_add(written, Ordering::Relaxed);
    }
}
