//! `x w^T + b` for inference: weights are packed once, at load, in the order in which the product reads them.
//!
//! Weights are integers with a scale for each output, or f32. Integer weights take integer activations: each row of x is
//! quantized by a scale of its own, and products are summed in i32 without rounding. How fine the activations may be
//! depends on the weights: see [`PackedLinear::activation_qmax`].
//!
//! The product is computed tile by tile (`tile`): a few rows of activations (`activations`) by a panel of some outputs
//! (`panels`). A block of a panel stays in the first-level cache while all rows pass it. Weights of eight bits stay so in
//! memory. For few rows they are widened on the way into a register, for many rows once a block. The `epilogue` turns
//! sums into outputs, with bias and GELU.
//!
//! Integer sums do not depend on their order, so every instruction set gives the same bits. Sums of f32 are added in an order
//! that depends on the instruction set and the number of inputs alone: an output's bits are the same in every batch and with any
//! number of threads.

mod activations;
mod columns;
mod epilogue;
mod factor;
mod geometry;
mod panels;
mod quantize;
#[cfg(test)]
mod tests;
mod tile;

use candle_core::Tensor;
use rayon::prelude::*;

use super::isa::Isa;
use super::{simd, tensor, values};
use crate::Result;
pub(super) use activations::Activations;
pub(super) use columns::Columns;
pub use epilogue::Activation;
use epilogue::{Epilogue, Line};
pub(super) use factor::{Factor, Sum};
use geometry::{CHUNK_BYTES, PANELS};
pub(super) use geometry::{COLUMNS, ROWS};
use panels::Panels;
pub(super) use panels::pack;
use tile::{SumsOf, add_pair};
pub(super) use tile::{Weight, add};

/// Bytes of a block of a panel, which all rows pass: half of a first-level cache.
const BLOCK_BYTES: usize = 16 * 1024;

/// The rows from which on weights of eight bits are widened once a block instead of once a tile.
const ROWS_TO_WIDEN: usize = 40;

/// The least activation `qmax` of weights that are rounded to allow it: twelve bits and a sign.
const LEAST_QMAX: i16 = 4095;

/// The weights [outputs, inputs] of a linear layer.
#[derive(PartialEq)]
pub struct PackedLinear {
    inputs: usize,
    outputs: usize,
    panels: Panels,
    /// `[outputs]`
    scales: Vec<f32>,
    activation_qmax: i16,
}

impl PackedLinear {
    /// Integers [outputs, inputs], each times the scale of its row, with `scales` `[outputs]`. They are not rounded.
    pub fn int8(rows: &[i8], scales: Vec<f32>) -> Self {
        let (outputs, inputs) = (scales.len(), rows.len() / scales.len());
        Self {
            inputs,
            outputs,
            panels: Panels::Int8(pack(rows, inputs, i16::STEP)),
            scales,
            activation_qmax: activation_qmax(rows, inputs),
        }
    }

    /// The same with integers of sixteen bits. A row whose sums would allow an activation `qmax` of less than 4095 is rounded
    /// to smaller integers that allow it.
    pub fn int16(mut rows: Vec<i16>, mut scales: Vec<f32>) -> Self {
        let (outputs, inputs) = (scales.len(), rows.len() / scales.len());
        for (row, scale) in rows.chunks_exact_mut(inputs).zip(&mut scales) {
            let factor = room(inputs) / sum_of_magnitudes(row) as f64;
            if factor < 1.0 {
                row.iter_mut().for_each(|w| *w = (f64::from(*w) * factor).round_ties_even() as i16);
                *scale /= factor as f32;
            }
        }
        let activation_qmax = activation_qmax(&rows, inputs);
        let panels = Panels::Int16(pack(&rows, inputs, i16::STEP));
        Self { inputs, outputs, panels, scales, activation_qmax }
    }

    /// Numbers [outputs, inputs] rounded to integers: in each row as fine as the sums in i32 allow beside an activation
    /// `qmax` of 4095. With thousands of inputs that is some eleven bits.
    pub fn requantized(rows: &[f32], inputs: usize) -> Self {
        let mut integers = Vec::with_capacity(rows.len());
        let scales: Vec<f32> = rows
            .chunks_exact(inputs)
            .map(|row| {
                let scale = finest_scale(row);
                let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
                integers.extend(row.iter().map(|weight| (weight * inverse).round() as i16));
                scale
            })
            .collect();
        Self {
            inputs,
            outputs: scales.len(),
            panels: Panels::Int16(pack(&integers, inputs, i16::STEP)),
            scales,
            activation_qmax: LEAST_QMAX,
        }
    }

    /// Numbers [outputs, inputs], not rounded.
    pub fn f32(rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        Self {
            inputs,
            outputs,
            panels: Panels::F32(pack(rows, inputs, f32::STEP)),
            scales: vec![1.0; outputs],
            activation_qmax: 0,
        }
    }

    /// [outputs, inputs]
    pub fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// Whether its products are of integers.
    pub fn is_integer(&self) -> bool {
        !matches!(self.panels, Panels::F32(_))
    }

    /// The integer that the largest magnitude of a row of activations is quantized to; 0 if weights are f32.
    ///
    /// It is at most 2^31 - 1 divided by the largest sum of the magnitudes of an output's weights, so no sum overflows i32.
    /// For 3072 weights of 127 each that is 5504; trained weights allow some 20,000.
    pub fn activation_qmax(&self) -> i16 {
        self.activation_qmax
    }

    /// x [rows, inputs] -> [rows, outputs], with `bias` `[outputs]` added if there is one.
    pub fn forward(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let (rows, inputs) = x.dims2()?;
        assert_eq!(inputs, self.inputs, "a layer of {} inputs", self.inputs);
        let bias = bias.map(values).transpose()?;
        let epilogue = Epilogue { scales: &self.scales, bias: bias.as_deref(), activation };
        let output = self.product(&values(x)?, &epilogue, Isa::best());
        tensor(output, (rows, self.outputs))
    }

    fn product(&self, x: &[f32], epilogue: &Epilogue<'_>, isa: Isa) -> Vec<f32> {
        let (inputs, qmax) = (self.inputs, self.activation_qmax);
        match &self.panels {
            Panels::Int8(panels) => {
                pass(&Activations::<i16>::new(x, inputs, qmax), panels, epilogue, isa)
            }
            Panels::Int16(panels) => {
                pass(&Activations::<i16>::new(x, inputs, qmax), panels, epilogue, isa)
            }
            Panels::F32(panels) => {
                pass(&Activations::<f32>::new(x, inputs, qmax), panels, epilogue, isa)
            }
        }
    }
}

/// Multiplies all rows, a chunk at a time, by each panel and gives the sums to the epilogue: -> [rows, outputs].
fn pass<W: Weight>(
    x: &Activations<W::Factor>,
    panels: &[W],
    epilogue: &Epilogue<'_>,
    isa: Isa,
) -> Vec<f32> {
    let step = W::Factor::STEP * COLUMNS;
    let widens = size_of::<W>() < size_of::<W::Factor>() && x.rows() >= ROWS_TO_WIDEN;
    let size = if widens { size_of::<W::Factor>() } else { size_of::<W>() };
    let most_steps = BLOCK_BYTES / (step * size);
    // Blocks of nearly equal size.
    let block_steps = x.steps().div_ceil(x.steps().div_ceil(most_steps));
    let panel = x.steps() * step;
    let groups = panels.len().div_ceil(PANELS * panel);
    let chunks = x.chunks(CHUNK_BYTES, ROWS_TO_WIDEN);
    Columns::filled(x.rows(), epilogue.scales.len(), |output| {
        // The chunk's activations stay in the cache while the groups of panels pass.
        let tasks = (0..chunks.len() * groups).into_par_iter();
        tasks.for_each_init(Scratch::default, |scratch, task| {
            let Scratch { sums, widened, values } = scratch;
            let (tiles, group) = (chunks[task / groups].clone(), task % groups);
            let rows = x.rows_of_tiles(&tiles);
            let first = group * PANELS * COLUMNS;
            let panels = panels.chunks(PANELS * panel).nth(group).expect("one of the groups");
            values.resize(rows.len(), Default::default());
            let panels: Vec<&[W]> = panels.chunks_exact(panel).collect();
            for sums in &mut *sums {
                sums.clear();
                sums.resize(rows.len(), [Default::default(); COLUMNS]);
            }
            for start in (0..x.steps()).step_by(block_steps) {
                let steps = start..x.steps().min(start + block_steps);
                let block = |p: usize| &panels[p][steps.start * step..steps.end * step];
                let tiles = tiles.clone().map(|t| {
                    let of_tile = x.rows_of(t);
                    (x.tile(t, &steps), of_tile.start - rows.start..of_tile.end - rows.start)
                });
                match &mut sums[..panels.len()] {
                    _ if widens => {
                        for (p, sums) in sums[..panels.len()].iter_mut().enumerate() {
                            widen(block(p), widened);
                            tiles
                                .clone()
                                .for_each(|(x, rows)| add(isa, x, widened, &mut sums[rows]));
                        }
                    }
                    [first, second] => {
                        let blocks = [block(0), block(1)];
                        for (x, rows) in tiles {
                            let sums = [&mut first[rows.clone()], &mut second[rows]];
                            add_pair(isa, x, blocks, sums);
                        }
                    }
                    rest => {
                        for (p, sums) in rest.iter_mut().enumerate() {
                            tiles
                                .clone()
                                .for_each(|(x, rows)| add(isa, x, block(p), &mut sums[rows]));
                        }
                    }
                }
            }
            for (p, sums) in sums[..panels.len()].iter().enumerate() {
                epilogue.scale(sums, &x.scales()[rows.clone()], first, p, values);
            }
            epilogue.write(values, rows.start, first, output);
        });
    })
}

/// Widens the weights of a block.
fn widen<W: Weight>(block: &[W], widened: &mut Vec<W::Factor>) {
    widened.resize(block.len(), W::Factor::default());
    simd!({
        for (wide, &weight) in widened.iter_mut().zip(block) {
            *wide = weight.into();
        }
    });
}

/// Buffers that a task uses again for its next panels.
#[derive(Default)]
struct Scratch<F: Factor + Weight<Factor = F>> {
    /// The sums of each panel, `[rows of the chunk]`.
    sums: [Vec<SumsOf<F>>; PANELS],
    /// A widened block of a panel.
    widened: Vec<F>,
    /// The outputs of all panels that are written together, `[rows of the chunk]`.
    values: Vec<Line>,
}

fn sum_of_magnitudes<W: Copy + Into<i32>>(row: &[W]) -> i64 {
    // The sum of so many magnitudes of 16 bits fits u32.
    let parts = row.chunks(1 << 16);
    let sums =
        parts.map(|part| part.iter().map(|&weight| weight.into().unsigned_abs()).sum::<u32>());
    sums.map(i64::from).sum()
}

/// The largest activation `qmax` by which no sum overflows i32.
fn activation_qmax<W: Copy + Into<i32>>(rows: &[W], inputs: usize) -> i16 {
    let largest_sum = rows.chunks_exact(inputs).map(sum_of_magnitudes).max().unwrap_or(0);
    (i64::from(i32::MAX) / largest_sum.max(1)).min(i64::from(i16::MAX)) as i16
}

/// The largest sum of a row's magnitudes that allows activations of [`LEAST_QMAX`], before the magnitudes are rounded, which
/// adds at most half to each.
fn room(inputs: usize) -> f64 {
    f64::from(i32::MAX) / f64::from(LEAST_QMAX) - 0.5 * inputs as f64
}

/// The smallest scale by which no sum of the row's integers, times activations, overflows i32.
fn finest_scale(row: &[f32]) -> f32 {
    let room = room(row.len());
    let sum: f64 = row.iter().map(|&weight| f64::from(weight.abs())).sum();
    let largest = row.iter().fold(0.0, |largest: f32, weight| largest.max(weight.abs()));
    // The scale may be rounded down to f32, by less than this.
    (1.000_001 * (sum / room).max(f64::from(largest) / f64::from(i16::MAX))) as f32
}
