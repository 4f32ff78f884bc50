//! Layer normalisation (Ba et al., arXiv 1607.06450) of a sum, in one pass over memory:
//! y = gamma * (s - mean) / sqrt(variance + eps) + beta, with s = dropout(x + bias) + residual.

pub(super) mod types;

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::random::DropoutMask;
use super::{cuda, lanes_sum, rows_per_task, simd, sum_in_order, tensor, tensor_in, values};
use crate::Result;
pub use types::{ParameterTargets, Summed};

/// The normalised rows, which [`backward`] needs.
pub enum Normalised {
    /// Rows on the CPU.
    Rows {
        /// (s - mean) / deviation, f32 [rows, width].
        values: Tensor,
        /// 1 / deviation `[rows]`.
        inverse_deviation: Vec<f32>,
    },
    /// Rows on a GPU.
    OnDevice(cuda::add_norm::Normalised),
}

/// The results of [`forward`].
pub struct Output {
    /// y [rows, width], f32.
    pub y: Tensor,
    /// y rounded to half precision, if that was asked for.
    pub half: Option<Tensor>,
    /// The input of [`backward`].
    pub normalised: Normalised,
}

/// The gradients that [`backward`] returns.
pub struct InputGradients {
    /// The gradient by s, f32 [rows, width]: that of the residual, and without a sublayer that of x.
    pub sum: Tensor,
    /// The gradient by x within a sublayer [rows, width], in the format of x.
    pub x: Option<Tensor>,
}

/// Normalises the rows of a sum. x [rows, width] may be in half precision; gamma and beta `[width]` and the residual are
/// f32. `half` asks for a copy of y in that format.
pub fn forward(
    x: &Tensor,
    summed: Summed<'_>,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    half: Option<DType>,
) -> Result<Output> {
    if cuda::takes(x) {
        let (y, half, saved) = cuda::add_norm::forward(x, summed, gamma, beta, eps, half)?;
        return Ok(Output { y, half, normalised: Normalised::OnDevice(saved) });
    }
    let (rows, width) = x.dims2()?;
    let (input, gamma, beta) = (values(x)?, values(gamma)?, values(beta)?);
    let sublayer = match summed {
        Summed::Alone => None,
        Summed::Sublayer { bias, residual, mask } => Some((values(bias)?, values(residual)?, mask)),
    };
    let mut output = vec![0.0; input.len()];
    let mut normalised = vec![0.0; input.len()];
    let mut inverse_deviation = vec![0.0; rows];
    let task_rows = rows_per_task(width);
    let task = task_rows * width;
    output
        .par_chunks_mut(task)
        .zip(normalised.par_chunks_mut(task))
        .zip(inverse_deviation.par_chunks_mut(task_rows).zip(input.par_chunks(task)))
        .enumerate()
        .for_each(|(index, ((output, normalised), (inverse_deviation, input)))| {
            let start = index * task;
            simd!({
                let rows = input.chunks_exact(width).zip(normalised.chunks_exact_mut(width));
                let rows = rows.zip(output.chunks_exact_mut(width)).zip(inverse_deviation);
                for (row, (((x, s), y), inverse)) in rows.enumerate() {
                    let start = start + row * width;
                    match &sublayer {
                        None => s.copy_from_slice(x),
                        Some((bias, residual, mask)) => {
                            add_sublayer(s, x, bias, &residual[start..][..width], *mask, start);
                        }
                    }
                    *inverse = normalise(s, eps as f32);
                    for (((y, s), gamma), beta) in y.iter_mut().zip(s).zip(&*gamma).zip(&*beta) {
                        *y = *s * gamma + beta;
                    }
                }
            });
        });
    let values = tensor(normalised, (rows, width))?;
    let normalised = Normalised::Rows { values, inverse_deviation };
    let y = tensor(output, (rows, width))?;
    let half = half.map(|format| y.to_dtype(format)).transpose()?;
    Ok(Output { y, half, normalised })
}

/// s = dropout(x + bias) + residual for the row that starts at element `start`.
#[inline(always)]
fn add_sublayer(
    s: &mut [f32],
    x: &[f32],
    bias: &[f32],
    residual: &[f32],
    mask: Option<DropoutMask>,
    start: usize,
) {
    let width = s.len();
    let (x, bias, residual) = (&x[..width], &bias[..width], &residual[..width]);
    match mask {
        None => {
            for i in 0..width {
                s[i] = (x[i] + bias[i]) + residual[i];
            }
        }
        Some(mask) => {
            for i in 0..width {
                s[i] = (x[i] + bias[i]) * mask.factor(start + i) + residual[i];
            }
        }
    }
}

/// Centres and scales a row in place; returns 1 / sqrt(variance + eps).
#[inline(always)]
fn normalise(row: &mut [f32], eps: f32) -> f32 {
    let width = row.len() as f32;
    let mean = lanes_sum(row, |x| x) / width;
    for x in row.iter_mut() {
        *x -= mean;
    }
    let variance = lanes_sum(row, |x| x * x) / width;
    let inverse = 1.0 / (variance + eps).sqrt();
    for x in row.iter_mut() {
        *x *= inverse;
    }
    inverse
}

/// Returns the gradients of the inputs and writes those of the parameters to `targets`.
///
/// `gradient` is that of y, f32 [rows, width]; `sublayer` holds the mask given to [`forward`] and the format of x.
pub fn backward(
    gradient: &Tensor,
    normalised: &Normalised,
    gamma: &Tensor,
    sublayer: Option<(Option<DropoutMask>, DType)>,
    targets: &ParameterTargets<'_>,
) -> Result<InputGradients> {
    let (hat, inverse_deviation) = match normalised {
        Normalised::Rows { values, inverse_deviation } => (values, inverse_deviation),
        Normalised::OnDevice(saved) => {
            let (sum, x) = cuda::add_norm::backward(gradient, saved, gamma, sublayer, targets)?;
            return Ok(InputGradients { sum, x });
        }
    };
    let (rows, width) = gradient.dims2()?;
    let (g, gamma, hat) = (values(gradient)?, values(gamma)?, values(hat)?);
    let mut by_sum = vec![0.0; g.len()];
    let mut by_x = vec![0.0; if sublayer.is_some() { g.len() } else { 0 }];
    let task_rows = rows_per_task(width);
    let task = task_rows * width;
    // Without a sublayer there is no `by_x` to share out; its tasks get empty slices.
    let mut by_x_tasks: Vec<&mut [f32]> = by_x.chunks_mut(task).collect();
    by_x_tasks.resize_with(rows.div_ceil(task_rows), Default::default);

    let partial: Vec<[Vec<f32>; 3]> = by_sum
        .par_chunks_mut(task)
        .zip(by_x_tasks)
        .zip(g.par_chunks(task).zip(hat.par_chunks(task)))
        .zip(inverse_deviation.par_chunks(task_rows))
        .enumerate()
        .map(|(index, (((by_sum, by_x), (g, hat)), inverse))| {
            let mut sums = [(); 3].map(|()| vec![0.0; width]);
            let [by_gamma, by_beta, by_bias] = &mut sums;
            let start = index * task;
            simd!({
                for (row, &inverse) in inverse.iter().enumerate() {
                    let at = row * width..(row + 1) * width;
                    let (g, hat) = (&g[at.clone()], &hat[at.clone()]);
                    let by_sum = &mut by_sum[at.clone()];
                    by_normalised(by_sum, g, hat, &gamma, inverse);
                    let sums = by_gamma.iter_mut().zip(&mut *by_beta);
                    for ((by_gamma, by_beta), (g, hat)) in sums.zip(g.iter().zip(hat)) {
                        *by_gamma += g * hat;
                        *by_beta += g;
                    }
                    if let Some((mask, _)) = sublayer {
                        let start = start + row * width;
                        by_sublayer(&mut by_x[at], by_bias, by_sum, mask, start);
                    }
                }
            });
            sums
        })
        .collect();

    let mut columns = [(); 3].map(|()| Vec::with_capacity(partial.len()));
    for sums in partial {
        for (column, sum) in columns.iter_mut().zip(sums) {
            column.push(sum);
        }
    }
    let [by_gamma, by_beta, by_bias] = columns.map(|partial| sum_in_order(partial, width));
    targets.gamma.put(&by_gamma)?;
    targets.beta.put(&by_beta)?;
    if let Some(target) = targets.bias {
        target.put(&by_bias)?;
    }
    let shape = (rows, width);
    let x = sublayer.map(|(_, format)| tensor_in(format, by_x, shape)).transpose()?;
    Ok(InputGradients { sum: tensor(by_sum, shape)?, x })
}

/// The gradient by s of one row: (h - mean(h) - hat mean(h hat)) / deviation, h = g gamma.
#[inline(always)]
fn by_normalised(by_sum: &mut [f32], g: &[f32], hat: &[f32], gamma: &[f32], inverse: f32) {
    let width = by_sum.len();
    let (g, hat, gamma) = (&g[..width], &hat[..width], &gamma[..width]);
    for i in 0..width {
        by_sum[i] = g[i] * gamma[i];
    }
    let mean = lanes_sum(by_sum, |h| h) / width as f32;
    let mut products = [0f32; 16];
    for (h, hat) in by_sum.chunks(16).zip(hat.chunks(16)) {
        for ((sum, h), hat) in products.iter_mut().zip(h).zip(hat) {
            *sum += h * hat;
        }
    }
    let correlation = products.iter().sum::<f32>() / width as f32;
    for i in 0..width {
        by_sum[i] = inverse * (by_sum[i] - mean - hat[i] * correlation);
    }
}

/// The gradient by x of one row, which is also that of the bias.
#[inline(always)]
fn by_sublayer(
    by_x: &mut [f32],
    by_bias: &mut [f32],
    by_sum: &[f32],
    mask: Option<DropoutMask>,
    start: usize,
) {
    let width = by_x.len();
    let (by_bias, by_sum) = (&mut by_bias[..width], &by_sum[..width]);
    by_x.copy_from_slice(by_sum);
    if let Some(mask) = mask {
        for (i, x) in by_x.iter_mut().enumerate() {
            *x *= mask.factor(start + i);
        }
    }
    for i in 0..width {
        by_bias[i] += by_x[i];
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::RandomKey;
    use super::super::tests::{assert_close, assert_gradient, random, target, weighted_sum};
    use super::*;

    const ROWS: usize = 3;
    const WIDTH: usize = 21;

    fn reference(s: &[f32], gamma: &[f32], beta: &[f32], eps: f64) -> Vec<f32> {
        s.chunks(gamma.len())
            .flat_map(|row| {
                let n = row.len() as f64;
                let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
                let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
                let scale = 1.0 / (variance + eps).sqrt();
                row.iter()
                    .zip(gamma.iter().zip(beta))
                    .map(move |(&x, (&g, &b))| {
                        ((f64::from(x) - mean) * scale * f64::from(g) + f64::from(b)) as f32
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn matrix(x: &[f32]) -> Tensor {
        tensor(x.to_vec(), (x.len() / WIDTH, WIDTH)).unwrap()
    }

    fn vector(x: &[f32]) -> Tensor {
        tensor(x.to_vec(), x.len()).unwrap()
    }

    #[test]
    fn a_sublayer_agrees_with_f64_and_with_its_slopes() {
        let inputs = [random(ROWS * WIDTH, 1), random(ROWS * WIDTH, 2)];
        let parameters = [random(WIDTH, 3), random(WIDTH, 4), random(WIDTH, 5)];
        let ([x, residual], [bias, gamma, beta]) = (&inputs, &parameters);
        let weights = random(ROWS * WIDTH, 6);
        for mask in [None, Some(DropoutMask::new(0.3, RandomKey::new(1, 1)))] {
            let run = |x: &[f32], residual: &[f32], bias: &[f32], gamma: &[f32], beta: &[f32]| {
                let summed =
                    Summed::Sublayer { bias: &vector(bias), residual: &matrix(residual), mask };
                forward(&matrix(x), summed, &vector(gamma), &vector(beta), 1e-7, None).unwrap()
            };
            let Output { y, normalised, .. } = run(x, residual, bias, gamma, beta);
            let factor = |i| mask.map_or(1.0, |mask: DropoutMask| mask.factor(i));
            let s: Vec<f32> = (0..ROWS * WIDTH)
                .map(|i| (x[i] + bias[i % WIDTH]) * factor(i) + residual[i])
                .collect();
            assert_close(&values(&y).unwrap(), &reference(&s, gamma, beta, 1e-7), 2e-6);

            let [by_gamma, by_beta, by_bias] = [(); 3].map(|()| target(WIDTH));
            let targets =
                ParameterTargets { gamma: &by_gamma, beta: &by_beta, bias: Some(&by_bias) };
            let sublayer = Some((mask, DType::F32));
            let found =
                backward(&matrix(&weights), &normalised, &vector(gamma), sublayer, &targets)
                    .unwrap();
            let loss = |output: Output| weighted_sum(&values(&output.y).unwrap(), &weights);
            let by_x = found.x.unwrap();
            let at = |t: &Tensor| values(t).unwrap().to_vec();
            assert_gradient(x, &at(&by_x), |x| loss(run(x, residual, bias, gamma, beta)));
            assert_gradient(residual, &at(&found.sum), |r| loss(run(x, r, bias, gamma, beta)));
            assert_gradient(bias, &at(&by_bias.tensor), |b| loss(run(x, residual, b, gamma, beta)));
            assert_gradient(gamma, &at(&by_gamma.tensor), |g| {
                loss(run(x, residual, bias, g, beta))
            });
            assert_gradient(beta, &at(&by_beta.tensor), |b| loss(run(x, residual, bias, gamma, b)));
        }
    }

    #[test]
    fn alone_it_is_layer_norm() {
        let (x, gamma, beta) = (random(ROWS * WIDTH, 1), random(WIDTH, 2), random(WIDTH, 3));
        let weights = random(ROWS * WIDTH, 4);
        let run = |x: &[f32]| {
            forward(&matrix(x), Summed::Alone, &vector(&gamma), &vector(&beta), 1e-5, None).unwrap()
        };
        let Output { y, normalised, .. } = run(&x);
        assert_close(&values(&y).unwrap(), &reference(&x, &gamma, &beta, 1e-5), 2e-6);
        let [by_gamma, by_beta] = [(); 2].map(|()| target(WIDTH));
        let targets = ParameterTargets { gamma: &by_gamma, beta: &by_beta, bias: None };
        let found =
            backward(&matrix(&weights), &normalised, &vector(&gamma), None, &targets).unwrap();
        assert!(found.x.is_none());
        assert_gradient(&x, &values(&found.sum).unwrap(), |x| {
            weighted_sum(&values(&run(x).y).unwrap(), &weights)
        });
    }
}
