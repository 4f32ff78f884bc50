//! Rows of scores and probabilities.

use crate::kernels::random::DropoutMask;
use crate::kernels::{lanes_sum, scalar};

/// Replaces a row by its softmax.
#[inline(always)]
pub fn softmax(row: &mut [f32]) {
    let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| if x > max { x } else { max });
    for x in row.iter_mut() {
        *x = scalar::exp(*x - max);
    }
    let sum = lanes_sum(row, |x| x);
    let inverse = 1.0 / sum;
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// Replaces the gradient g of a row of probabilities p by that of its scores: p (g - sum of p g) * scale.
#[inline(always)]
pub fn softmax_backward(gradient: &mut [f32], probabilities: &[f32], scale: f32) {
    for (g, p) in gradient.iter_mut().zip(probabilities) {
        *g *= p;
    }
    let sum = lanes_sum(gradient, |x| x);
    for (g, p) in gradient.iter_mut().zip(probabilities) {
        *g = (*g - p * sum) * scale;
    }
}

/// Applies the dropout of elements `start..` to a row.
#[inline(always)]
pub fn drop_out(output: &mut [f32], input: &[f32], mask: DropoutMask, start: usize) {
    for (i, (y, x)) in output.iter_mut().zip(input).enumerate() {
        *y = x * mask.factor(start + i);
    }
}
