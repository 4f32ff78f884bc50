//! Launches that are divided by columns, and sums over rows (`columns.cuh`).

use candle_core::{DType, Device, Tensor};

use super::launch::{empty, pointer, vector};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::{Target, WriteMode};

/// Threads of a block; neighbouring columns of one thread, and columns of a block.
const BLOCK: u32 = 256;
pub(super) const EACH: usize = 4;
const COLUMNS: usize = 32 * EACH;

/// The most chunks of rows, whose sums are added up in a second pass.
const CHUNKS: usize = 64;

/// The rows of a block in work on single elements, and the fewest in sums.
const ROWS_TO_MAP: usize = 32;

/// The chunks of rows into which a matrix is divided.
pub(super) struct Chunks {
    pub rows: usize,
    pub count: usize,
}

impl Chunks {
    /// Divides rows for work on single elements.
    pub fn to_map(rows: usize) -> Self {
        Self { rows: ROWS_TO_MAP, count: rows.div_ceil(ROWS_TO_MAP) }
    }

    /// Divides rows for sums over them.
    pub fn to_sum(rows: usize) -> Self {
        let of = rows.div_ceil(CHUNKS).max(ROWS_TO_MAP).next_multiple_of(8);
        Self { rows: of, count: rows.div_ceil(of) }
    }

    /// Returns a launch over all columns of a matrix of this width and these chunks.
    pub fn launch(&self, module: &'static str, function: String, width: usize) -> Launch {
        let grid = [width.div_ceil(COLUMNS) as u32, self.count as u32, 1];
        Launch { module, function, grid, block: BLOCK, shared_bytes: 0 }
    }

    /// Allocates the sums of each chunk: f32 [chunks, vectors * width].
    pub fn partial(&self, vectors: usize, width: usize, device: &Device) -> Result<Tensor> {
        empty((self.count, vectors * width), DType::F32, device)
    }
}

/// Adds up the chunks of `partial` [chunks, targets * width] into the targets, each `[width]`.
pub(super) fn sum_partials(partial: &Tensor, targets: &[&Target]) -> Result<()> {
    let (chunks, all) = partial.dims2()?;
    let width = all / targets.len();
    let from = pointer(partial)?;
    let mut args = vec![from, Arg::size(chunks), Arg::size(width), Arg::size(targets.len())];
    for place in 0..3 {
        args.push(targets.get(place).map_or(Ok(Arg::NULL), |target| pointer(&target.tensor))?);
    }
    for place in 0..3 {
        let adds = targets.get(place).is_some_and(|target| target.write == WriteMode::Add);
        args.push(Arg::flag(adds));
    }
    args.push(vector(&[from], all, EACH));
    let one = Chunks { rows: chunks, count: 1 };
    one.launch("linear", "sum_partials".into(), all).run(partial.device(), &args)
}
