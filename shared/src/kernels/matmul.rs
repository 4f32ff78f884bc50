//! Matrix products on the `gemm` crate: the only place that hands it pointers.
//!
//! Operands may be blocks of columns of larger matrices, as the heads of attention are.

#[cfg(target_arch = "x86_64")]
mod blocks;
mod call;

use gemm::Parallelism;
#[cfg(target_arch = "x86_64")]
use rayon::prelude::*;

use super::WriteMode;
use super::isa::Isa;
use call::Call;

/// A matrix [rows, columns] within a slice: element (i, j) is at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    strides: [usize; 2],
}

/// A matrix to be written, whose rows are `stride` elements apart.
pub struct MatrixMut<'a> {
    values: &'a mut [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// Whether the product may be spread over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone.
    One,
    /// All threads of rayon's pool.
    All,
}

impl<'a> Matrix<'a> {
    /// Takes rows that follow each other without a gap.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Takes rows that are `stride` elements apart, such as a block of columns of a wider matrix.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len());
        Self { values, rows, columns, strides: [stride, 1] }
    }

    /// Returns the transpose, of the same values.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            strides: [self.strides[1], self.strides[0]],
            ..self
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// Takes rows that follow each other without a gap.
    pub fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Takes rows that are `stride` elements apart.
    ///
    /// # Panics
    /// If the slice is too short, or rows overlap.
    pub fn strided(values: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len());
        assert!(columns <= stride || rows <= 1, "rows may not overlap");
        Self { values, rows, columns, stride }
    }
}

/// Computes `output = factor * a * b`, or `output += factor * a * b`: a [rows, depth], b [depth, columns],
/// output [rows, columns].
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply(
    output: MatrixMut<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    factor: f32,
    write: WriteMode,
    threads: Threads,
) {
    let call = call(output, a, b, factor, write);
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    // SAFETY: the constructors have checked that every element lies in its slice and that the rows
    // written do not overlap; the shapes agree, and `output` is borrowed mutably, so it is none of
    // the operands.
    unsafe {
        run(call, threads);
    }
}

/// Returns the rows of `a * b`, without a gap.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let len = a.rows * b.columns;
    let mut output = Vec::with_capacity(len);
    let call = call_to(output.as_mut_ptr(), b.columns, a, b);
    #[expect(unsafe_code, reason = "zeros that are written over take time")]
    // SAFETY: as in `multiply`; `output` has room for all elements, and each is written.
    unsafe {
        run(call, Threads::All);
        output.set_len(len);
    }
    output
}

/// Computes a call, by several threads if it may be.
///
/// # Safety
/// As of [`Call::run`].
#[expect(unsafe_code, reason = "the gemm crate takes pointers")]
unsafe fn run(call: Call, threads: Threads) {
    let isa = Isa::best();
    // SAFETY: the caller's. The blocks of a call write different elements.
    let run = |call: Call, threads| unsafe { call.run(isa, threads) };
    match threads {
        #[cfg(target_arch = "x86_64")]
        Threads::All if matches!(isa, Isa::Avx512 | Isa::Avx512Vnni) => {
            let blocks = call.blocks(rayon::current_num_threads());
            blocks.for_each(|block| run(block, Parallelism::None));
        }
        #[cfg(not(target_arch = "wasm32"))]
        Threads::All => run(call, Parallelism::Rayon(rayon::current_num_threads())),
        _ => run(call, Parallelism::None),
    }
}

/// The product as a call: `output` must not be used before it is done.
fn call(
    output: MatrixMut<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    factor: f32,
    write: WriteMode,
) -> Call {
    assert!(a.rows == output.rows && b.columns == output.columns);
    let adds = write == WriteMode::Add;
    Call { adds, factor, ..call_to(output.values.as_mut_ptr(), output.stride, a, b) }
}

/// `a * b` as a call that writes rows `output_stride` elements apart.
fn call_to(output: *mut f32, output_stride: usize, a: Matrix<'_>, b: Matrix<'_>) -> Call {
    assert_eq!(a.columns, b.rows);
    Call {
        rows: a.rows,
        columns: b.columns,
        depth: a.columns,
        output,
        output_stride,
        adds: false,
        a: a.values.as_ptr(),
        a_strides: a.strides,
        b: b.values.as_ptr(),
        b_strides: b.strides,
        factor: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_close, random};
    use super::*;

    fn plain(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
        let at = |m: Matrix<'_>, i, j| f64::from(m.values[i * m.strides[0] + j * m.strides[1]]);
        let mut product = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.columns {
                let sum: f64 = (0..a.columns).map(|k| at(a, i, k) * at(b, k, j)).sum();
                product.push(sum as f32);
            }
        }
        product
    }

    #[test]
    fn strided_and_transposed_operands_agree_with_a_plain_loop() {
        let (a, b) = (random(40 * 70, 1), random(50 * 70, 2));
        for (m, n, k) in [(1, 1, 1), (1, 17, 33), (31, 1, 7), (40, 50, 64)] {
            let a = Matrix::strided(&a[3..], m, k, 69);
            let b = Matrix::strided(&b, n, k, 70).transposed();
            let mut output = vec![1.0; m * 60];
            multiply(
                MatrixMut::strided(&mut output, m, n, 60),
                a,
                b,
                0.5,
                WriteMode::Add,
                Threads::One,
            );
            let expected: Vec<f32> = plain(a, b).iter().map(|p| 1.0 + 0.5 * p).collect();
            let found: Vec<f32> = output.chunks(60).flat_map(|row| &row[..n]).copied().collect();
            assert_close(&found, &expected, 1e-5);
            assert!(output.chunks(60).all(|row| row[n..].iter().all(|&x| x == 1.0)), "overwritten");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn an_elements_bits_do_not_depend_on_the_number_of_threads() {
        let (rows, columns, depth) = (600, 130, 70);
        let (a, b) = (random(rows * depth, 1), random(columns * depth, 2));
        let a = Matrix::new(&a, rows, depth);
        let b = Matrix::new(&b, columns, depth).transposed();
        let product = |threads: usize| {
            let mut output = vec![1.0; rows * columns];
            let matrix = MatrixMut::new(&mut output, rows, columns);
            let blocks = call(matrix, a, b, 0.5, WriteMode::Add).blocks(threads);
            #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
            // SAFETY: the blocks write different elements of `output`, which nobody else uses meanwhile.
            let written = blocks.map(|it| unsafe { it.run(Isa::best(), Parallelism::None) });
            (written.count(), output)
        };
        let (few, expected) = product(1);
        let (many, found) = product(16);
        assert!(few < many, "{few} blocks, {many} for many threads");
        assert_eq!(found, expected);
        let expected: Vec<f32> = plain(a, b).iter().map(|p| 1.0 + 0.5 * p).collect();
        assert_close(&found, &expected, 1e-5);
    }
}
