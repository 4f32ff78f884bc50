//! `x w^T + b` with weights that stay: packed once, at load, in the order in which the product reads them.
//!
//! Weights are whole numbers with a scale for each output, or f32. With whole numbers the activations are quantised
//! too, each row by a scale of its own, and summed in i32 without a rounding: how fine the activations may be is what
//! the weights leave, see [`PackedLinear::largest_activation`].
//!
//! The product is made tile by tile (`tile`): a few rows of activations (`activations`) by a panel of some outputs
//! (`panels`). A block of a panel stays in the first-level cache while all rows pass by it. In memory, weights of eight
//! bits stay what they are: for few rows they are widened on their way into a register, for many once a block. The
//! `epilogue` turns sums into outputs, with bias and GELU.
//!
//! Integer sums do not depend on their order, so every instruction set gives the same bits.

mod activations;
mod columns;
mod epilogue;
mod panels;
mod quantise;
#[cfg(test)]
mod tests;
mod tile;

use candle_core::Tensor;
use rayon::prelude::*;

use super::{simd, tensor, values};
use crate::Result;
pub(super) use activations::Activations;
pub(super) use columns::Columns;
pub use epilogue::Activation;
use epilogue::{Epilogue, Line};
use panels::Panels;
pub(super) use panels::pack;
pub(super) use tile::{Factor, Isa, Sum, Weight, add};

/// Outputs of a panel.
pub(super) const COLUMNS: usize = if cfg!(target_arch = "wasm32") { 8 } else { 16 };

/// Panels whose outputs are written together: they fill a line of the cache.
const PANELS: usize = 16 / COLUMNS;

/// Most rows of a tile: with a panel's sums of these, weights and products, a vector register is left.
pub(super) const ROWS: usize = 5;

/// Of a panel's part that all rows pass by: half of a first-level cache.
const BLOCK_BYTES: usize = 16 * 1024;

/// From how many rows on weights of eight bits are widened once a block instead of once a tile.
const ROWS_TO_WIDEN: usize = 40;

/// What the largest activation of a row becomes at least where the weights are made to fit it: twelve bits and a sign.
const LEAST_LARGEST: i16 = 4095;

/// The weights [outputs, inputs] of a linear layer.
#[derive(PartialEq)]
pub struct PackedLinear {
    inputs: usize,
    outputs: usize,
    panels: Panels,
    /// One an output.
    scales: Vec<f32>,
    largest_activation: i16,
}

impl PackedLinear {
    /// Whether f32 belongs here as well. Natively it does not: the `gemm` crate has wider vectors for it.
    pub const HOLDS_F32: bool = cfg!(target_arch = "wasm32");

    /// Whole numbers, each to be multiplied by its row's scale; exactly these. `rows` are as many as scales.
    pub fn int8(rows: &[i8], scales: Vec<f32>) -> Self {
        let (outputs, inputs) = (scales.len(), rows.len() / scales.len());
        Self {
            inputs,
            outputs,
            panels: Panels::Int8(pack(rows, inputs, i16::STEP)),
            scales,
            largest_activation: largest_activation(rows, inputs),
        }
    }

    /// The same of sixteen bits. A row whose sums would leave the activations less than [`LEAST_LARGEST`] is rounded to
    /// numbers that leave them that.
    pub fn int16(mut rows: Vec<i16>, mut scales: Vec<f32>) -> Self {
        let (outputs, inputs) = (scales.len(), rows.len() / scales.len());
        for (row, scale) in rows.chunks_exact_mut(inputs).zip(&mut scales) {
            let factor = room(inputs) / sum_of_magnitudes(row) as f64;
            if factor < 1.0 {
                row.iter_mut().for_each(|w| *w = (f64::from(*w) * factor).round_ties_even() as i16);
                *scale /= factor as f32;
            }
        }
        let largest_activation = largest_activation(&rows, inputs);
        let panels = Panels::Int16(pack(&rows, inputs, i16::STEP));
        Self { inputs, outputs, panels, scales, largest_activation }
    }

    /// Numbers of rows [outputs, inputs] as whole ones: in each row the finest that an i32 has room for.
    /// With thousands of inputs that is some eleven bits.
    pub fn int16_of(rows: &[f32], inputs: usize) -> Self {
        let mut numbers = Vec::with_capacity(rows.len());
        let scales: Vec<f32> = rows
            .chunks_exact(inputs)
            .map(|row| {
                let scale = finest_scale(row);
                let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
                numbers.extend(row.iter().map(|weight| (weight * inverse).round() as i16));
                scale
            })
            .collect();
        Self {
            inputs,
            outputs: scales.len(),
            panels: Panels::Int16(pack(&numbers, inputs, i16::STEP)),
            scales,
            largest_activation: LEAST_LARGEST,
        }
    }

    /// Rows [outputs, inputs], as they are.
    pub fn f32(rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        Self {
            inputs,
            outputs,
            panels: Panels::F32(pack(rows, inputs, f32::STEP)),
            scales: vec![1.0; outputs],
            largest_activation: 0,
        }
    }

    /// [outputs, inputs]
    pub fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// Whether its products are of whole numbers.
    pub fn is_integer(&self) -> bool {
        !matches!(self.panels, Panels::F32(_))
    }

    /// What a row's largest activation is quantised to. No sum can leave i32: it is at most 2^31 - 1 divided by the
    /// largest sum of an output's weights, in magnitudes. For 3072 weights of 127 each that is 5504; weights that were
    /// trained leave some 20,000.
    pub fn largest_activation(&self) -> i16 {
        self.largest_activation
    }

    /// x [rows, inputs] -> [rows, outputs], with `bias` [outputs] added if there is one.
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
        let (inputs, largest) = (self.inputs, self.largest_activation);
        match &self.panels {
            Panels::Int8(panels) => {
                pass(&Activations::<i16>::new(x, inputs, largest), panels, epilogue, isa)
            }
            Panels::Int16(panels) => {
                pass(&Activations::<i16>::new(x, inputs, largest), panels, epilogue, isa)
            }
            Panels::F32(panels) => {
                pass(&Activations::<f32>::new(x, inputs, largest), panels, epilogue, isa)
            }
        }
    }
}

/// Multiplies all rows by each panel and hands the sums to the epilogue: -> [rows, outputs].
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
    // Blocks of one size, as far as that goes.
    let block_steps = x.steps().div_ceil(x.steps().div_ceil(most_steps));
    let panel = x.steps() * step;
    Columns::filled(x.rows(), epilogue.scales.len(), |output| {
        let tasks = panels.par_chunks(PANELS * panel).enumerate();
        tasks.for_each_init(Scratch::default, |scratch, (task, panels)| {
            let Scratch { sums, widened, values } = scratch;
            let first = task * PANELS * COLUMNS;
            values.resize(x.rows(), Default::default());
            for (p, panel) in panels.chunks_exact(panel).enumerate() {
                sums.clear();
                sums.resize(x.rows(), Default::default());
                for start in (0..x.steps()).step_by(block_steps) {
                    let steps = start..x.steps().min(start + block_steps);
                    let block = &panel[steps.start * step..steps.end * step];
                    if widens {
                        widened.resize(block.len(), W::Factor::default());
                        simd(|| {
                            for (wide, &weight) in widened.iter_mut().zip(block) {
                                *wide = weight.into();
                            }
                        });
                    }
                    for t in 0..x.tiles() {
                        let (tile, sums) = (x.tile(t, &steps), &mut sums[x.rows_of(t)]);
                        match widens {
                            true => add(isa, tile, widened, sums),
                            false => add(isa, tile, block, sums),
                        }
                    }
                }
                epilogue.scale(sums, x.scales(), first, p, values);
            }
            epilogue.write(values, first, output);
        });
    })
}

/// What a task uses again for its next panels.
#[derive(Default)]
struct Scratch<F: Factor> {
    /// Of one panel, [rows].
    sums: Vec<[F::Sum; COLUMNS]>,
    /// A block of a panel.
    widened: Vec<F>,
    /// Of all panels, [rows].
    values: Vec<Line>,
}

fn sum_of_magnitudes<W: Copy + Into<i32>>(row: &[W]) -> i64 {
    // So many magnitudes of sixteen bits have a sum of 32.
    let parts = row.chunks(1 << 16);
    let sums =
        parts.map(|part| part.iter().map(|&weight| weight.into().unsigned_abs()).sum::<u32>());
    sums.map(i64::from).sum()
}

/// What activations may be at most, so that no sum leaves i32.
fn largest_activation<W: Copy + Into<i32>>(rows: &[W], inputs: usize) -> i16 {
    let largest_sum = rows.chunks_exact(inputs).map(sum_of_magnitudes).max().unwrap_or(0);
    (i64::from(i32::MAX) / largest_sum.max(1)).min(i64::from(i16::MAX)) as i16
}

/// The largest sum of a row's magnitudes beside activations of [`LEAST_LARGEST`], before they are rounded: that adds half
/// a number to each at most.
fn room(inputs: usize) -> f64 {
    f64::from(i32::MAX) / f64::from(LEAST_LARGEST) - 0.5 * inputs as f64
}

/// The smallest scale by which no sum of the row's numbers, times activations, leaves i32.
fn finest_scale(row: &[f32]) -> f32 {
    let room = room(row.len());
    let sum: f64 = row.iter().map(|&weight| f64::from(weight.abs())).sum();
    let largest = row.iter().fold(0.0, |largest: f32, weight| largest.max(weight.abs()));
    // One in f32 may be rounded down, by less than this.
    (1.000_001 * (sum / room).max(f64::from(largest) / f64::from(i16::MAX))) as f32
}
