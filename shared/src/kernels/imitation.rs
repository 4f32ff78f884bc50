//! Losses that are small where a model computes what another one does, and their gradients.
//!
//! Both are sums over tokens, so that the parts of a batch add up to the batch. They take tensors of any device and
//! compute on the host: the texts of a step are few beside the work of the two models.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::matmul::{Matrix, MatrixMut, Threads, multiply};
use super::{CumulativeSeqLengths, WriteMode, tensor_in, values};
use crate::Result;

/// A loss, and its gradient by the imitating model's tensor.
pub struct Imitated {
    /// The loss, times the factor that was asked for.
    pub loss: f64,
    /// Its gradient, in the shape, the format and on the device of the tensor.
    pub gradient: Tensor,
}

/// Compares hidden states [tokens, width] token by token: `factor` times the sum over tokens of |x - y|^2 / |y|^2.
/// Relative to the length of `goal`, the errors of all layers count alike.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor), if the shapes differ or a tensor is not contiguous.
pub fn states(found: &Tensor, goal: &Tensor, factor: f64) -> Result<Imitated> {
    let (_, width) = found.dims2()?;
    let (x, y) = (on_host(found)?, on_host(goal)?);
    let (x, y) = (values(&x)?, values(&y)?);
    let rows = x.par_chunks(width).zip(y.par_chunks(width)).map(|(x, y)| {
        let length = y.iter().map(|y| f64::from(y * y)).sum::<f64>().max(f64::MIN_POSITIVE);
        let error: f64 = x.iter().zip(y).map(|(x, y)| f64::from((x - y) * (x - y))).sum();
        let slope = (2.0 * factor / length) as f32;
        let gradient: Vec<f32> = x.iter().zip(y).map(|(x, y)| slope * (x - y)).collect();
        (factor * error / length, gradient)
    });
    imitated(rows.collect(), found)
}

/// Compares self-attention relations (Wang et al., arXiv 2012.15828, equation 5): in each text and head the rows of
/// softmax(a a^T / sqrt(size)), where a are the rows of the head. The loss is `factor` times the sum over tokens of
/// the mean over `heads` of KL(relations of `goal` || relations of `found`).
///
/// Both are [tokens, width], with the texts at `bounds`; their widths may differ.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor), if a tensor is no contiguous matrix.
pub fn relations(
    found: &Tensor,
    goal: &Tensor,
    bounds: &CumulativeSeqLengths,
    heads: usize,
    factor: f64,
) -> Result<Imitated> {
    let ((_, width), (_, goal_width)) = (found.dims2()?, goal.dims2()?);
    let (x, y) = (on_host(found)?, on_host(goal)?);
    let (x, y) = (values(&x)?, values(&y)?);
    let (x, y): (&[f32], &[f32]) = (&x, &y);
    let texts: Vec<Range<usize>> = bounds.windows(2).map(|text| text[0]..text[1]).collect();
    let factor = factor / heads as f64;
    let of_texts = texts.into_par_iter().map(|text| {
        let tokens = text.len();
        let rows = |values, width| Rows { values, tokens, width, heads };
        let found = rows(&x[text.start * width..text.end * width], width);
        let goal = rows(&y[text.start * goal_width..text.end * goal_width], goal_width);
        found.imitate(&goal, factor)
    });
    imitated(of_texts.collect(), found)
}

/// The rows of one text [tokens, width], which is divided among the heads.
struct Rows<'a> {
    values: &'a [f32],
    tokens: usize,
    width: usize,
    heads: usize,
}

impl Rows<'_> {
    fn imitate(&self, goal: &Rows<'_>, factor: f64) -> (f64, Vec<f32>) {
        let (tokens, mut loss) = (self.tokens, 0.0);
        let mut gradient = vec![0.0; self.values.len()];
        for head in 0..self.heads {
            let (mut found, goal) = (self.log_relations(head), goal.log_relations(head));
            for (found, goal) in found.iter_mut().zip(goal) {
                let (p, q) = (found.exp(), goal.exp());
                loss += f64::from(q) * f64::from(goal - *found);
                *found = p - q;
            }
            let slopes = Matrix::new(&found, tokens, tokens);
            let scale = factor as f32 / (self.size() as f32).sqrt();
            let first = head * self.size();
            for (slopes, write) in
                [(slopes, WriteMode::Replace), (slopes.transposed(), WriteMode::Add)]
            {
                let gradient = &mut gradient[first..];
                let output = MatrixMut::strided(gradient, tokens, self.size(), self.width);
                multiply(output, slopes, self.head(head), scale, write, Threads::One);
            }
        }
        (loss * factor, gradient)
    }

    /// The logarithms of one head's relations [tokens, tokens].
    fn log_relations(&self, head: usize) -> Vec<f32> {
        let (tokens, rows) = (self.tokens, self.head(head));
        let mut scores = vec![0.0; tokens * tokens];
        let output = MatrixMut::new(&mut scores, tokens, tokens);
        let scale = 1.0 / (self.size() as f32).sqrt();
        multiply(output, rows, rows.transposed(), scale, WriteMode::Replace, Threads::One);
        for row in scores.chunks_exact_mut(tokens) {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = row.iter().map(|score| (score - highest).exp()).sum();
            row.iter_mut().for_each(|score| *score -= highest + sum.ln());
        }
        scores
    }

    fn head(&self, head: usize) -> Matrix<'_> {
        let rows = &self.values[head * self.size()..];
        Matrix::strided(rows, self.tokens, self.size(), self.width)
    }

    fn size(&self) -> usize {
        self.width / self.heads
    }
}

/// The sum of the parts' losses, and their gradients end to end.
fn imitated(parts: Vec<(f64, Vec<f32>)>, found: &Tensor) -> Result<Imitated> {
    let loss = parts.iter().map(|(loss, _)| loss).sum();
    let gradient: Vec<f32> = parts.into_iter().flat_map(|(_, gradient)| gradient).collect();
    let gradient = tensor_in(found.dtype(), gradient, found.shape())?;
    Ok(Imitated { loss, gradient: gradient.to_device(found.device())? })
}

fn on_host(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_device(&Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::super::tests::{assert_gradient, random};
    use super::*;

    fn rows(values: &[f32], width: usize) -> Tensor {
        tensor(values.to_vec(), (values.len() / width, width)).unwrap()
    }

    fn gradient(imitated: &Imitated) -> Vec<f32> {
        imitated.gradient.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn states_that_are_equal_cost_nothing_and_opposite_ones_four_times_their_length() {
        let goal = rows(&[3.0, 4.0, 0.0, 2.0], 2);
        assert_eq!(states(&goal, &goal, 1.0).unwrap().loss, 0.0);
        let opposite = states(&goal.neg().unwrap(), &goal, 0.5).unwrap();
        assert!((opposite.loss - 0.5 * (4.0 + 4.0)).abs() < 1e-6, "{}", opposite.loss);
    }

    #[test]
    fn the_gradient_of_states_is_the_slope_of_their_loss() {
        let (at, goal) = (random(12, 1), rows(&random(12, 2), 4));
        let of = |x: &[f32]| states(&rows(x, 4), &goal, 1.0).unwrap();
        assert_gradient(&at, &gradient(&of(&at)), |x| of(x).loss);
    }

    #[test]
    fn the_gradient_of_relations_is_the_slope_of_their_loss() {
        let bounds = CumulativeSeqLengths::new([3, 2]);
        let (at, goal) = (random(5 * 4, 3), rows(&random(5 * 6, 4), 6));
        let of = |x: &[f32]| relations(&rows(x, 4), &goal, &bounds, 2, 1.0).unwrap();
        assert_gradient(&at, &gradient(&of(&at)), |x| of(x).loss);
    }

    /// By hand: one head of size 1 and one text of two tokens, whose rows are [0, 0] and [0, ln 3].
    #[test]
    fn relations_are_compared_by_the_divergence_of_their_rows() {
        let bounds = CumulativeSeqLengths::new([2]);
        let goal = rows(&[0.0, 3f32.ln().sqrt()], 1);
        let found = rows(&[0.0, 0.0], 1);
        let expected = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        let loss = relations(&found, &goal, &bounds, 1, 1.0).unwrap().loss;
        assert!((loss - expected).abs() < 1e-6, "{loss}, expected {expected}");
        assert!(relations(&goal, &goal, &bounds, 1, 1.0).unwrap().loss.abs() < 1e-9);
    }

    #[test]
    fn the_texts_of_a_batch_add_up_to_it() {
        let [found, goal] = [5, 6].map(|seed| random(5 * 4, seed));
        let of = |found: &[f32], goal: &[f32], lengths: &[usize]| {
            let bounds = CumulativeSeqLengths::new(lengths.iter().copied());
            relations(&rows(found, 4), &rows(goal, 4), &bounds, 2, 1.0).unwrap()
        };
        let whole = of(&found, &goal, &[3, 2]);
        let (first, second) =
            (of(&found[..12], &goal[..12], &[3]), of(&found[12..], &goal[12..], &[2]));
        assert!((whole.loss - first.loss - second.loss).abs() < 1e-12);
        assert_eq!(gradient(&whole), [gradient(&first), gradient(&second)].concat());
    }
}
