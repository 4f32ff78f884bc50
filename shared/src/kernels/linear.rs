//! The linear map `x w^T + bias` and its gradients: the bulk of all work.

pub(super) mod types;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::matmul::{Matrix, MatrixMut, Threads, multiply, product};
use super::tasks::add_rows;
use super::{
    Target, WriteMode, cuda, rows_per_task, simd, sum_in_order, tensor_in, update, values,
};
use crate::Result;
pub use types::Bias;

/// Returns `x w^T + bias` [rows, outputs] in `output_format`: x [rows, inputs] and weight [outputs, inputs] of one
/// format.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<Bias<'_>>,
    output_format: DType,
) -> Result<Tensor> {
    if cuda::takes(x) {
        return cuda::linear::forward(x, weight, bias, output_format);
    }
    let (rows, inputs) = x.dims2()?;
    let (outputs, _) = weight.dims2()?;
    let (x, weight) = (values(x)?, values(weight)?);
    let a = Matrix::new(&x, rows, inputs);
    let b = Matrix::new(&weight, outputs, inputs).transposed();
    let output = match bias {
        None => product(a, b),
        Some(bias) => {
            let mut sum = values(bias.exact)?.repeat(rows);
            add_product(&mut sum, a, b);
            sum
        }
    };
    tensor_in(output_format, output, (rows, outputs))
}

/// Returns the gradient of [`forward`] by x, `g w` [rows, inputs], added to `so_far`: gradient g [rows, outputs].
///
/// The result has `output_format`, as `so_far` must.
pub fn backward_input(
    gradient: &Tensor,
    weight: &Tensor,
    so_far: Option<Tensor>,
    output_format: DType,
) -> Result<Tensor> {
    if cuda::takes(gradient) {
        return cuda::linear::backward_input(gradient, weight, so_far, output_format);
    }
    let (rows, outputs) = gradient.dims2()?;
    let (_, inputs) = weight.dims2()?;
    let (gradient, weight) = (values(gradient)?, values(weight)?);
    let a = Matrix::new(&gradient, rows, outputs);
    let b = Matrix::new(&weight, outputs, inputs);
    match so_far {
        Some(sum) if sum.dtype() == DType::F32 => {
            update(&sum, |sum| add_product(sum, a, b))?;
            Ok(sum)
        }
        Some(sum) => {
            let mut sum = values(&sum)?.to_vec();
            add_product(&mut sum, a, b);
            tensor_in(output_format, sum, (rows, inputs))
        }
        None => tensor_in(output_format, product(a, b), (rows, inputs)),
    }
}

/// Writes the gradient of [`forward`] by the weight, `g^T x` [outputs, inputs], to `by_weight`, and that by the bias as
/// [`column_sums`] to `by_bias`: gradient g [rows, outputs], x [rows, inputs].
pub fn backward_parameters(
    gradient: &Tensor,
    x: &Tensor,
    by_weight: &Target,
    by_bias: Option<&Target>,
) -> Result<()> {
    if cuda::takes(gradient) {
        return cuda::linear::backward_parameters(gradient, x, by_weight, by_bias);
    }
    if let Some(by_bias) = by_bias {
        column_sums(gradient, by_bias)?;
    }
    let (rows, outputs) = gradient.dims2()?;
    let (_, inputs) = x.dims2()?;
    let (gradient, x) = (values(gradient)?, values(x)?);
    let a = Matrix::new(&gradient, rows, outputs).transposed();
    let b = Matrix::new(&x, rows, inputs);
    update(&by_weight.tensor, |output| {
        let output = MatrixMut::new(output, outputs, inputs);
        multiply(output, a, b, 1.0, by_weight.write, Threads::All);
    })
}

fn add_product(sum: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    let sum = MatrixMut::new(sum, a.rows, b.columns);
    multiply(sum, a, b, 1.0, WriteMode::Add, Threads::All);
}

/// Writes the sums over the rows of x [rows, columns] to `target` `[columns]`: the gradient of a bias.
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
            simd!(add_rows(&mut sums, rows));
            sums
        })
        .collect();
    target.put(&sum_in_order(partial, columns))
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{assert_close, random, target};
    use super::*;

    #[test]
    fn gradients_of_linear_are_the_transposed_products() {
        let (rows, inputs, outputs) = (37, 24, 19);
        let x = tensor(random(rows * inputs, 3), (rows, inputs)).unwrap();
        let w = tensor(random(outputs * inputs, 4), (outputs, inputs)).unwrap();
        let b = tensor(random(outputs, 5), outputs).unwrap();
        let g = tensor(random(rows * outputs, 6), (rows, outputs)).unwrap();

        let y = forward(&x, &w, Some((&b).into()), DType::F32).unwrap();
        let expected = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(&b).unwrap();
        assert_close(&values(&y).unwrap(), &values(&expected).unwrap(), 1e-5);

        let twice = backward_input(&g, &w, None, DType::F32).unwrap();
        let twice = backward_input(&g, &w, Some(twice), DType::F32).unwrap();
        let expected = (g.matmul(&w).unwrap() * 2.0).unwrap();
        assert_close(&values(&twice).unwrap(), &values(&expected).unwrap(), 1e-5);

        let by_weight = target((outputs, inputs));
        let by_bias = target(outputs);
        backward_parameters(&g, &x, &by_weight, Some(&by_bias)).unwrap();
        let expected = g.t().unwrap().matmul(&x).unwrap();
        assert_close(&values(&by_weight.tensor).unwrap(), &values(&expected).unwrap(), 1e-5);

        let expected = g.sum(0).unwrap();
        assert_close(&values(&by_bias.tensor).unwrap(), &values(&expected).unwrap(), 1e-5);

        let again = Target { write: WriteMode::Add, ..by_bias };
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
            let expected = forward(&wide(&x), &wide(&w), None, DType::F32).unwrap();
            let found = forward(&x, &w, None, DType::F32).unwrap();
            assert_eq!(*values(&found).unwrap(), *values(&expected).unwrap());
            let rounded = forward(&x, &w, None, format).unwrap();
            assert_eq!(rounded.dtype(), format);
            assert_close(&values(&rounded).unwrap(), &values(&expected).unwrap(), epsilon);
        }
    }
}
