//! One call of the `gemm` crate, whole or divided into blocks for threads.
//!
//! Where the crate divides a product itself, it first packs a matrix that has to be transposed, such as the weights of each layer
//! on the way forward, on one thread. A block packs its own columns. With AVX-512, whose kernel computes all columns of a block
//! at once, this is faster: a training step on short texts takes a twentieth less. With AVX2 it is not.

use std::ops::Range;

use gemm::Parallelism;
use rayon::prelude::*;

use super::super::isa::Isa;

/// Columns of a block: as many as the crate's kernel for AVX-512 computes at once.
const BLOCK_COLUMNS: usize = 64;

/// The least rows of a block. Each block packs its columns again.
const BLOCK_ROWS: usize = 128;

/// Multiplications of a product that is not worth dividing.
const UNDIVIDED: usize = 1 << 19;

/// `output = factor * a b`, or `output += factor * a b`: a [rows, depth], b [depth, columns], output [rows, columns]. An element
/// (i, j) of an operand is at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy)]
pub struct Call {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub output: *mut f32,
    /// Elements from a row of the output to the next.
    pub output_stride: usize,
    pub adds: bool,
    pub a: *const f32,
    pub a_strides: [usize; 2],
    pub b: *const f32,
    pub b_strides: [usize; 2],
    pub factor: f32,
}

#[expect(unsafe_code, reason = "blocks are computed by several threads")]
// SAFETY: the pointers are used in `run` alone, whose caller answers for them.
unsafe impl Send for Call {}
#[expect(unsafe_code, reason = "blocks are computed by several threads")]
// SAFETY: as above.
unsafe impl Sync for Call {}

impl Call {
    /// Whether [`blocks`](Self::blocks) are faster than the crate's own division.
    pub fn is_better_divided(isa: Isa) -> bool {
        #[cfg(target_arch = "x86_64")]
        let has_512_bits = matches!(isa, Isa::Avx512 | Isa::Avx512Vnni);
        #[cfg(not(target_arch = "x86_64"))]
        let has_512_bits = false;
        has_512_bits
    }

    /// The same product in blocks, enough for so many threads where it is large. An element's bits do not depend on
    /// the number of threads.
    pub fn blocks(self, threads: usize) -> impl ParallelIterator<Item = Self> {
        let (of_columns, of_rows) = match self.rows * self.columns * self.depth > UNDIVIDED {
            false => (1, 1),
            true => {
                let of_columns = self.columns.div_ceil(BLOCK_COLUMNS);
                let of_rows = (2 * threads).div_ceil(of_columns).min(self.rows / BLOCK_ROWS);
                (of_columns, of_rows.max(1))
            }
        };
        let width = if of_columns == 1 { self.columns } else { BLOCK_COLUMNS };
        (0..of_columns * of_rows).into_par_iter().map(move |block| {
            let (row, column) = (block / of_columns, block % of_columns * width);
            let rows = row * self.rows / of_rows..(row + 1) * self.rows / of_rows;
            self.block(rows, column..self.columns.min(column + width))
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

    /// Computes the product in the instruction set `isa`.
    ///
    /// # Safety
    /// All elements must lie where they may be read, or written.
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    pub unsafe fn run(self, isa: Isa, threads: Parallelism) {
        // SAFETY: the caller's.
        unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => self.avx2(threads),
                #[cfg(target_arch = "x86_64")]
                Isa::Portable => self.portable(threads),
                _ => self.best(threads),
            }
        }
    }

    /// The kernels that the crate chooses: the machine's best.
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    unsafe fn best(self, threads: Parallelism) {
        let [[a_row, a_column], [b_row, b_column]] =
            [self.a_strides, self.b_strides].map(|strides| strides.map(|stride| stride as isize));
        // SAFETY: the caller's.
        unsafe {
            gemm::gemm(
                self.rows,
                self.columns,
                self.depth,
                self.output,
                1,
                self.output_stride as isize,
                self.adds,
                self.a,
                a_column,
                a_row,
                self.b,
                b_column,
                b_row,
                1.0,
                self.factor,
                false,
                false,
                false,
                threads,
            );
        }
    }
}

/// A method of [`Call`] that uses the kernels of one module of the crate's, whose vectors have so many lanes.
#[cfg(target_arch = "x86_64")]
macro_rules! kernels {
    ($name:ident, $module:ident, $simd:ty, $lanes:literal) => {
        #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
        unsafe fn $name(self, threads: Parallelism) {
            use gemm_common::{gemm::gemm_basic_generic, simd::MixedSimd};
            use gemm_f32::microkernel::$module::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
            let simd = <$simd as MixedSimd<f32, f32, f32, f32>>::try_new();
            let [[a_row, a_column], [b_row, b_column]] = [self.a_strides, self.b_strides]
                .map(|strides| strides.map(|stride| stride as isize));
            // SAFETY: the caller's.
            unsafe {
                gemm_basic_generic::<_, f32, $lanes, { MR_DIV_N * $lanes }, NR, MR_DIV_N, H_M, H_N>(
                    simd.expect("the instruction set was found"),
                    self.rows,
                    self.columns,
                    self.depth,
                    self.output,
                    1,
                    self.output_stride as isize,
                    self.adds,
                    self.a,
                    a_column,
                    a_row,
                    self.b,
                    b_column,
                    b_row,
                    1.0,
                    self.factor,
                    false,
                    false,
                    false,
                    |a, b, c| a * b + c,
                    &UKR,
                    &H_UKR,
                    false,
                    threads,
                );
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
impl Call {
    kernels!(avx2, fma, gemm_common::simd::V3, 8);
    kernels!(portable, scalar, gemm_common::simd::Scalar, 1);
}
