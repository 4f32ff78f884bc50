//! Disentangled attention over packed texts (He et al., arXiv 2006.03654, equation 4).
//!
//! For query i and key j of one text and one head,
//!
//! ```text
//! score(i, j) = (q_i . k_j  +  q_i . pk(i - j)  +  k_j . pq(i - j)) * scale
//! context_i   = sum over j of dropout(softmax(score(i, .)))_j v_j
//! ```
//!
//! where pk and pq are projected relative-position rows. Their tables hold one row a distance, the
//! largest distance first, so that for a fixed query the rows of consecutive keys are consecutive:
//! the product of a block of queries, or of keys, with all rows that it can reach is a band matrix whose
//! row i is shifted by i. A text attends to its own rows only, so nothing is padded or masked.
//!
//! Mirrors `DisentangledSelfAttention.forward` and `disentangled_attention_bias`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L195-L349>.
//!
//! Rows are [tokens, heads * head_size]; a head is a block of columns.

mod bands;
mod head;
mod inference;
mod rows;
pub(super) mod types;

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::matmul::{Matrix, MatrixMut, Threads, multiply};
use super::{WriteMode, cuda, simd, sum_in_order, tensor_in, values};
use crate::Result;
use bands::{add_key_band, add_query_band, spread_key_band, spread_query_band};
use head::Head;
pub use inference::PositionTables;
use rows::{drop_out, softmax, softmax_backward};
use types::Text;
pub use types::{Attention, Operands, Queries, Stacked};

/// Texts that one task handles. Fixed, as the gradients of the position tables are summed first
/// within a task and then over tasks.
const TEXTS_PER_TASK: usize = 2;

/// The intermediate results that [`Attention::backward`] needs.
pub enum Saved {
    /// The probabilities on the CPU, text after text, head after head.
    Probabilities(Vec<f32>),
    /// The results from which a GPU computes the probabilities again.
    OnDevice(cuda::attention::Saved),
}

/// A slice of a mutable buffer that belongs to one task, addressed by the whole buffer's indices.
struct TaskSlice<'a> {
    values: &'a mut [f32],
    start: usize,
}

impl TaskSlice<'_> {
    fn from(&mut self, index: usize) -> &mut [f32] {
        &mut self.values[index - self.start..]
    }
}

/// The slices of the operands that all tasks read.
type Slices<'a> = Operands<&'a [f32]>;

impl Attention {
    /// Returns the context [queries, width], in the operands' format, and what
    /// [`backward`](Self::backward) needs. On the CPU the operands are contiguous.
    pub fn forward(&self, operands: &Operands<Tensor>) -> Result<(Tensor, Saved)> {
        if cuda::takes(&operands.query) {
            let (context, saved) = match cuda::ways::attention_goes_plain(operands.query.dtype()) {
                true => cuda::ways::forward(self, operands)?,
                false => cuda::attention::forward(self, operands)?,
            };
            return Ok((context, Saved::OnDevice(saved)));
        }
        let (query_rows, width) = operands.query.dims2()?;
        let borrowed = operands.map(values)?;
        let slices = borrowed.map(|values| Ok(&**values))?;
        let tasks = self.tasks();
        let mut context = vec![0.0; query_rows * width];
        let mut probabilities = vec![0.0; scores_end(&tasks)];
        let contexts = task_slices(&mut context, &tasks, |text| scaled(&text.query_rows, width));
        let scores = task_slices(&mut probabilities, &tasks, |text| text.scores.clone());
        tasks.par_iter().zip(contexts).zip(scores).for_each(
            |((texts, mut context), mut probabilities)| {
                let mut scratch = Vec::new();
                for text in texts {
                    for head in 0..self.heads {
                        self.forward_head(
                            &self.head(text, head, width),
                            &slices,
                            &mut context,
                            &mut probabilities,
                            &mut scratch,
                        );
                    }
                }
            },
        );
        let context = tensor_in(operands.query.dtype(), context, (query_rows, width))?;
        Ok((context, Saved::Probabilities(probabilities)))
    }

    /// Returns the gradients of all operands, in their formats, given that of the context
    /// [queries, width].
    pub fn backward(
        &self,
        gradient: &Tensor,
        operands: &Operands<Tensor>,
        saved: &Saved,
    ) -> Result<Operands<Tensor>> {
        let probabilities = match saved {
            Saved::Probabilities(probabilities) => probabilities,
            Saved::OnDevice(saved) => {
                return match cuda::ways::attention_goes_plain(gradient.dtype()) {
                    true => cuda::ways::backward(self, gradient, operands, saved),
                    false => cuda::attention::backward(self, gradient, operands, saved),
                };
            }
        };
        let (query_rows, width) = operands.query.dims2()?;
        let (rows, _) = operands.key.dims2()?;
        let (format, positions) = (operands.query.dtype(), 2 * self.longest() - 1);
        let gradient = values(gradient)?;
        let borrowed = operands.map(values)?;
        let slices = borrowed.map(|values| Ok(&**values))?;
        let tasks = self.tasks();

        let mut by_query = vec![0.0; query_rows * width];
        let [mut by_key, mut by_value] = [(); 2].map(|()| vec![0.0; rows * width]);
        let queries = task_slices(&mut by_query, &tasks, |text| scaled(&text.query_rows, width));
        let keys = task_slices(&mut by_key, &tasks, |text| scaled(&text.rows, width));
        let outputs = task_slices(&mut by_value, &tasks, |text| scaled(&text.rows, width));
        let table = |used: bool| vec![0.0; if used { positions * width } else { 0 }];

        let (by_position_key, by_position_query): (Vec<_>, Vec<_>) = tasks
            .par_iter()
            .zip(queries.into_par_iter().zip(keys).zip(outputs))
            .map(|(texts, ((mut query, mut key), mut value))| {
                let mut position_key = table(slices.position_key.is_some());
                let mut position_query = table(slices.position_query.is_some());
                let mut scratch = BackwardScratch::default();
                for text in texts {
                    for head in 0..self.heads {
                        let mut outputs = HeadGradients {
                            query: &mut query,
                            key: &mut key,
                            value: &mut value,
                            position_key: &mut position_key,
                            position_query: &mut position_query,
                        };
                        self.backward_head(
                            &self.head(text, head, width),
                            &slices,
                            &gradient,
                            probabilities,
                            &mut outputs,
                            &mut scratch,
                        );
                    }
                }
                (position_key, position_query)
            })
            .unzip();

        let table = |used: bool, partial: Vec<Vec<f32>>| -> Result<Option<Tensor>> {
            if !used {
                return Ok(None);
            }
            let sum = sum_in_order(partial, positions * width);
            tensor_in(format, sum, (positions, width)).map(Some)
        };
        Ok(Operands {
            query: tensor_in(format, by_query, (query_rows, width))?,
            key: tensor_in(format, by_key, (rows, width))?,
            value: tensor_in(format, by_value, (rows, width))?,
            position_key: table(slices.position_key.is_some(), by_position_key)?,
            position_query: table(slices.position_query.is_some(), by_position_query)?,
        })
    }

    /// [`forward`](Self::forward), where the operands are blocks of columns.
    pub fn forward_stacked(&self, stacked: &Stacked) -> Result<(Tensor, Saved)> {
        let blocks = stacked.operands()?;
        match cuda::takes(&stacked.positions) {
            true => self.forward(&blocks),
            false => self.forward(&blocks.map(|block| Ok(block.contiguous()?))?),
        }
    }

    /// [`backward`](Self::backward), where the operands and their gradients are blocks of columns. `positions` has the
    /// gradients of layers that have been here before; it is changed.
    pub fn backward_stacked(
        &self,
        gradient: &Tensor,
        stacked: &Stacked,
        saved: &Saved,
        positions: Option<Tensor>,
    ) -> Result<Stacked> {
        if let Saved::OnDevice(saved) = saved {
            return match cuda::ways::attention_goes_plain(gradient.dtype()) {
                true => cuda::ways::backward_stacked(self, gradient, stacked, saved, positions),
                false => {
                    cuda::attention::backward_stacked(self, gradient, stacked, saved, positions)
                }
            };
        }
        let blocks = stacked.operands()?.map(|block| Ok(block.contiguous()?))?;
        let found = self.backward(gradient, &blocks, saved)?;
        let rows = match stacked.rows.len() {
            1 => vec![Tensor::cat(&[&found.query, &found.key, &found.value], 1)?],
            _ => vec![found.query, Tensor::cat(&[&found.key, &found.value], 1)?],
        };
        let all = positions.map_or_else(|| stacked.positions.zeros_like(), Ok)?;
        let (width, end) = (blocks.query.dim(1)?, all.dim(1)?);
        let [begin, next] = [stacked.layer, stacked.layer + 1].map(|layer| 2 * layer * width);
        let (before, after) = (all.narrow(1, 0, begin)?, all.narrow(1, next, end - next)?);
        let [query, key] = [found.position_query, found.position_key].map(|x| x.expect("stacked"));
        let positions = Tensor::cat(&[&before, &query, &key, &after], 1)?;
        Ok(Stacked { rows, positions, layer: stacked.layer })
    }

    /// The texts in groups, one a task.
    fn tasks(&self) -> Vec<Vec<Text>> {
        let mut texts = self.texts().into_iter().peekable();
        let mut tasks = Vec::new();
        while texts.peek().is_some() {
            tasks.push(texts.by_ref().take(TEXTS_PER_TASK).collect());
        }
        tasks
    }

    fn head(&self, text: &Text, head: usize, width: usize) -> Head {
        let (keys, queries) = (text.rows.len(), text.query_rows.len());
        let size = width / self.heads;
        let column = head * size;
        Head {
            keys,
            queries,
            size,
            width,
            query_at: text.query_rows.start * width + column,
            key_at: text.rows.start * width + column,
            position_at: (self.longest() - queries) * width + column,
            scores_at: text.scores.start + head * queries * keys,
            score_columns: keys,
        }
    }

    fn forward_head(
        &self,
        head: &Head,
        slices: &Slices<'_>,
        context: &mut TaskSlice<'_>,
        probabilities: &mut TaskSlice<'_>,
        scratch: &mut Vec<f32>,
    ) {
        let Head { keys, queries, .. } = *head;
        let scores = &mut probabilities.from(head.scores_at)[..queries * keys];
        let query = head.queries(slices.query);
        let key = head.keys(slices.key);
        let output = MatrixMut::new(scores, queries, keys);
        multiply(output, query, key.transposed(), self.scale, WriteMode::Replace, Threads::One);

        if let Some(table) = slices.position_key {
            for block in head.blocks_of_queries() {
                let rows = block.queries(slices.query);
                let band = band(rows, block.positions(table), self.scale, scratch);
                simd!(add_query_band(&mut scores[head.to(&block)..], band, &block));
            }
        }
        if let Some(table) = slices.position_query {
            for block in head.blocks_of_keys() {
                let rows = block.keys(slices.key);
                let band = band(rows, block.positions(table), self.scale, scratch);
                simd!(add_key_band(&mut scores[head.to(&block)..], band, &block));
            }
        }
        simd!(scores.chunks_exact_mut(keys).for_each(softmax));

        let weights = match self.mask {
            None => &*scores,
            Some(mask) => {
                let dropped = resized(scratch, scores.len());
                simd!(drop_out(dropped, scores, mask, head.scores_at));
                dropped
            }
        };
        let output = head.queries_mut(context.from(head.query_at));
        let weights = Matrix::new(weights, queries, keys);
        let value = head.keys(slices.value);
        multiply(output, weights, value, 1.0, WriteMode::Replace, Threads::One);
    }

    fn backward_head(
        &self,
        head: &Head,
        slices: &Slices<'_>,
        gradient: &[f32],
        probabilities: &[f32],
        outputs: &mut HeadGradients<'_, '_>,
        scratch: &mut BackwardScratch,
    ) {
        let Head { keys, queries, .. } = *head;
        let probabilities = &probabilities[head.scores_at..][..queries * keys];
        let gradient = head.queries(gradient);

        // By the values, through the probabilities after dropout.
        let weights = match self.mask {
            None => probabilities,
            Some(mask) => {
                let dropped = resized(&mut scratch.scores, probabilities.len());
                simd!(drop_out(dropped, probabilities, mask, head.scores_at));
                dropped
            }
        };
        let output = head.keys_mut(outputs.value.from(head.key_at));
        let weights = Matrix::new(weights, queries, keys).transposed();
        multiply(output, weights, gradient, 1.0, WriteMode::Replace, Threads::One);

        // By the scores, through dropout and softmax.
        let by_scores = resized(&mut scratch.scores, queries * keys);
        let output = MatrixMut::new(by_scores, queries, keys);
        let value = head.keys(slices.value).transposed();
        multiply(output, gradient, value, 1.0, WriteMode::Replace, Threads::One);
        simd!({
            if let Some(mask) = self.mask {
                for (i, g) in by_scores.iter_mut().enumerate() {
                    *g *= mask.factor(head.scores_at + i);
                }
            }
            let rows = by_scores.chunks_exact_mut(keys).zip(probabilities.chunks_exact(keys));
            for (by_scores, probabilities) in rows {
                softmax_backward(by_scores, probabilities, self.scale);
            }
        });

        // By queries and keys, through the content scores.
        let (query, key) = (head.queries(slices.query), head.keys(slices.key));
        let scores = Matrix::new(by_scores, queries, keys);
        let output = head.queries_mut(outputs.query.from(head.query_at));
        multiply(output, scores, key, 1.0, WriteMode::Replace, Threads::One);
        let output = head.keys_mut(outputs.key.from(head.key_at));
        multiply(output, scores.transposed(), query, 1.0, WriteMode::Replace, Threads::One);

        // And through the two bands, to which the position tables contribute.
        if let Some(table) = slices.position_key {
            for block in head.blocks_of_queries() {
                let band = resized(&mut scratch.band, block.queries * block.reach());
                spread_query_band(band, &by_scores[head.to(&block)..], &block);
                let band = Matrix::new(band, block.queries, block.reach());
                let factors = (block.queries(slices.query), block.positions(table));
                let by_rows = block.queries_mut(outputs.query.from(block.query_at));
                let by_table = block.positions_mut(outputs.position_key);
                band_backward(band, factors, by_rows, by_table);
            }
        }
        if let Some(table) = slices.position_query {
            for block in head.blocks_of_keys() {
                let band = resized(&mut scratch.band, block.keys * block.reach());
                spread_key_band(band, &by_scores[head.to(&block)..], &block);
                let band = Matrix::new(band, block.keys, block.reach());
                let factors = (block.keys(slices.key), block.positions(table));
                let by_rows = block.keys_mut(outputs.key.from(block.key_at));
                let by_table = block.positions_mut(outputs.position_query);
                band_backward(band, factors, by_rows, by_table);
            }
        }
    }
}

impl PositionTables {
    /// Whether inference on the device of `tensor` reads such tables. The CPU's does; a GPU projects only the
    /// positions that a batch can reach.
    pub fn are_read_beside(tensor: &Tensor) -> bool {
        !cuda::takes(tensor)
    }
}

/// The slices to which one task writes its gradients.
struct HeadGradients<'a, 'b> {
    query: &'a mut TaskSlice<'b>,
    key: &'a mut TaskSlice<'b>,
    value: &'a mut TaskSlice<'b>,
    position_key: &'a mut [f32],
    position_query: &'a mut [f32],
}

#[derive(Default)]
struct BackwardScratch {
    scores: Vec<f32>,
    band: Vec<f32>,
}

/// Returns the band of some queries or keys, `scale * rows * table^T`, in `scratch`.
fn band<'a>(
    rows: Matrix<'_>,
    table: Matrix<'_>,
    scale: f32,
    scratch: &'a mut Vec<f32>,
) -> &'a mut [f32] {
    let band = resized(scratch, rows.rows * table.rows);
    let output = MatrixMut::new(band, rows.rows, table.rows);
    multiply(output, rows, table.transposed(), scale, WriteMode::Replace, Threads::One);
    band
}

/// Adds the gradients of the factors of a band, given its own times the scale.
fn band_backward(
    gradient: Matrix<'_>,
    (rows, table): (Matrix<'_>, Matrix<'_>),
    by_rows: MatrixMut<'_>,
    by_table: MatrixMut<'_>,
) {
    multiply(by_rows, gradient, table, 1.0, WriteMode::Add, Threads::One);
    multiply(by_table, gradient.transposed(), rows, 1.0, WriteMode::Add, Threads::One);
}

fn scores_end(tasks: &[Vec<Text>]) -> usize {
    tasks.last().and_then(|texts| texts.last()).map_or(0, |text| text.scores.end)
}

fn scaled(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Shares a buffer out among the tasks, whose texts lie one after another in it.
fn task_slices<'a>(
    mut values: &'a mut [f32],
    tasks: &[Vec<Text>],
    extent: impl Fn(&Text) -> Range<usize>,
) -> Vec<TaskSlice<'a>> {
    let mut start = 0;
    tasks
        .iter()
        .map(|texts| {
            let end = texts.last().map_or(start, |text| extent(text).end);
            let (part, rest) = std::mem::take(&mut values).split_at_mut(end - start);
            values = rest;
            TaskSlice { values: part, start: std::mem::replace(&mut start, end) }
        })
        .collect()
}

/// The first `len` elements of a scratch buffer, whatever they hold.
fn resized(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    &mut scratch[..len]
}

#[cfg(test)]
mod tests;
