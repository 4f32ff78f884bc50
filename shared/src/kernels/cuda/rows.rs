//! `kernels::rows` on a GPU.

use candle_core::{DType, Tensor};

use super::elementwise::zero;
use super::launch::{empty, pointer, suffix, vector, zeros};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::{Indices, Target, WriteMode};

/// Neighbouring elements of one thread.
const EACH: usize = 4;

fn launch(function: String, blocks: usize, width: usize) -> Launch {
    let threads = width.div_ceil(EACH).next_multiple_of(32).min(256);
    let (grid, block) = ([blocks as u32, 1, 1], threads as u32);
    Launch { module: "rows", function, grid, block, shared_bytes: 0 }
}

/// Returns the rows of a table [n, width] at `indices`: [indices, width], in the table's format.
pub fn gather(table: &Tensor, indices: &Indices) -> Result<Tensor> {
    let ((_, width), device) = (table.dims2()?, table.device());
    let rows = indices.host().len();
    let output = empty((rows, width), table.dtype(), device)?;
    let (from, to) = (pointer(table)?, pointer(&output)?);
    let args = [
        from,
        pointer(indices.on(device)?)?,
        to,
        Arg::size(width),
        vector(&[from, to], width, EACH),
    ];
    launch(format!("gather_{}", suffix(table.dtype())), rows, width).run(device, &args)?;
    Ok(output)
}

/// Adds row r of `rows` to row `indices[r]` of the target [n, width]: the gradient of [`gather`].
///
/// Rows whose index is `skip` are left out. A row without an index keeps its values, or becomes zero with
/// [`WriteMode::Replace`]. The sum of a row is in the order of `rows`.
pub fn scatter_add(
    rows: &Tensor,
    indices: &Indices,
    skip: Option<u32>,
    target: &Target,
) -> Result<()> {
    if target.write == WriteMode::Replace {
        zero(&target.tensor)?;
    }
    add_rows(rows, indices, skip, &target.tensor)
}

/// Adds as [`scatter_add`] does, for a value that is no parameter: to `so_far`, or to a new tensor [n, width] in the
/// format of `rows`.
pub fn scatter_add_value(
    rows: &Tensor,
    indices: &Indices,
    n: usize,
    so_far: Option<Tensor>,
) -> Result<Tensor> {
    let sum = match so_far {
        Some(sum) => sum,
        None => zeros((n, rows.dim(1)?), rows.dtype(), rows.device())?,
    };
    add_rows(rows, indices, None, &sum)?;
    Ok(sum)
}

fn add_rows(rows: &Tensor, indices: &Indices, skip: Option<u32>, sum: &Tensor) -> Result<()> {
    let ((_, width), device) = (rows.dims2()?, rows.device());
    let segments = indices.segments(device)?;
    let (from, to) = (pointer(rows)?, pointer(sum)?);
    let args = [
        from,
        pointer(&segments.destinations)?,
        pointer(&segments.begins)?,
        pointer(&segments.sources)?,
        Arg::U32(skip.unwrap_or(u32::MAX)),
        to,
        Arg::size(width),
        vector(&[from, to], width, EACH),
    ];
    let formats = (suffix(rows.dtype()), suffix(sum.dtype()));
    let function = format!("scatter_add_{}_{}", formats.0, formats.1);
    let blocks = segments.destinations.elem_count();
    debug_assert!(sum.dtype() == DType::F32 || sum.dtype() == rows.dtype());
    launch(function, blocks, width).run(device, &args)
}
