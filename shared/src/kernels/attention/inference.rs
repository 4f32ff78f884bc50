//! Attention for inference: the formula of [`super`] on packed operands, without a backward pass.
//!
//! The position tables are packed once, head by head. A few queries at a time are multiplied by the keys and by only
//! those rows of the tables that they can reach, which are neighbours; so are a few keys for the other term. Beside
//! integer layers all of these products are of integers: a head is short enough for twelve bits and a sign. The
//! weighted sum of values is in f32.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::rows::softmax;
use super::types::{Attention, Text};
use crate::Result;
use crate::kernels::isa::Isa;
use crate::kernels::packed::{Activations, COLUMNS, Columns, Factor, ROWS, Sum, Weight, add, pack};
use crate::kernels::{simd, tensor, values};

/// The projections of a model's relative positions, packed for [`Attention::context`].
pub struct PositionTables(AnyTables);

enum AnyTables {
    Integer(Tables<i16>),
    F32(Tables<f32>),
}

/// The rows of positions as keys and as queries of each head, the row of the largest distance first.
struct Tables<F> {
    keys: Option<Vec<Packed<F>>>,
    queries: Option<Vec<Packed<F>>>,
}

/// Rows in panels, with a scale a row; zeros fill the last panel.
struct Packed<F> {
    numbers: Vec<F>,
    scales: Vec<f32>,
}

/// The buffers that one task reuses from head to head.
#[derive(Default)]
struct Scratch {
    block: Vec<f32>,
    /// Scores [queries, keys], whose rows are `stride` apart.
    scores: Vec<f32>,
    band: Vec<f32>,
    /// Values [panels, keys, COLUMNS].
    values: Vec<f32>,
}

/// One head of one text.
struct TextHead<'a> {
    text: &'a Text,
    /// Its first column.
    column: usize,
    size: usize,
    index: usize,
    /// The distance between rows of scores: the keys, rounded up to a whole panel.
    stride: usize,
    isa: Isa,
    /// Whether the places of neighbouring distances are neighbours, as they are except in long texts.
    is_dense: bool,
}

impl PositionTables {
    /// Packs tables [rows, heads * size] whose last row is for the largest distance i - j; as integers if `is_integer`.
    pub fn new(
        keys: Option<&Tensor>,
        queries: Option<&Tensor>,
        heads: usize,
        is_integer: bool,
    ) -> Result<Self> {
        Ok(Self(match is_integer {
            true => AnyTables::Integer(Tables::new(keys, queries, heads)?),
            false => AnyTables::F32(Tables::new(keys, queries, heads)?),
        }))
    }
}

impl<F: Factor> Tables<F> {
    fn new(keys: Option<&Tensor>, queries: Option<&Tensor>, heads: usize) -> Result<Self> {
        let by_head = |table: Option<&Tensor>| -> Result<Option<Vec<Packed<F>>>> {
            let Some(table) = table else { return Ok(None) };
            let (rows, width) = table.dims2()?;
            let (values, size) = (values(table)?, width / heads);
            let mut block = Vec::new();
            let packed = (0..heads).map(|head| {
                copy_block(&values, width, 0..rows, head * size, size, &mut block);
                let reversed: Vec<f32> =
                    block.chunks_exact(size).rev().flatten().copied().collect();
                Converted::new(&reversed, size).packed(size)
            });
            Ok(Some(packed.collect()))
        };
        Ok(Self { keys: by_head(keys)?, queries: by_head(queries)? })
    }
}

/// Rows as factors of products, with a scale a row.
struct Converted<F> {
    numbers: Vec<F>,
    scales: Vec<f32>,
}

impl<F: Factor> Converted<F> {
    fn new(rows: &[f32], size: usize) -> Self {
        let largest = largest_factor(size);
        let mut numbers = vec![F::default(); rows.len()];
        let pairs = rows.chunks_exact(size).zip(numbers.chunks_exact_mut(size));
        let scales = pairs.map(|(row, numbers)| F::convert(row, largest, numbers)).collect();
        Self { numbers, scales }
    }

    fn packed(&self, size: usize) -> Packed<F> {
        let mut scales = self.scales.clone();
        scales.resize(scales.len().next_multiple_of(COLUMNS), 0.0);
        Packed { numbers: pack(&self.numbers, size, F::STEP), scales }
    }
}

/// Returns the largest magnitude of integers with which a product of two rows of `size` fits i32.
fn largest_factor(size: usize) -> i16 {
    (i32::MAX as usize / size.max(1)).isqrt().min(i16::MAX as usize) as i16
}

impl Attention {
    /// Returns the context, f32 [queries, width]: query [queries, width], key and value [tokens, width].
    ///
    /// `places` has the row of each distance, the largest first, counted from the last row of the tables.
    ///
    /// # Panics
    /// If there is a dropout mask.
    pub fn context(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        tables: &PositionTables,
        places: &[u32],
    ) -> Result<Tensor> {
        assert!(self.mask.is_none(), "dropout is for training");
        match &tables.0 {
            AnyTables::Integer(tables) => self.context_of([query, key, value], tables, places),
            AnyTables::F32(tables) => self.context_of([query, key, value], tables, places),
        }
    }

    fn context_of<F: Factor + Weight<Factor = F>>(
        &self,
        [query, key, value]: [&Tensor; 3],
        tables: &Tables<F>,
        places: &[u32],
    ) -> Result<Tensor> {
        let (query_rows, width) = query.dims2()?;
        let (query, key, value) = (values(query)?, values(key)?, values(value)?);
        let texts = self.texts();
        let (isa, size) = (Isa::best(), width / self.heads);
        let is_dense = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let context = Columns::filled(query_rows, width, |context| {
            let heads = (0..texts.len() * self.heads).into_par_iter();
            heads.for_each_init(Scratch::default, |scratch, at| {
                let (text, index) = (&texts[at / self.heads], at % self.heads);
                let stride = text.rows.len().next_multiple_of(COLUMNS);
                let column = index * size;
                let head = TextHead { text, column, size, index, stride, isa, is_dense };
                self.scores(&head, [&query, &key], tables, places, scratch);
                weigh(&head, &value, width, scratch, context);
            });
        });
        tensor(context, (query_rows, width))
    }

    /// Computes all terms of the scores, times the scale.
    fn scores<F: Factor + Weight<Factor = F>>(
        &self,
        head: &TextHead<'_>,
        [query, key]: [&[f32]; 2],
        tables: &Tables<F>,
        places: &[u32],
        scratch: &mut Scratch,
    ) {
        let TextHead { text, column, size, index, stride, isa, is_dense } = *head;
        let width = self.heads * size;
        let Scratch { block, scores, band, .. } = scratch;
        copy_block(key, width, text.rows.clone(), column, size, block);
        let key = Converted::<F>::new(block, size);
        let keys = key.packed(size);
        copy_block(query, width, text.query_rows.clone(), column, size, block);
        let query = Activations::<F>::new(block, size, largest_factor(size));
        scores.clear();
        scores.resize(query.rows() * stride, 0.0);

        // Index of distance i - j in `places`, for i = j.
        let middle = places.len() / 2;
        for t in 0..query.tiles() {
            let tile = query.rows_of(t);
            let (first, rows) = (tile.start, tile.len());
            let scores = &mut scores[tile.start * stride..tile.end * stride];
            let panels = 0..stride / COLUMNS;
            multiply(isa, &query, t, &keys, panels, self.scale, scores);
            let Some(table) = &tables.keys else { continue };
            let reached = middle + 1 - first - rows..middle - first + text.rows.len();
            let (panels, start) = panels_of(&places[reached.clone()]);
            let width = panels.len() * COLUMNS;
            resize(band, rows * width);
            multiply(isa, &query, t, &table[index], panels, self.scale, band);
            for (r, (scores, band)) in
                scores.chunks_exact_mut(stride).zip(band.chunks_exact(width)).enumerate()
            {
                let places = &places[middle - first - r..][..text.rows.len()];
                if is_dense {
                    let band = &band[places[0] as usize - start..][..places.len()];
                    simd!(scores.iter_mut().zip(band).for_each(|(score, b)| *score += b));
                } else {
                    for (score, &place) in scores.iter_mut().zip(places) {
                        *score += band[place as usize - start];
                    }
                }
            }
        }
        let Some(table) = &tables.queries else { return };
        let queries = text.query_rows.len();
        let key = Activations::of(&key.numbers, &key.scales);
        for t in 0..key.tiles() {
            let tile = key.rows_of(t);
            let (first, rows) = (tile.start, tile.len());
            let reached = middle + 1 + first - queries..middle + first + rows;
            let (panels, start) = panels_of(&places[reached]);
            let width = panels.len() * COLUMNS;
            resize(band, rows * width);
            multiply(isa, &key, t, &table[index], panels, self.scale, band);
            for (i, scores) in scores.chunks_exact_mut(stride).enumerate() {
                let scores = &mut scores[first..first + rows];
                let places = &places[middle + first - i..][..rows];
                for (r, (score, &place)) in scores.iter_mut().zip(places).enumerate() {
                    *score += band[r * width + place as usize - start];
                }
            }
        }
    }
}

/// Writes the products of tile t with panels, times the scales of both sides and a factor, to `output`
/// [tile's rows, panels' columns].
fn multiply<F: Factor + Weight<Factor = F>>(
    isa: Isa,
    x: &Activations<F>,
    t: usize,
    packed: &Packed<F>,
    panels: Range<usize>,
    factor: f32,
    output: &mut [f32],
) {
    let tile = x.tile(t, &(0..x.steps()));
    let panel_numbers = x.steps() * F::STEP * COLUMNS;
    let width = panels.len() * COLUMNS;
    let row_scales = &x.scales()[x.rows_of(t)];
    for (place, panel) in panels.enumerate() {
        let mut sums = [[F::Sum::default(); COLUMNS]; ROWS];
        let numbers = &packed.numbers[panel * panel_numbers..][..panel_numbers];
        add(isa, tile, numbers, &mut sums[..row_scales.len()]);
        let scales = &packed.scales[panel * COLUMNS..][..COLUMNS];
        for (r, (sums, row_scale)) in sums.iter().zip(row_scales).enumerate() {
            let output = &mut output[r * width + place * COLUMNS..][..COLUMNS];
            for ((y, sum), scale) in output.iter_mut().zip(sums).zip(scales) {
                *y = sum.value() * (row_scale * factor * scale);
            }
        }
    }
}

/// Returns the panels that hold the rows from the first place to the last, and the first row in them.
fn panels_of(places: &[u32]) -> (Range<usize>, usize) {
    let (first, last) = (places[0] as usize, places[places.len() - 1] as usize);
    let panels = first / COLUMNS..last / COLUMNS + 1;
    (panels.clone(), panels.start * COLUMNS)
}

/// Computes the softmax of the scores, and the mean of the values with these weights.
fn weigh(
    head: &TextHead<'_>,
    values: &[f32],
    width: usize,
    scratch: &mut Scratch,
    context: &Columns,
) {
    let TextHead { text, column, size, stride, isa, .. } = *head;
    let keys = text.rows.len();
    for scores in scratch.scores.chunks_exact_mut(stride) {
        let (scores, rest) = scores.split_at_mut(keys);
        simd!(softmax(scores));
        rest.fill(0.0);
    }
    let weights = Activations::<f32>::new(&scratch.scores, stride, 0);
    let panels = size.div_ceil(COLUMNS);
    let packed = &mut scratch.values;
    packed.clear();
    packed.resize(panels * stride * COLUMNS, 0.0);
    for (p, panel) in packed.chunks_exact_mut(stride * COLUMNS).enumerate() {
        let columns = COLUMNS.min(size - p * COLUMNS);
        let first = text.rows.start * width + column + p * COLUMNS;
        for (j, place) in panel.chunks_exact_mut(COLUMNS).take(keys).enumerate() {
            let from = &values[first + j * width..][..columns];
            match <&[f32; COLUMNS]>::try_from(from) {
                // Of a size that the compiler knows: no call.
                Ok(from) => place.copy_from_slice(from),
                Err(_) => place[..columns].copy_from_slice(from),
            }
        }
    }
    for t in 0..weights.tiles() {
        let (rows, tile) = (weights.rows_of(t), weights.tile(t, &(0..stride)));
        for (p, panel) in packed.chunks_exact(stride * COLUMNS).enumerate() {
            let mut sums = [[0.0; COLUMNS]; ROWS];
            add(isa, tile, panel, &mut sums[..rows.len()]);
            let columns = COLUMNS.min(size - p * COLUMNS);
            for (row, sums) in rows.clone().zip(&sums) {
                let row = text.query_rows.start + row;
                context.put::<COLUMNS>(row, column + p * COLUMNS, columns, sums);
            }
        }
    }
    context.count(weights.rows() * size);
}

/// Copies rows of a block of columns, without a gap.
fn copy_block(
    matrix: &[f32],
    width: usize,
    rows: Range<usize>,
    column: usize,
    size: usize,
    block: &mut Vec<f32>,
) {
    block.clear();
    for row in rows {
        block.extend_from_slice(&matrix[row * width + column..][..size]);
    }
}

fn resize(buffer: &mut Vec<f32>, length: usize) {
    // The contents are overwritten.
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    } else {
        buffer.truncate(length);
    }
}
