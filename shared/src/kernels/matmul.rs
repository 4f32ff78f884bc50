//! Matrix products on the `gemm` crate: the only place that hands it pointers.
//!
//! `linear` and its two gradients are the bulk of all work; `multiply` serves attention, whose
//! operands are column blocks of larger matrices.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::{Target, cuda, rows_per_task, simd, tensor_in, update, values};
use crate::Result;

/// A matrix within a slice, `rows` x `columns`, element (i, j) at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

/// A matrix to be written, rows `stride` apart.
pub struct MatrixMut<'a> {
    values: &'a mut [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// Whether a product replaces what is there or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Replace,
    Add,
}

/// Whether the product may be spread over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    One,
    All,
}

impl<'a> Matrix<'a> {
    /// Rows that follow each other without a gap.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Rows `stride` apart: a block of columns of a wider matrix.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len());
        Self { values, rows, columns, strides: [stride, 1] }
    }

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
    pub fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    pub fn strided(values: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * stride + columns <= values.len());
        assert!(columns <= stride || rows <= 1, "rows may not overlap");
        Self { values, rows, columns, stride }
    }
}

/// `output = factor * a * b`, or `output += factor * a * b`.
pub fn multiply(
    output: MatrixMut<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    factor: f32,
    write: Write,
    threads: Threads,
) {
    assert!(a.rows == output.rows && b.columns == output.columns && a.columns == b.rows);
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        #[cfg(target_arch = "wasm32")]
        Threads::All => gemm::Parallelism::None,
        #[cfg(not(target_arch = "wasm32"))]
        Threads::All => gemm::Parallelism::Rayon(rayon::current_num_threads()),
    };
    let [a_row, a_column] = a.strides.map(|stride| stride as isize);
    let [b_row, b_column] = b.strides.map(|stride| stride as isize);
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    // SAFETY: the constructors have checked that every element lies in its slice and that the rows
    // written do not overlap; the shapes agree, and `output` is borrowed mutably, so it is none of
    // the operands.
    unsafe {
        gemm::gemm(
            output.rows,
            output.columns,
            a.columns,
            output.values.as_mut_ptr(),
            1,
            output.stride as isize,
            write == Write::Add,
            a.values.as_ptr(),
            a_column,
            a_row,
            b.values.as_ptr(),
            b_column,
            b_row,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `x w^T + bias`: x [rows, inputs], w [outputs, inputs], bias [outputs] -> [rows, outputs].
pub fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    output_format: DType,
) -> Result<Tensor> {
    if cuda::takes(x) {
        return cuda::linear::linear(x, weight, bias, output_format);
    }
    let (rows, inputs) = x.dims2()?;
    let (outputs, _) = weight.dims2()?;
    let (x, weight) = (values(x)?, values(weight)?);
    let mut output = vec![0.0; rows * outputs];
    let write = match bias {
        None => Write::Replace,
        Some(bias) => {
            let bias = values(bias)?;
            output.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(&bias));
            Write::Add
        }
    };
    multiply(
        MatrixMut::new(&mut output, rows, outputs),
        Matrix::new(&x, rows, inputs),
        Matrix::new(&weight, outputs, inputs).transposed(),
        1.0,
        write,
        Threads::All,
    );
    tensor_in(output_format, output, (rows, outputs))
}

/// The gradient of `linear` by x, `g w`, added to `so_far`: g [rows, outputs] -> [rows, inputs].
///
/// In `output_format`, which is that of `so_far`.
pub fn linear_backward_input(
    gradient: &Tensor,
    weight: &Tensor,
    so_far: Option<Tensor>,
    output_format: DType,
) -> Result<Tensor> {
    if cuda::takes(gradient) {
        return cuda::linear::linear_backward_input(gradient, weight, so_far, output_format);
    }
    let (rows, outputs) = gradient.dims2()?;
    let (_, inputs) = weight.dims2()?;
    let (gradient, weight) = (values(gradient)?, values(weight)?);
    let a = Matrix::new(&gradient, rows, outputs);
    let b = Matrix::new(&weight, outputs, inputs);
    match so_far {
        Some(sum) if sum.dtype() == DType::F32 => {
            product(a, b, &Target { tensor: sum.clone(), write: Write::Add })?;
            Ok(sum)
        }
        so_far => {
            let (mut output, write) = match so_far {
                None => (vec![0.0; rows * inputs], Write::Replace),
                Some(sum) => (values(&sum)?.to_vec(), Write::Add),
            };
            multiply(MatrixMut::new(&mut output, rows, inputs), a, b, 1.0, write, Threads::All);
            tensor_in(output_format, output, (rows, inputs))
        }
    }
}

/// The gradient of `linear` by w, `g^T x`: [outputs, inputs].
pub fn linear_backward_weight(gradient: &Tensor, x: &Tensor, target: &Target) -> Result<()> {
    if cuda::takes(gradient) {
        return cuda::linear::linear_backward_weight(gradient, x, target);
    }
    let (rows, outputs) = gradient.dims2()?;
    let (_, inputs) = x.dims2()?;
    let (gradient, x) = (values(gradient)?, values(x)?);
    let a = Matrix::new(&gradient, rows, outputs).transposed();
    let b = Matrix::new(&x, rows, inputs);
    product(a, b, target)
}

fn product(a: Matrix<'_>, b: Matrix<'_>, target: &Target) -> Result<()> {
    update(&target.tensor, |output| {
        let output = MatrixMut::new(output, a.rows, b.columns);
        multiply(output, a, b, 1.0, target.write, Threads::All);
    })
}

/// The sum over rows: [rows, columns] -> [columns]; the gradient of a bias.
pub fn column_sums(x: &Tensor, target: &Target) -> Result<()> {
    if cuda::takes(x) {
        return cuda::linear::column_sums(x, target);
    }
    let (_, columns) = x.dims2()?;
    let x = values(x)?;
    let partial: Vec<Vec<f32>> = x
        .par_chunks(rows_per_task(columns) * columns)
        .map(|rows| {
            let mut sums = vec![0.0; columns];
            simd(|| add_rows(&mut sums, rows));
            sums
        })
        .collect();
    target.put(&sum_in_order(partial, columns))
}

/// Adds each row of `rows` to `sums`.
#[inline(always)]
pub(super) fn add_rows(sums: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

/// Sums the tasks' partial results in the order of the tasks.
pub(super) fn sum_in_order(partial: Vec<Vec<f32>>, width: usize) -> Vec<f32> {
    let mut partial = partial.into_iter();
    let mut total = partial.next().unwrap_or_else(|| vec![0.0; width]);
    for sums in partial {
        add_rows(&mut total, &sums);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{assert_close, random, target};
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
                Write::Add,
                Threads::One,
            );
            let expected: Vec<f32> = plain(a, b).iter().map(|p| 1.0 + 0.5 * p).collect();
            let found: Vec<f32> = output.chunks(60).flat_map(|row| &row[..n]).copied().collect();
            assert_close(&found, &expected, 1e-5);
            assert!(output.chunks(60).all(|row| row[n..].iter().all(|&x| x == 1.0)), "overwritten");
        }
    }

    #[test]
    fn gradients_of_linear_are_the_transposed_products() {
        let (rows, inputs, outputs) = (37, 24, 19);
        let x = tensor(random(rows * inputs, 3), (rows, inputs)).unwrap();
        let w = tensor(random(outputs * inputs, 4), (outputs, inputs)).unwrap();
        let b = tensor(random(outputs, 5), outputs).unwrap();
        let g = tensor(random(rows * outputs, 6), (rows, outputs)).unwrap();

        let y = linear(&x, &w, Some(&b), DType::F32).unwrap();
        let expected = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(&b).unwrap();
        assert_close(&values(&y).unwrap(), &values(&expected).unwrap(), 1e-5);

        let twice = linear_backward_input(&g, &w, None, DType::F32).unwrap();
        let twice = linear_backward_input(&g, &w, Some(twice), DType::F32).unwrap();
        let expected = (g.matmul(&w).unwrap() * 2.0).unwrap();
        assert_close(&values(&twice).unwrap(), &values(&expected).unwrap(), 1e-5);

        let by_weight = target((outputs, inputs));
        linear_backward_weight(&g, &x, &by_weight).unwrap();
        let expected = g.t().unwrap().matmul(&x).unwrap();
        assert_close(&values(&by_weight.tensor).unwrap(), &values(&expected).unwrap(), 1e-5);

        let by_bias = target(outputs);
        column_sums(&g, &by_bias).unwrap();
        let expected = g.sum(0).unwrap();
        assert_close(&values(&by_bias.tensor).unwrap(), &values(&expected).unwrap(), 1e-5);

        let again = Target { write: Write::Add, ..by_bias };
        column_sums(&g, &again).unwrap();
        let expected = (expected * 2.0).unwrap();
        assert_close(&values(&again.tensor).unwrap(), &values(&expected).unwrap(), 1e-5);
    }

    #[test]
    fn half_operands_are_widened_and_results_rounded_once() {
        for (format, epsilon) in [(DType::F16, 2f32.powi(-11)), (DType::BF16, 2f32.powi(-8))] {
            let x = tensor(random(9 * 40, 1), (9, 40)).unwrap().to_dtype(format).unwrap();
            let w = tensor(random(7 * 40, 2), (7, 40)).unwrap().to_dtype(format).unwrap();
            let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
            let expected = linear(&wide(&x), &wide(&w), None, DType::F32).unwrap();
            let found = linear(&x, &w, None, DType::F32).unwrap();
            assert_eq!(*values(&found).unwrap(), *values(&expected).unwrap());
            let rounded = linear(&x, &w, None, format).unwrap();
            assert_eq!(rounded.dtype(), format);
            assert_close(&values(&rounded).unwrap(), &values(&expected).unwrap(), epsilon);
        }
    }
}
