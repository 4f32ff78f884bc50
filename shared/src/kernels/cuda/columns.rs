//! Launches that are divided by columns, and sums over rows (`columns.cuh`).

use candle_core::{DType, Device, Tensor};

use super::launch::{counters, empty, pointer};
use super::types::{Arg, Launch};
use crate::Result;

/// Threads of a block; neighbouring columns of one thread, and columns of a block.
const BLOCK: u32 = 256;
pub(super) const EACH: usize = 4;
const COLUMNS: usize = 32 * EACH;

/// The most chunks of rows, whose sums the last of them adds up.
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

    /// Returns the scratch of `finish_sums` for sums over rows of this width: the sums of each chunk, f32 [chunks,
    /// width], and counters.
    pub fn scratch(&self, width: usize, device: &Device) -> Result<(Tensor, [Arg; 2])> {
        let partial = empty((self.count, width), DType::F32, device)?;
        let args = [pointer(&partial)?, counters(width.div_ceil(COLUMNS), device)?];
        Ok((partial, args))
    }
}
