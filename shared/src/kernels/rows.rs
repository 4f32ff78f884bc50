//! Picking rows of a matrix, and sending gradients back to them: embeddings, [CLS] rows,
//! relative-position tables.

use candle_core::Tensor;

use super::{tensor, update, values};
use crate::Result;

/// table [n, width], indices -> [indices, width].
pub fn gather(table: &Tensor, indices: &[u32]) -> Result<Tensor> {
    let (_, width) = table.dims2()?;
    let table = values(table)?;
    let mut output = Vec::with_capacity(indices.len() * width);
    for &index in indices {
        output.extend_from_slice(&table[index as usize * width..][..width]);
    }
    tensor(output, (indices.len(), width))
}

/// Adds row r of `rows` to row `indices[r]` of a table of `n` rows: the gradient of [`gather`].
///
/// Starts from `so_far`, else from zeros; leaves out rows whose index is `skip`. One after
/// another, so that the sum has one order.
pub fn scatter_add(
    rows: &Tensor,
    indices: &[u32],
    skip: Option<u32>,
    n: usize,
    so_far: Option<Tensor>,
) -> Result<Tensor> {
    let (_, width) = rows.dims2()?;
    let rows = values(rows)?;
    let table = match so_far {
        Some(table) => table,
        None => tensor(vec![0.0; n * width], (n, width))?,
    };
    update(&table, |table| {
        for (&index, row) in indices.iter().zip(rows.chunks_exact(width)) {
            if Some(index) == skip {
                continue;
            }
            let sum = &mut table[index as usize * width..][..width];
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum += x;
            }
        }
    })?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scatter_add_is_the_transpose_of_gather() {
        let table = tensor(vec![1., 2., 3., 4., 5., 6.], (3, 2)).unwrap();
        let picked = gather(&table, &[2, 0, 2]).unwrap();
        assert_eq!(*values(&picked).unwrap(), [5., 6., 1., 2., 5., 6.]);

        let sums = scatter_add(&picked, &[2, 0, 2], None, 3, None).unwrap();
        assert_eq!(*values(&sums).unwrap(), [1., 2., 0., 0., 10., 12.]);
        let sums = scatter_add(&picked, &[1, 0, 1], Some(0), 3, Some(sums)).unwrap();
        assert_eq!(*values(&sums).unwrap(), [1., 2., 10., 12., 10., 12.]);
    }
}
