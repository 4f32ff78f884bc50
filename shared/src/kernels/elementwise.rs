//! Operations on single elements, and sums over all of them.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::random::DropoutMask;
use super::{
    TASK_ELEMENTS, Target, WriteMode, cuda, scalar, simd, store, tensor, tensor_in, update, values,
};
use crate::Result;

/// Adds `addend` to `sum` in place and returns `sum`; both have the same shape.
pub fn add_assign(sum: Tensor, addend: &Tensor) -> Result<Tensor> {
    if cuda::takes(&sum) {
        return cuda::elementwise::add_assign(sum, addend);
    }
    let addend = values(addend)?;
    if sum.dtype() != DType::F32 {
        let total: Vec<f32> = values(&sum)?.iter().zip(&*addend).map(|(s, a)| s + a).collect();
        store(&sum, &total)?;
        return Ok(sum);
    }
    update(&sum, |sum| {
        sum.par_chunks_mut(TASK_ELEMENTS).zip(addend.par_chunks(TASK_ELEMENTS)).for_each(
            |(sum, addend)| {
                simd!(sum.iter_mut().zip(addend).for_each(|(s, a)| *s += a));
            },
        );
    })?;
    Ok(sum)
}

/// Replaces the values of `target` by those of `source`, rounded to its format; both have the same shape.
pub fn copy_into(target: &Tensor, source: &Tensor) -> Result<()> {
    if cuda::takes(target) {
        return cuda::elementwise::copy_into(target, source);
    }
    store(target, &values(source)?)
}

/// Writes to `target` what was computed elsewhere, on the same device and in the same shape.
pub fn write(target: &Target, values: &Tensor) -> Result<()> {
    match target.write {
        WriteMode::Replace => copy_into(&target.tensor, values),
        WriteMode::Add => add_assign(target.tensor.clone(), values).map(drop),
    }
}

/// Returns `x` in another format.
pub fn cast(x: &Tensor, format: DType) -> Result<Tensor> {
    if cuda::takes(x) {
        return cuda::elementwise::cast(x, format);
    }
    Ok(x.to_dtype(format)?)
}

/// Returns `x` with the mask applied, and a copy of that in the format `half`. Applied to a gradient it is its own
/// backward pass.
pub fn dropout(
    x: &Tensor,
    mask: DropoutMask,
    half: Option<DType>,
) -> Result<(Tensor, Option<Tensor>)> {
    if cuda::takes(x) {
        return cuda::elementwise::dropout(x, mask, half);
    }
    let input = values(x)?;
    let mut output = vec![0.0; input.len()];
    output.par_chunks_mut(TASK_ELEMENTS).zip(input.par_chunks(TASK_ELEMENTS)).enumerate().for_each(
        |(task, (output, input))| {
            let start = task * TASK_ELEMENTS;
            simd!({
                for (i, (y, x)) in output.iter_mut().zip(input).enumerate() {
                    *y = x * mask.factor(start + i);
                }
            });
        },
    );
    let output = tensor_in(x.dtype(), output, x.shape())?;
    let half = half.map(|format| output.to_dtype(format)).transpose()?;
    Ok((output, half))
}

/// Returns the logistic function of each element, in f32.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    if cuda::takes(x) {
        return cuda::elementwise::sigmoid(x);
    }
    let output = values(x)?.iter().map(|&x| scalar::sigmoid(x)).collect();
    tensor(output, x.shape())
}

/// Returns the sum of squares of a CPU tensor, in f64 and in a fixed order.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    let partial: Vec<f64> = values(x)?
        .par_chunks(TASK_ELEMENTS)
        .map(|chunk| {
            simd!({
                // Sixteen running sums: one would be a chain of dependent additions.
                let mut sums = [0f64; 16];
                let mut lanes = chunk.chunks_exact(16);
                for lane in &mut lanes {
                    for (sum, &x) in sums.iter_mut().zip(lane) {
                        *sum += f64::from(x) * f64::from(x);
                    }
                }
                let rest: f64 =
                    lanes.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                sums.iter().sum::<f64>() + rest
            })
        })
        .collect();
    Ok(partial.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::super::random::RandomKey;
    use super::*;

    fn ramp(n: usize) -> Tensor {
        tensor((0..n).map(|i| (i % 101) as f32 - 50.0).collect(), n).expect("tensor")
    }

    #[test]
    fn sums_agree_with_plain_loops() {
        let n = 2 * TASK_ELEMENTS + 37;
        let x = ramp(n);
        let plain: f64 = values(&x).unwrap().iter().map(|&x| f64::from(x).powi(2)).sum();
        assert_eq!(sum_of_squares(&x).unwrap(), plain, "sums of integers are exact");

        let doubled = add_assign(ramp(n), &x).unwrap();
        let (doubled, x) = (values(&doubled).unwrap(), values(&x).unwrap());
        assert!(doubled.iter().zip(x.iter()).all(|(d, x)| *d == 2.0 * x));
    }

    #[test]
    fn dropout_uses_one_mask_whatever_the_task() {
        let mask = DropoutMask::new(0.3, RandomKey::new(5, 1));
        let n = TASK_ELEMENTS + 5;
        let ones = tensor(vec![1.0; n], n).unwrap();
        let (dropped, half) = dropout(&ones, mask, Some(DType::BF16)).unwrap();
        let expected: Vec<f32> = (0..n).map(|i| mask.factor(i)).collect();
        assert_eq!(*values(&dropped).unwrap(), *expected);
        let rounded = dropped.to_dtype(DType::BF16).unwrap();
        assert_eq!(*values(&half.unwrap()).unwrap(), *values(&rounded).unwrap());
    }
}
