//! Picking rows of a matrix, and sending gradients back to them: embeddings, `[CLS]` rows,
//! relative-position tables.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use super::{Indices, TASK_ELEMENTS, Target, WriteMode, cuda, tensor, tensor_in, update, values};
use crate::Result;

/// table [n, width], indices -> [indices, width], in the format of the table.
pub fn gather(table: &Tensor, indices: &Indices) -> Result<Tensor> {
    if cuda::takes(table) {
        return cuda::rows::gather(table, indices);
    }
    let (format, (_, width)) = (table.dtype(), table.dims2()?);
    let table = values(table)?;
    let mut output = Vec::with_capacity(indices.len() * width);
    for &index in &**indices {
        output.extend_from_slice(&table[index as usize * width..][..width]);
    }
    tensor_in(format, output, (indices.len(), width))
}

/// Adds row r of `rows` to row `indices[r]` of a table: the gradient of [`gather`].
///
/// Leaves out rows whose index is `skip`. One after another, so that the sum has one order.
pub fn scatter_add(
    rows: &Tensor,
    indices: &Indices,
    skip: Option<u32>,
    target: &Target,
) -> Result<()> {
    if cuda::takes(rows) {
        return cuda::rows::scatter_add(rows, indices, skip, target);
    }
    let (_, width) = rows.dims2()?;
    let rows = values(rows)?;
    update(&target.tensor, |table| {
        if target.write == WriteMode::Replace {
            // A whole vocabulary is more than one thread should write alone.
            table.par_chunks_mut(TASK_ELEMENTS).for_each(|chunk| chunk.fill(0.0));
        }
        for (&index, row) in indices.iter().zip(rows.chunks_exact(width)) {
            if Some(index) == skip {
                continue;
            }
            let sum = &mut table[index as usize * width..][..width];
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
    })
}

/// Does what [`scatter_add`] does, into a new tensor of `n` rows or on top of `so_far`, in the format of `rows`.
pub fn scattered(
    rows: &Tensor,
    indices: &Indices,
    n: usize,
    so_far: Option<Tensor>,
) -> Result<Tensor> {
    if cuda::takes(rows) {
        return cuda::rows::scatter_add_value(rows, indices, n, so_far);
    }
    let (format, (_, width)) = (rows.dtype(), rows.dims2()?);
    let (table, write) = match so_far {
        Some(table) => (table.to_dtype(DType::F32)?, WriteMode::Add),
        None => (tensor(vec![0.0; n * width], (n, width))?, WriteMode::Replace),
    };
    let target = Target { tensor: table, write };
    scatter_add(rows, indices, None, &target)?;
    Ok(target.tensor.to_dtype(format)?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;

    #[test]
    fn scatter_add_is_the_transpose_of_gather() {
        let table = tensor(vec![1., 2., 3., 4., 5., 6.], (3, 2)).unwrap();
        let picked = gather(&table, &vec![2, 0, 2].into()).unwrap();
        assert_eq!(*values(&picked).unwrap(), [5., 6., 1., 2., 5., 6.]);

        let sums = target((3, 2));
        scatter_add(&picked, &vec![2, 0, 2].into(), None, &sums).unwrap();
        assert_eq!(*values(&sums.tensor).unwrap(), [1., 2., 0., 0., 10., 12.]);
        let sums = Target { write: WriteMode::Add, ..sums };
        scatter_add(&picked, &vec![1, 0, 1].into(), Some(0), &sums).unwrap();
        assert_eq!(*values(&sums.tensor).unwrap(), [1., 2., 10., 12., 10., 12.]);

        let sums = scattered(&picked, &vec![2, 0, 2].into(), 3, None).unwrap();
        let sums = scattered(&picked, &vec![1, 0, 1].into(), 3, Some(sums)).unwrap();
        assert_eq!(*values(&sums).unwrap(), [2., 4., 10., 12., 10., 12.]);
    }
}
