//! From sums to outputs: scales, bias and GELU, on the way to memory.

use super::super::gelu::gelu;
use super::super::simd;
use super::COLUMNS;
use super::columns::Columns;
use super::tile::Sum;

/// What becomes of the product with the bias added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Identity,
    Gelu,
}

pub struct Epilogue<'a> {
    /// One an output.
    pub scales: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// Writes the columns from `first` on: sums [rows, COLUMNS] times the scales of row and output, and what follows.
    pub fn write<S: Sum>(
        &self,
        sums: &[[S; COLUMNS]],
        row_scales: &[f32],
        first: usize,
        output: &Columns,
    ) {
        let columns = COLUMNS.min(self.scales.len() - first);
        let (mut scales, mut bias) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        scales[..columns].copy_from_slice(&self.scales[first..][..columns]);
        if let Some(biases) = self.bias {
            bias[..columns].copy_from_slice(&biases[first..][..columns]);
        }
        simd(|| {
            for (row, (sums, &row_scale)) in sums.iter().zip(row_scales).enumerate() {
                let mut values = [0.0; COLUMNS];
                for i in 0..COLUMNS {
                    values[i] = sums[i].value() * (row_scale * scales[i]) + bias[i];
                }
                if self.activation == Activation::Gelu {
                    values = values.map(gelu);
                }
                output.put(row, first, columns, values);
            }
        });
        output.count(columns * sums.len());
    }
}
