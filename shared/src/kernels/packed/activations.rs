//! Activations in the order in which tiles read them.

use std::ops::Range;

use rayon::prelude::*;

use super::super::TASK_ELEMENTS;
use super::factor::{Factor, Tile, interleave_rows};
use super::geometry::{INTERLEAVED, ROWS};

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Rows of factors, in tiles of neighbouring rows. There are as few tiles as possible, and their numbers of rows differ by at
/// most one.
///
/// Where they are [`INTERLEAVED`], a tile is [steps, rows, step]: the next `step` inputs of each of its rows, then the next.
/// Elsewhere rows follow each other at a distance of an odd number of lines, so that those of a tile do not displace each other
/// in the cache.
pub struct Activations<F> {
    numbers: Vec<F>,
    /// `[rows]`
    scales: Vec<f32>,
    steps: usize,
    /// Numbers from a row to the next.
    stride: usize,
}

impl<F: Factor> Activations<F> {
    /// x [rows, inputs], converted by [`Factor::convert`].
    pub fn new(x: &[f32], inputs: usize, qmax: i16) -> Self {
        Self::filled(x.len() / inputs, inputs, |row, factors| {
            F::convert(&x[row * inputs..][..inputs], qmax, factors)
        })
    }

    /// Factors [rows, inputs] that were converted before, with their `scales` `[rows]`.
    pub fn of(converted: &[F], scales: &[f32]) -> Self {
        let inputs = converted.len() / scales.len();
        Self::filled(scales.len(), inputs, |row, factors| {
            factors.copy_from_slice(&converted[row * inputs..][..inputs]);
            scales[row]
        })
    }

    /// `convert` writes a row and returns its scale. Threads share the rows of large matrices.
    fn filled(rows: usize, inputs: usize, convert: impl Fn(usize, &mut [F]) -> f32 + Sync) -> Self {
        let steps = inputs.div_ceil(F::STEP);
        let width = steps * F::STEP;
        let stride = match INTERLEAVED {
            true => width,
            false => ((width * size_of::<F>()).div_ceil(LINE) | 1) * LINE / size_of::<F>(),
        };
        // The end of a row, behind its inputs, stays zero.
        let mut numbers = vec![F::default(); rows * stride];
        let mut scales = vec![0.0; rows];
        let fill = |(row, (numbers, scale)): (usize, (&mut [F], &mut f32))| {
            *scale = convert(row, &mut numbers[..inputs]);
        };
        let places = numbers.par_chunks_mut(stride.max(1)).zip(&mut scales).enumerate();
        places.with_min_len((TASK_ELEMENTS / stride.max(1)).max(1)).for_each(fill);
        if INTERLEAVED {
            let mut tile = vec![F::default(); ROWS * width];
            for t in 0..tiles(rows) {
                let rows = rows_of(rows, t);
                let numbers = &mut numbers[rows.start * width..rows.end * width];
                let tile = &mut tile[..numbers.len()];
                interleave_rows(numbers, rows.len(), tile);
                numbers.copy_from_slice(tile);
            }
        }
        Self { numbers, scales, steps, stride }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// The scale of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The number of steps of a row.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The number of tiles.
    pub fn tiles(&self) -> usize {
        tiles(self.rows())
    }

    /// The tiles in chunks of at most so many bytes, but of no fewer rows than `least`, where there are as many.
    pub fn chunks(&self, bytes: usize, least: usize) -> Vec<Range<usize>> {
        let row = self.stride * size_of::<F>();
        let chunk_tiles = (bytes / row.max(1)).max(least).div_ceil(ROWS);
        let chunks = self.tiles().div_ceil(chunk_tiles);
        // Chunks of nearly equal size.
        (0..chunks).map(|i| i * self.tiles() / chunks..(i + 1) * self.tiles() / chunks).collect()
    }

    /// The rows of some neighbouring tiles.
    pub fn rows_of_tiles(&self, tiles: &Range<usize>) -> Range<usize> {
        self.rows_of(tiles.start).start..self.rows_of(tiles.end - 1).end
    }

    /// The rows of tile t.
    pub fn rows_of(&self, t: usize) -> Range<usize> {
        rows_of(self.rows(), t)
    }

    /// Some steps of tile t.
    pub fn tile(&self, t: usize, steps: &Range<usize>) -> Tile<'_, F> {
        let rows = self.rows_of(t);
        let first = rows.start * self.stride;
        let (first, end) = match INTERLEAVED {
            true => {
                let at = |step: usize| first + step * rows.len() * F::STEP;
                (at(steps.start), at(steps.end))
            }
            false => {
                (first + steps.start * F::STEP, (rows.end - 1) * self.stride + steps.end * F::STEP)
            }
        };
        Tile { numbers: &self.numbers[first..end], stride: self.stride, steps: steps.len() }
    }
}

/// The number of tiles of `rows` rows.
fn tiles(rows: usize) -> usize {
    rows.div_ceil(ROWS)
}

/// The rows of tile t, of `rows` in all.
fn rows_of(rows: usize, t: usize) -> Range<usize> {
    let tiles = tiles(rows);
    t * rows / tiles..(t + 1) * rows / tiles
}
