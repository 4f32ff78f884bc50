//! Makes outputs of sums: scales, bias and GELU are applied on the way to memory.

use super::super::scalar::gelu;
use super::super::simd;
use super::columns::Columns;
use super::factor::Sum;
use super::geometry::{COLUMNS, PANELS};

/// The activation function of a layer's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// GELU, with the error function.
    Gelu,
}

/// The function that a product's sums go through.
pub struct Epilogue<'a> {
    /// The scale of each output.
    pub scales: &'a [f32],
    /// The bias of each output.
    pub bias: Option<&'a [f32]>,
    /// Applied to the sum with bias.
    pub activation: Activation,
}

/// A row's values of the panels that are written together.
pub type Line = [[f32; COLUMNS]; PANELS];

impl Epilogue<'_> {
    /// Scales sums [rows, COLUMNS] of panel p and adds the bias. `first` is the first column of panel 0.
    pub fn scale<S: Sum>(
        &self,
        sums: &[[S; COLUMNS]],
        row_scales: &[f32],
        first: usize,
        p: usize,
        values: &mut [Line],
    ) {
        let first = first + p * COLUMNS;
        let columns = COLUMNS.min(self.scales.len() - first);
        let (mut scales, mut bias) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        scales[..columns].copy_from_slice(&self.scales[first..][..columns]);
        if let Some(biases) = self.bias {
            bias[..columns].copy_from_slice(&biases[first..][..columns]);
        }
        simd!({
            for ((line, sums), &row_scale) in values.iter_mut().zip(sums).zip(row_scales) {
                let mut scaled = [0.0; COLUMNS];
                for i in 0..COLUMNS {
                    scaled[i] = sums[i].value() * (row_scale * scales[i]) + bias[i];
                }
                line[p] = scaled;
            }
        });
    }

    /// Applies the activation function to the values and writes them from row `first_row` on, to the columns from `first` on.
    pub fn write(&self, values: &mut [Line], first_row: usize, first: usize, output: &Columns) {
        let columns = (PANELS * COLUMNS).min(self.scales.len() - first);
        simd!({
            if self.activation == Activation::Gelu {
                values.as_flattened_mut().as_flattened_mut().iter_mut().for_each(|z| *z = gelu(*z));
            }
            for (row, line) in (first_row..).zip(values.iter()) {
                output.put::<{ PANELS * COLUMNS }>(row, first, columns, line.as_flattened());
            }
        });
        output.count(columns * values.len());
    }
}
