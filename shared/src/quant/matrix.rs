//! A matrix as it is stored: rows of codes, and the scales that they are multiplied by.

use std::ops::Range;

use rayon::prelude::*;

use super::format::{Format, Operand};
use crate::Result;
use crate::kernels::packed::PackedLinear;

/// Rows that one task encodes.
const TASK_ROWS: usize = 64;

/// A matrix [rows, width] in one format.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedMatrix {
    format: Format,
    rows: usize,
    width: usize,
    /// The rows' codes, each row from a byte of its own.
    data: Vec<u8>,
    /// [`Format::row_scales`] for each row.
    scales: Vec<f32>,
}

/// Rows of a [`QuantizedMatrix`], or of a shard.
#[derive(Debug, Clone, Copy)]
pub struct QuantizedRows<'a> {
    format: Format,
    width: usize,
    data: &'a [u8],
    scales: &'a [f32],
}

impl QuantizedMatrix {
    /// Room for a matrix [rows, width], to be filled with [`copy_rows`](Self::copy_rows).
    pub fn unfilled(format: Format, rows: usize, width: usize) -> Self {
        let data = vec![0; rows * format.row_bytes(width)];
        let scales = vec![0.0; rows * format.row_scales(width)];
        Self { format, rows, width, data, scales }
    }

    /// Quantizes values [rows, width].
    ///
    /// # Errors
    /// If a value is not finite, or too large for f16.
    pub fn encode(format: Format, values: &[f32], width: usize) -> Result<Self> {
        let encode = |rows: &[f32]| {
            let (mut data, mut scales) = (Vec::new(), Vec::new());
            format.encode(rows, width, &mut data, &mut scales)?;
            Ok((data, scales))
        };
        let tasks = values.par_chunks(TASK_ROWS * width).map(encode);
        let (data, scales): (Vec<_>, Vec<_>) =
            tasks.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let rows = values.len() / width;
        Ok(Self { format, rows, width, data: data.concat(), scales: scales.concat() })
    }

    /// The format of the numbers.
    pub fn format(&self) -> Format {
        self.format
    }

    /// [rows, width]
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.width]
    }

    /// The codes of all rows.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The scales of all rows.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// All rows.
    pub fn as_rows(&self) -> QuantizedRows<'_> {
        let Self { format, width, data, scales, .. } = self;
        QuantizedRows { format: *format, width: *width, data, scales }
    }

    /// Some neighbouring rows.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn slice_rows(&self, rows: Range<usize>) -> QuantizedRows<'_> {
        let (bytes, scales) =
            (self.format.row_bytes(self.width), self.format.row_scales(self.width));
        QuantizedRows {
            data: &self.data[rows.start * bytes..rows.end * bytes],
            scales: &self.scales[rows.start * scales..rows.end * scales],
            ..self.as_rows()
        }
    }

    /// A copy of these rows, in this order.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let mut selected = Self::unfilled(self.format, 0, self.width);
        rows.iter().for_each(|&row| selected.push_rows(self.slice_rows(row..row + 1)));
        selected
    }

    /// Appends rows of the same format and width.
    pub fn push_rows(&mut self, rows: QuantizedRows<'_>) {
        debug_assert_eq!((self.format, self.width), (rows.format, rows.width));
        self.rows += rows.len();
        self.data.extend_from_slice(rows.data);
        self.scales.extend_from_slice(rows.scales);
    }

    /// Replaces the rows from `first` on by others of the same format and width.
    ///
    /// # Panics
    /// If the matrix ends before.
    pub fn copy_rows(&mut self, first: usize, rows: QuantizedRows<'_>) {
        debug_assert_eq!((self.format, self.width), (rows.format, rows.width));
        let (data, scales) =
            (first * self.format.row_bytes(self.width), first * self.format.row_scales(self.width));
        self.data[data..][..rows.data.len()].copy_from_slice(rows.data);
        self.scales[scales..][..rows.scales.len()].copy_from_slice(rows.scales);
    }

    /// Writes the numbers of a row.
    pub fn row_into(&self, row: usize, values: &mut [f32]) {
        values.fill(0.0);
        self.add_row(row, values);
    }

    /// Adds the numbers of a row to `sums`.
    pub fn add_row(&self, row: usize, sums: &mut [f32]) {
        self.slice_rows(row..row + 1).add_to(sums);
    }

    /// The numbers [rows, width].
    pub fn decode(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.width];
        self.as_rows().add_to(&mut values);
        values
    }

    /// The weights of a linear layer of `width` inputs and an output for each row, as its format's [`Operand`].
    pub fn pack(self) -> PackedLinear {
        match self.format.operand() {
            Operand::F32 => PackedLinear::f32(&self.decode(), self.width),
            Operand::Requantized => PackedLinear::requantized(&self.decode(), self.width),
            Operand::Int8 => {
                // Collected in place.
                let integers: Vec<i8> = self.data.into_iter().map(|byte| byte as i8).collect();
                PackedLinear::int8(&integers, self.scales)
            }
            Operand::Int16 => {
                let integers = self.format.integers(&self.data, self.width);
                drop(self.data);
                PackedLinear::int16(integers, self.scales)
            }
        }
    }
}

impl<'a> QuantizedRows<'a> {
    /// Rows of `width` numbers: their codes, and the scales of each.
    ///
    /// # Panics
    /// If these are not the codes and scales of as many rows.
    pub fn new(format: Format, width: usize, data: &'a [u8], scales: &'a [f32]) -> Self {
        let rows = Self { format, width, data, scales };
        let count = rows.len();
        assert_eq!(data.len(), count * format.row_bytes(width), "codes of whole rows");
        assert_eq!(scales.len(), count * format.row_scales(width), "the scales of these rows");
        rows
    }

    /// The format of the numbers.
    pub fn format(self) -> Format {
        self.format
    }

    /// The number of rows.
    pub fn len(self) -> usize {
        self.data.len() / self.format.row_bytes(self.width)
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.data.is_empty()
    }

    /// The first `count` rows and the others; `None` if there are not as many.
    pub fn split_at_checked(self, count: usize) -> Option<(Self, Self)> {
        let bytes = count.checked_mul(self.format.row_bytes(self.width))?;
        let (data, other_data) = self.data.split_at_checked(bytes)?;
        let scales = count * self.format.row_scales(self.width);
        let (scales, other_scales) = self.scales.split_at(scales);
        Some((
            Self { data, scales, ..self },
            Self { data: other_data, scales: other_scales, ..self },
        ))
    }

    /// Adds all numbers to `sums`, [rows, width].
    pub fn add_to(self, sums: &mut [f32]) {
        self.format.add(self.data, self.scales, self.width, sums);
    }

    /// Whether these rows and `other` have equal codes, and scales that differ by less than rounding may have cost.
    pub fn is_nearly(self, other: Self) -> bool {
        let scales = self.scales.iter().zip(other.scales);
        self.data == other.data
            && scales.into_iter().all(|(&a, &b)| self.format.is_same_scale(a, b))
    }
}

/// The crest factor of rows of `width` numbers: how far the largest number of a row stands out, as a multiple of the row's
/// root mean square. Over several rows it is the root of a mean that is weighted by the rows' squares.
///
/// Integers of 8 bits that share a scale of a row have a rounding error of the crest factor / 440, relative to the row.
/// It is 3 to 4 where the numbers are normally distributed.
pub fn crest_factor(values: &[f32], width: usize) -> f64 {
    let mut largest_squares = 0.0;
    let mut squares = 0.0;
    for row in values.chunks_exact(width) {
        let largest = row.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        largest_squares += f64::from(largest) * f64::from(largest) * width as f64;
        squares += row.iter().map(|&number| f64::from(number) * f64::from(number)).sum::<f64>();
    }
    if squares == 0.0 { 0.0 } else { (largest_squares / squares).sqrt() }
}
