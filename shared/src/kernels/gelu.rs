//! Bias and the exact GELU in one pass: y = z Phi(z) with z = x + bias and Phi the normal
//! distribution function (Hendrycks and Gimpel, arXiv 1606.08415).

use candle_core::Tensor;
use rayon::prelude::*;

use super::scalar::{gelu, normal_cdf, normal_density};
use super::{Target, cuda, rows_per_task, simd, sum_in_order, tensor_in, values};
use crate::Result;

/// Returns GELU(x + bias) [rows, width], in the format of x: x [rows, width], bias f32 `[width]`.
pub fn forward(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if cuda::takes(x) {
        return cuda::gelu::forward(x, bias);
    }
    let (_, width) = x.dims2()?;
    let (input, bias) = (values(x)?, values(bias)?);
    let mut output = vec![0.0; input.len()];
    let task = rows_per_task(width) * width;
    output.par_chunks_mut(task).zip(input.par_chunks(task)).for_each(|(output, input)| {
        simd!({
            for (output, input) in output.chunks_exact_mut(width).zip(input.chunks_exact(width)) {
                for ((y, x), b) in output.iter_mut().zip(input).zip(&*bias) {
                    let z = x + b;
                    *y = gelu(z);
                }
            }
        });
    });
    tensor_in(x.dtype(), output, x.shape())
}

/// Returns the gradient by x [rows, width], in the format of x, and writes that of the bias to `by_bias` `[width]`.
///
/// `gradient` is that of the output.
pub fn backward(gradient: &Tensor, x: &Tensor, bias: &Tensor, by_bias: &Target) -> Result<Tensor> {
    if cuda::takes(x) {
        return cuda::gelu::backward(gradient, x, bias, by_bias);
    }
    let (format, (_, width)) = (x.dtype(), x.dims2()?);
    let (gradient, input, bias) = (values(gradient)?, values(x)?, values(bias)?);
    let mut by_x = vec![0.0; input.len()];
    let task = rows_per_task(width) * width;
    let partial: Vec<Vec<f32>> = by_x
        .par_chunks_mut(task)
        .zip(input.par_chunks(task).zip(gradient.par_chunks(task)))
        .map(|(by_x, (input, gradient))| {
            let mut by_bias = vec![0.0; width];
            simd!({
                let rows = by_x.chunks_exact_mut(width).zip(input.chunks_exact(width));
                for ((by_x, input), gradient) in rows.zip(gradient.chunks_exact(width)) {
                    let pairs = by_x.iter_mut().zip(&mut by_bias);
                    let inputs = input.iter().zip(&*bias).zip(gradient);
                    for ((by_x, by_bias), ((x, b), g)) in pairs.zip(inputs) {
                        let z = x + b;
                        *by_x = g * (normal_cdf(z) + z * normal_density(z));
                        *by_bias += *by_x;
                    }
                }
            });
            by_bias
        })
        .collect();
    by_bias.put(&sum_in_order(partial, width))?;
    tensor_in(format, by_x, x.shape())
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{assert_close, assert_gradient, random, target, weighted_sum};
    use super::*;

    #[test]
    fn agrees_with_candle_and_with_its_slopes() {
        let (rows, width) = (5, 21);
        let x: Vec<f32> = random(rows * width, 1).iter().map(|x| 5.0 * x).collect();
        let bias = random(width, 2);
        let weights = random(rows * width, 3);
        let run = |x: &[f32], bias: &[f32]| {
            let x = tensor(x.to_vec(), (rows, width)).unwrap();
            let bias = tensor(bias.to_vec(), width).unwrap();
            (forward(&x, &bias).unwrap(), x, bias)
        };
        let (y, x_tensor, bias_tensor) = run(&x, &bias);
        let expected = x_tensor.broadcast_add(&bias_tensor).unwrap().gelu_erf().unwrap();
        assert_close(&values(&y).unwrap(), &values(&expected).unwrap(), 1e-6);

        let gradient = tensor(weights.clone(), (rows, width)).unwrap();
        let by_bias = target(width);
        let by_x = backward(&gradient, &x_tensor, &bias_tensor, &by_bias).unwrap();
        let loss =
            |x: &[f32], bias: &[f32]| weighted_sum(&values(&run(x, bias).0).unwrap(), &weights);
        assert_gradient(&x, &values(&by_x).unwrap(), |x| loss(x, &bias));
        assert_gradient(&bias, &values(&by_bias.tensor).unwrap(), |bias| loss(&x, bias));
    }
}
