//! `kernels::attention` on a GPU: scores stay on the chip, one tile at a time.

use candle_core::{DType, Device, Tensor};

use super::launch::{empty, optional_pointer, pointer, strided_pointer, suffix, vector, zeros};
use super::types::{Arg, Launch};
use crate::Result;
use crate::kernels::attention::types::{Attention, Operands, Queries, Stacked};

/// Threads of a block.
const BLOCK: u32 = 256;

/// The intermediate results that [`backward`] needs: the context [queries, width], and the logarithm of the
/// sum of the exponentials of each row of scores, f32 [heads, queries].
pub struct Saved {
    context: Tensor,
    log_sum_exp: Tensor,
}

/// The number of queries, and of keys, that a block has on the chip at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tile {
    T32 = 32,
    /// The tile for cards, or heads, for which the larger one takes too much memory.
    T16 = 16,
}

/// The shapes of one attention, which all kernels get.
struct Shapes<'a> {
    attention: &'a Attention,
    format: DType,
    width: usize,
    query_rows: usize,
    tile: usize,
}

impl Shapes<'_> {
    fn texts(&self) -> usize {
        self.attention.cumulative_seq_lengths.len() - 1
    }

    /// Returns the numbers of keys and queries of each text.
    fn lengths(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let keys = self.attention.cumulative_seq_lengths.lengths();
        keys.map(|keys| (keys, if self.attention.queries == Queries::All { keys } else { 1 }))
    }

    fn longest(&self) -> (usize, usize) {
        self.lengths().fold((1, 1), |(k, q), (keys, queries)| (k.max(keys), q.max(queries)))
    }

    /// Returns the columns of a head.
    fn size(&self) -> usize {
        self.width / self.attention.heads
    }

    /// Returns the columns of a head's tile.
    fn padded(&self) -> usize {
        self.size().next_multiple_of(16)
    }

    /// Allocates f32 tiles: `of_text` gives their number in a text of so many keys and queries.
    fn tiles(&self, device: &Device, of_text: impl Fn(usize, usize) -> usize) -> Result<Tensor> {
        let tiles: usize = self.lengths().map(|(keys, queries)| of_text(keys, queries)).sum();
        let floats = tiles * self.attention.heads * self.tile * self.padded();
        empty(floats, DType::F32, device)
    }

    /// Returns `SIZES` of `attention.cu` for kernels that load tiles from `arrays`.
    fn args(&self, device: &Device, arrays: &[Arg], strides: &[Arg]) -> Result<Vec<Arg>> {
        let each = 16 / self.format.size_in_bytes();
        let even = |stride: &Arg| matches!(stride, Arg::U32(n) if n.is_multiple_of(each as u32));
        let width = if strides.iter().all(even) { self.size() } else { 1 };
        let mut args = vec![
            pointer(self.attention.cumulative_seq_lengths.on(device)?)?,
            Arg::size(self.texts()),
            Arg::size(self.attention.heads),
            Arg::size(self.size()),
            Arg::size(self.longest().0),
            Arg::size(self.query_rows),
            Arg::flag(self.attention.queries == Queries::First),
            Arg::F32(self.attention.scale),
        ];
        args.extend(Arg::mask(self.attention.mask));
        args.push(vector(arrays, width, each));
        Ok(args)
    }

    fn launch(&self, pass: &str, grid: [usize; 3], shared_bytes: u32) -> Launch {
        let function = format!("attention_{pass}_{}_{}", suffix(self.format), self.tile);
        let grid = grid.map(|extent| extent as u32);
        Launch { module: "attention", function, grid, block: BLOCK, shared_bytes }
    }

    fn shared_bytes(&self, pass: Pass) -> u32 {
        shared_bytes(pass, self.tile, self.padded(), self.format)
    }
}

#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Backward,
}

/// Returns the shared memory that a kernel takes from `Shared` of `tiles.cuh`.
fn shared_bytes(pass: Pass, tile: usize, padded: usize, format: DType) -> u32 {
    let bytes = |rows: usize, columns: usize, format: DType| {
        let size = format.size_in_bytes();
        (rows * (columns * size + 16)).next_multiple_of(128)
    };
    let rows = bytes(tile, padded, format);
    let table = bytes(2 * tile, padded, format);
    let content = bytes(tile, tile, DType::F32);
    let band = bytes(tile, 2 * tile, DType::F32);
    let weights = bytes(tile, tile, format);
    let scores = 2 * rows + 2 * table + content + 2 * band;
    let sums = bytes(tile, padded, DType::F32);
    let all = match pass {
        Pass::Forward => scores + rows + weights + sums,
        Pass::Backward => scores + 2 * rows + content + 2 * weights + sums,
    };
    all as u32
}

/// Returns whether the shared memory has room for a tile in both passes.
fn fits(tile: Tile, padded: usize, format: DType, available: u32) -> bool {
    let bytes = |pass| shared_bytes(pass, tile as usize, padded, format);
    bytes(Pass::Forward).max(bytes(Pass::Backward)) <= available
}

/// Returns the larger tile, if the shared memory has room for it.
fn tile_for(padded: usize, format: DType, available: u32) -> Tile {
    if fits(Tile::T32, padded, format, available) { Tile::T32 } else { Tile::T16 }
}

/// Returns whether this device has room for a tile of heads of `size` columns.
#[cfg(test)]
pub(super) fn has_room(tile: Tile, size: usize, format: DType, device: &Device) -> bool {
    fits(tile, size.next_multiple_of(16), format, available_shared_bytes(device))
}

fn available_shared_bytes(device: &Device) -> u32 {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => super::driver::shared_bytes(device),
        #[cfg(feature = "cuda-emulator")]
        Device::Cpu => super::emulator::SHARED_BYTES,
        _ => unreachable!("`takes` has refused this device"),
    }
}

fn tile(operands: &Operands<Tensor>, heads: usize) -> Result<Tile> {
    let padded = (operands.query.dim(1)? / heads).next_multiple_of(16);
    let available = available_shared_bytes(operands.query.device());
    Ok(tile_for(padded, operands.query.dtype(), available))
}

/// Returns the context [queries, width], in the operands' format, and what [`backward`] needs.
///
/// Operands may be blocks of columns of wider matrices.
pub fn forward(attention: &Attention, operands: &Operands<Tensor>) -> Result<(Tensor, Saved)> {
    forward_tiled(attention, operands, tile(operands, attention.heads)?)
}

/// Returns the gradients of all operands in their formats, given that of the context.
pub fn backward(
    attention: &Attention,
    gradient: &Tensor,
    operands: &Operands<Tensor>,
    saved: &Saved,
) -> Result<Operands<Tensor>> {
    let outputs =
        operands.map(|operand| empty(operand.shape(), operand.dtype(), operand.device()))?;
    backward_into(attention, gradient, operands, saved, &outputs)?;
    Ok(outputs)
}

/// Writes the gradients of [`backward`] into tensors of the operands' shapes, which may be blocks of columns.
fn backward_into(
    attention: &Attention,
    gradient: &Tensor,
    operands: &Operands<Tensor>,
    saved: &Saved,
    outputs: &Operands<Tensor>,
) -> Result<()> {
    let tile = tile(operands, attention.heads)?;
    backward_tiled(attention, gradient, operands, saved, outputs, tile)
}

/// [`backward`], where the operands and their gradients are blocks of columns. `positions` has the gradients of the
/// layers so far.
pub fn backward_stacked(
    attention: &Attention,
    gradient: &Tensor,
    stacked: &Stacked,
    saved: &Saved,
    positions: Option<Tensor>,
) -> Result<Stacked> {
    let all = &stacked.positions;
    let rows = stacked.rows.iter().map(|rows| empty(rows.shape(), rows.dtype(), rows.device()));
    let outputs = Stacked {
        rows: rows.collect::<Result<_>>()?,
        // A layer that takes no part in the loss keeps these.
        positions: positions.map_or_else(|| zeros(all.shape(), all.dtype(), all.device()), Ok)?,
        layer: stacked.layer,
    };
    let operands = stacked.operands()?;
    backward_into(attention, gradient, &operands, saved, &outputs.operands()?)?;
    Ok(outputs)
}

/// Returns the addresses of all operands, and the distances between their rows.
fn pointers(operands: &Operands<Tensor>) -> Result<([Arg; 5], [Arg; 5])> {
    let mut found = ([Arg::NULL; 5], [Arg::U32(0); 5]);
    let all = [
        Some(&operands.query),
        Some(&operands.key),
        Some(&operands.value),
        operands.position_key.as_ref(),
        operands.position_query.as_ref(),
    ];
    for (place, operand) in all.into_iter().enumerate() {
        if let Some(operand) = operand {
            (found.0[place], found.1[place]) = strided_pointer(operand)?;
        }
    }
    Ok(found)
}

pub(super) fn forward_tiled(
    attention: &Attention,
    operands: &Operands<Tensor>,
    tile: Tile,
) -> Result<(Tensor, Saved)> {
    let (query_rows, width) = operands.query.dims2()?;
    let (format, device) = (operands.query.dtype(), operands.query.device());
    let tile = tile as usize;
    let shapes = Shapes { attention, format, width, query_rows, tile };
    let context = empty((query_rows, width), format, device)?;
    let log_sum_exp = empty((attention.heads, query_rows), DType::F32, device)?;
    let (from, strides) = pointers(operands)?;
    let args = [
        &from[..],
        &strides,
        &[pointer(&context)?, pointer(&log_sum_exp)?],
        &shapes.args(device, &from, &strides)?,
    ]
    .concat();
    let grid = [shapes.longest().1.div_ceil(tile), attention.heads, shapes.texts()];
    shapes.launch("forward", grid, shapes.shared_bytes(Pass::Forward)).run(device, &args)?;
    Ok((context.clone(), Saved { context, log_sum_exp }))
}

pub(super) fn backward_tiled(
    attention: &Attention,
    gradient: &Tensor,
    operands: &Operands<Tensor>,
    saved: &Saved,
    outputs: &Operands<Tensor>,
    tile: Tile,
) -> Result<()> {
    let (query_rows, width) = operands.query.dims2()?;
    let (format, device) = (operands.query.dtype(), operands.query.device());
    let tile = tile as usize;
    let shapes = Shapes { attention, format, width, query_rows, tile };

    let of_queries = |_, queries: usize| queries.div_ceil(tile);
    let of_keys = |keys: usize, _| keys.div_ceil(tile);
    let of_both = |keys, queries| of_queries(keys, queries) + of_keys(keys, queries);
    let [key_sums, value_sums] = [shapes.tiles(device, of_keys)?, shapes.tiles(device, of_keys)?];
    let position_sums =
        |table: &Option<Tensor>| table.as_ref().map(|_| shapes.tiles(device, of_both)).transpose();
    let position_key_sums = position_sums(&operands.position_key)?;
    let position_query_sums = position_sums(&operands.position_query)?;
    let of_tables = [
        optional_pointer(position_key_sums.as_ref())?,
        optional_pointer(position_query_sums.as_ref())?,
    ];

    let (from, strides) = pointers(operands)?;
    let (to, to_strides) = pointers(outputs)?;
    let by_context = pointer(gradient)?;
    let args = [
        &from[..],
        &strides,
        &[pointer(&saved.context)?, pointer(&saved.log_sum_exp)?, by_context],
        &to[..3],
        &to_strides[..3],
        &[pointer(&key_sums)?, pointer(&value_sums)?],
        &of_tables,
        &shapes.args(device, &[&from[..], &[by_context]].concat(), &strides)?,
    ]
    .concat();
    let grid = [attention.heads, shapes.texts(), 1];
    shapes.launch("backward", grid, shapes.shared_bytes(Pass::Backward)).run(device, &args)?;

    if operands.position_key.is_none() && operands.position_query.is_none() {
        return Ok(());
    }
    // Adds up the texts' shares of the tables' gradients.
    let longest = shapes.longest().0;
    let args = [
        &of_tables[..],
        &to[3..],
        &to_strides[3..],
        &[
            pointer(attention.cumulative_seq_lengths.on(device)?)?,
            Arg::size(shapes.texts()),
            Arg::size(attention.heads),
        ],
        &[Arg::size(shapes.size()), Arg::size(longest)],
        &[Arg::flag(attention.queries == Queries::First)],
    ]
    .concat();
    let grid = [2 * longest - 1, 2, width.div_ceil(BLOCK as usize)];
    shapes.launch("positions", grid, 0).run(device, &args)
}
