//! The numbers that tiles multiply, and a tile's rows of them.

use super::geometry::{COLUMNS, INTERLEAVED, ROWS};
use super::quantize::quantize;

/// The numbers that a tile multiplies: i16 or f32.
pub trait Factor: Copy + Default + Send + Sync + 'static {
    /// The sum of products.
    type Sum: Sum;

    /// Inputs that lie side by side.
    const STEP: usize;

    /// Writes a row as factors and returns their scale: integers of at most `qmax`, or the row itself and 1.
    fn convert(x: &[f32], qmax: i16, factors: &mut [Self]) -> f32;

    /// Rows [R, steps, STEP] to a tile [steps, R, STEP].
    fn interleave<const R: usize>(rows: &[Self], tile: &mut [Self]);
}

/// Some steps of a few rows: [steps, rows, step] where activations are [`INTERLEAVED`], else row after row.
#[derive(Clone, Copy)]
pub struct Tile<'a, F> {
    pub numbers: &'a [F],
    /// Numbers from a row to the next, unless they are interleaved.
    pub stride: usize,
    pub steps: usize,
}

impl<F: Factor> Tile<'_, F> {
    /// The numbers of a step of row r, of `rows` rows.
    #[inline(always)]
    pub fn step(&self, rows: usize, r: usize, step: usize) -> &[F] {
        let first = match INTERLEAVED {
            true => (step * rows + r) * F::STEP,
            false => r * self.stride + step * F::STEP,
        };
        &self.numbers[first..][..F::STEP]
    }

    /// Whether the tile has so many rows, and w [steps, COLUMNS, step] its steps.
    pub fn fits<W>(&self, rows: usize, w: &[W]) -> bool {
        let distance = if INTERLEAVED { self.steps * F::STEP } else { self.stride };
        (rows - 1) * distance + self.steps * F::STEP <= self.numbers.len()
            && w.len() == self.steps * COLUMNS * F::STEP
    }
}

/// The sum of a tile's products: i32 of integers, else f32.
pub trait Sum: Copy + Default + Send + Sync {
    /// The sum as f32.
    fn value(self) -> f32;
}

impl Sum for i32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self as f32
    }
}

impl Sum for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// [`Factor::interleave`] for up to [`ROWS`] rows.
pub fn interleave_rows<F: Factor>(rows: &[F], count: usize, tile: &mut [F]) {
    const { assert!(ROWS == 5 || ROWS == 6) };
    match count {
        6 if ROWS == 6 => F::interleave::<6>(rows, tile),
        5 => F::interleave::<5>(rows, tile),
        4 => F::interleave::<4>(rows, tile),
        3 => F::interleave::<3>(rows, tile),
        2 => F::interleave::<2>(rows, tile),
        _ => F::interleave::<1>(rows, tile),
    }
}

impl Factor for i16 {
    type Sum = i32;

    const STEP: usize = 2;

    fn convert(x: &[f32], qmax: i16, factors: &mut [i16]) -> f32 {
        quantize(x, qmax, factors)
    }

    fn interleave<const R: usize>(rows: &[i16], tile: &mut [i16]) {
        interleave::<i16, 2, R>(rows, tile);
    }
}

impl Factor for f32 {
    type Sum = f32;

    const STEP: usize = 1;

    fn convert(x: &[f32], _: i16, factors: &mut [f32]) -> f32 {
        factors.copy_from_slice(x);
        1.0
    }

    fn interleave<const R: usize>(rows: &[f32], tile: &mut [f32]) {
        interleave::<f32, 1, R>(rows, tile);
    }
}

/// Rows [R, steps, STEP] to [steps, R, STEP].
pub fn interleave<F: Copy, const STEP: usize, const R: usize>(rows: &[F], tile: &mut [F]) {
    let width = rows.len() / R;
    let rows: [&[[F; STEP]]; R] = std::array::from_fn(|r| rows[r * width..][..width].as_chunks().0);
    let places: &mut [[[F; STEP]; R]] = tile.as_chunks_mut().0.as_chunks_mut().0;
    for (step, place) in places.iter_mut().enumerate() {
        *place = rows.map(|row| row[step]);
    }
}
