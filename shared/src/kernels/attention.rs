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
//! a product with all rows that a text can reach is a band matrix whose row i is shifted by i. No
//! text sees another one's rows, so nothing is padded and nothing masked.
//!
//! Rows are [tokens, heads * head_size]; a head is a block of columns.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::matmul::{Matrix, MatrixMut, Threads, Write, multiply, sum_in_order};
use super::random::DropoutMask;
use super::{lanes_sum, scalar, simd, tensor, values};
use crate::Result;

/// Texts that one task handles. Fixed, for the gradients of the position tables are summed first
/// within a task and then over tasks.
const TEXTS_PER_TASK: usize = 2;

/// Which rows ask: every token, or only the first of each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    All,
    First,
}

/// One attention over a packed batch.
#[derive(Clone)]
pub struct Attention {
    /// Text t has the rows `offsets[t]..offsets[t + 1]`.
    pub offsets: Arc<[usize]>,
    pub heads: usize,
    pub queries: Queries,
    pub scale: f32,
    /// Of the probabilities.
    pub mask: Option<DropoutMask>,
}

/// The operands: queries [texts or tokens, width], keys and values [tokens, width], and the tables
/// of projected positions [2 * longest - 1, width], whose row r is for i - j = longest - 1 - r.
#[derive(Clone)]
pub struct Operands<T> {
    pub query: T,
    pub key: T,
    pub value: T,
    pub position_key: Option<T>,
    pub position_query: Option<T>,
}

/// What the backward pass needs: the probabilities, text after text, head after head.
pub struct Probabilities(Vec<f32>);

/// One text's share of a task.
struct Text {
    /// Its rows among the keys.
    rows: Range<usize>,
    /// Its rows among the queries.
    query_rows: Range<usize>,
    /// Its elements among the probabilities.
    scores: Range<usize>,
}

/// A part of a mutable buffer that belongs to one task, addressed by the whole buffer's indices.
struct Part<'a> {
    values: &'a mut [f32],
    start: usize,
}

impl Part<'_> {
    fn from(&mut self, index: usize) -> &mut [f32] {
        &mut self.values[index - self.start..]
    }
}

/// The slices of the operands that all tasks read.
type Slices<'a> = Operands<&'a [f32]>;

impl<T> Operands<T> {
    pub(crate) fn map<'a, U>(
        &'a self,
        mut f: impl FnMut(&'a T) -> Result<U>,
    ) -> Result<Operands<U>> {
        Ok(Operands {
            query: f(&self.query)?,
            key: f(&self.key)?,
            value: f(&self.value)?,
            position_key: self.position_key.as_ref().map(&mut f).transpose()?,
            position_query: self.position_query.as_ref().map(&mut f).transpose()?,
        })
    }
}

impl Attention {
    /// Returns the context [queries, width] and the probabilities for `backward`.
    pub fn forward(&self, operands: &Operands<Tensor>) -> Result<(Tensor, Probabilities)> {
        let (query_rows, width) = operands.query.dims2()?;
        let borrowed = operands.map(values)?;
        let slices = borrowed.map(|values| Ok(&**values))?;
        let tasks = self.tasks();
        let mut context = vec![0.0; query_rows * width];
        let mut probabilities = vec![0.0; self.scores_end(&tasks)];
        let contexts = parts(&mut context, &tasks, |text| scaled(&text.query_rows, width));
        let scores = parts(&mut probabilities, &tasks, |text| text.scores.clone());
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
        Ok((tensor(context, (query_rows, width))?, Probabilities(probabilities)))
    }

    /// The gradients of all operands, given that of the context.
    pub fn backward(
        &self,
        gradient: &Tensor,
        operands: &Operands<Tensor>,
        probabilities: &Probabilities,
    ) -> Result<Operands<Tensor>> {
        let (query_rows, width) = operands.query.dims2()?;
        let (rows, _) = operands.key.dims2()?;
        let positions = 2 * self.longest() - 1;
        let gradient = values(gradient)?;
        let borrowed = operands.map(values)?;
        let slices = borrowed.map(|values| Ok(&**values))?;
        let tasks = self.tasks();

        let mut by_query = vec![0.0; query_rows * width];
        let [mut by_key, mut by_value] = [(); 2].map(|()| vec![0.0; rows * width]);
        let queries = parts(&mut by_query, &tasks, |text| scaled(&text.query_rows, width));
        let keys = parts(&mut by_key, &tasks, |text| scaled(&text.rows, width));
        let outputs = parts(&mut by_value, &tasks, |text| scaled(&text.rows, width));
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
                            &probabilities.0,
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
            tensor(sum_in_order(partial, positions * width), (positions, width)).map(Some)
        };
        Ok(Operands {
            query: tensor(by_query, (query_rows, width))?,
            key: tensor(by_key, (rows, width))?,
            value: tensor(by_value, (rows, width))?,
            position_key: table(slices.position_key.is_some(), by_position_key)?,
            position_query: table(slices.position_query.is_some(), by_position_query)?,
        })
    }

    fn longest(&self) -> usize {
        self.offsets.windows(2).map(|text| text[1] - text[0]).max().unwrap_or(1)
    }

    /// The texts in groups, each with its place in the operands and among the probabilities.
    fn tasks(&self) -> Vec<Vec<Text>> {
        let mut scores = 0;
        let texts: Vec<Text> = self
            .offsets
            .windows(2)
            .enumerate()
            .map(|(t, offsets)| {
                let rows = offsets[0]..offsets[1];
                let query_rows = match self.queries {
                    Queries::All => rows.clone(),
                    Queries::First => t..t + 1,
                };
                let start = scores;
                scores += self.heads * rows.len() * query_rows.len();
                Text { rows, query_rows, scores: start..scores }
            })
            .collect();
        let mut texts = texts.into_iter().peekable();
        let mut tasks = Vec::new();
        while texts.peek().is_some() {
            tasks.push(texts.by_ref().take(TEXTS_PER_TASK).collect());
        }
        tasks
    }

    fn scores_end(&self, tasks: &[Vec<Text>]) -> usize {
        tasks.last().and_then(|texts| texts.last()).map_or(0, |text| text.scores.end)
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
        }
    }

    fn forward_head(
        &self,
        head: &Head,
        slices: &Slices<'_>,
        context: &mut Part<'_>,
        probabilities: &mut Part<'_>,
        scratch: &mut Vec<f32>,
    ) {
        let Head { keys, queries, .. } = *head;
        let scores = &mut probabilities.from(head.scores_at)[..queries * keys];
        let query = head.queries(slices.query);
        let key = head.keys(slices.key);
        let output = MatrixMut::new(scores, queries, keys);
        multiply(output, query, key.transposed(), self.scale, Write::Replace, Threads::One);

        if let Some(table) = slices.position_key {
            let band = resized(scratch, queries * head.reach());
            let output = MatrixMut::new(band, queries, head.reach());
            let table = head.positions(table).transposed();
            multiply(output, query, table, self.scale, Write::Replace, Threads::One);
            simd(|| add_query_band(scores, band, head));
        }
        if let Some(table) = slices.position_query {
            let band = resized(scratch, keys * head.reach());
            let output = MatrixMut::new(band, keys, head.reach());
            let table = head.positions(table).transposed();
            multiply(output, key, table, self.scale, Write::Replace, Threads::One);
            simd(|| add_key_band(scores, band, head));
        }
        simd(|| scores.chunks_exact_mut(keys).for_each(softmax));

        let weights = match self.mask {
            None => &*scores,
            Some(mask) => {
                let dropped = resized(scratch, scores.len());
                simd(|| drop_out(dropped, scores, mask, head.scores_at));
                dropped
            }
        };
        let output = head.queries_mut(context.from(head.query_at));
        let weights = Matrix::new(weights, queries, keys);
        let value = head.keys(slices.value);
        multiply(output, weights, value, 1.0, Write::Replace, Threads::One);
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
                simd(|| drop_out(dropped, probabilities, mask, head.scores_at));
                dropped
            }
        };
        let output = head.keys_mut(outputs.value.from(head.key_at));
        let weights = Matrix::new(weights, queries, keys).transposed();
        multiply(output, weights, gradient, 1.0, Write::Replace, Threads::One);

        // By the scores, through dropout and softmax.
        let by_scores = resized(&mut scratch.scores, queries * keys);
        let output = MatrixMut::new(by_scores, queries, keys);
        let value = head.keys(slices.value).transposed();
        multiply(output, gradient, value, 1.0, Write::Replace, Threads::One);
        simd(|| {
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
        multiply(output, scores, key, 1.0, Write::Replace, Threads::One);
        let output = head.keys_mut(outputs.key.from(head.key_at));
        multiply(output, scores.transposed(), query, 1.0, Write::Replace, Threads::One);

        // And through the two bands, to which the position tables contribute.
        if let Some(table) = slices.position_key {
            let band = resized(&mut scratch.band, queries * head.reach());
            spread_query_band(band, by_scores, head);
            let band = Matrix::new(band, queries, head.reach());
            let output = head.queries_mut(outputs.query.from(head.query_at));
            multiply(output, band, head.positions(table), 1.0, Write::Add, Threads::One);
            let output = head.positions_mut(outputs.position_key);
            multiply(output, band.transposed(), query, 1.0, Write::Add, Threads::One);
        }
        if let Some(table) = slices.position_query {
            let band = resized(&mut scratch.band, keys * head.reach());
            spread_key_band(band, by_scores, head);
            let band = Matrix::new(band, keys, head.reach());
            let output = head.keys_mut(outputs.key.from(head.key_at));
            multiply(output, band, head.positions(table), 1.0, Write::Add, Threads::One);
            let output = head.positions_mut(outputs.position_query);
            multiply(output, band.transposed(), key, 1.0, Write::Add, Threads::One);
        }
    }
}

/// One head of one text: its extent, and where it begins in each buffer.
struct Head {
    keys: usize,
    queries: usize,
    /// Columns of this head.
    size: usize,
    /// Columns of all heads.
    width: usize,
    query_at: usize,
    key_at: usize,
    /// In the position tables: the row of distance `queries - 1`, the largest that occurs.
    position_at: usize,
    scores_at: usize,
}

impl Head {
    /// How many distances i - j occur.
    fn reach(&self) -> usize {
        self.keys + self.queries - 1
    }

    fn queries<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&values[self.query_at..], self.queries, self.size, self.width)
    }

    fn keys<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&values[self.key_at..], self.keys, self.size, self.width)
    }

    fn positions<'a>(&self, table: &'a [f32]) -> Matrix<'a> {
        Matrix::strided(&table[self.position_at..], self.reach(), self.size, self.width)
    }

    fn queries_mut<'a>(&self, from: &'a mut [f32]) -> MatrixMut<'a> {
        MatrixMut::strided(from, self.queries, self.size, self.width)
    }

    fn keys_mut<'a>(&self, from: &'a mut [f32]) -> MatrixMut<'a> {
        MatrixMut::strided(from, self.keys, self.size, self.width)
    }

    fn positions_mut<'a>(&self, table: &'a mut [f32]) -> MatrixMut<'a> {
        let from = &mut table[self.position_at..];
        MatrixMut::strided(from, self.reach(), self.size, self.width)
    }

    /// Where in a band of rows of `reach` the distances of query i begin.
    fn shift(&self, i: usize) -> usize {
        self.queries - 1 - i
    }
}

/// Where one task writes its gradients.
struct HeadGradients<'a, 'b> {
    query: &'a mut Part<'b>,
    key: &'a mut Part<'b>,
    value: &'a mut Part<'b>,
    position_key: &'a mut [f32],
    position_query: &'a mut [f32],
}

#[derive(Default)]
struct BackwardScratch {
    scores: Vec<f32>,
    band: Vec<f32>,
}

/// score(i, j) += band[i, distance(i, j)].
#[inline(always)]
fn add_query_band(scores: &mut [f32], band: &[f32], head: &Head) {
    let rows = scores.chunks_exact_mut(head.keys).zip(band.chunks_exact(head.reach()));
    for (i, (scores, band)) in rows.enumerate() {
        for (s, b) in scores.iter_mut().zip(&band[head.shift(i)..]) {
            *s += b;
        }
    }
}

/// score(i, j) += band[j, distance(i, j)].
#[inline(always)]
fn add_key_band(scores: &mut [f32], band: &[f32], head: &Head) {
    let diagonal = head.reach() + 1;
    for (i, scores) in scores.chunks_exact_mut(head.keys).enumerate() {
        for (s, b) in scores.iter_mut().zip(band[head.shift(i)..].iter().step_by(diagonal)) {
            *s += b;
        }
    }
}

/// band[i, distance(i, j)] = score(i, j), zero elsewhere: the transpose of `add_query_band`.
fn spread_query_band(band: &mut [f32], scores: &[f32], head: &Head) {
    band.fill(0.0);
    let rows = band.chunks_exact_mut(head.reach()).zip(scores.chunks_exact(head.keys));
    for (i, (band, scores)) in rows.enumerate() {
        band[head.shift(i)..][..head.keys].copy_from_slice(scores);
    }
}

/// band[j, distance(i, j)] = score(i, j), zero elsewhere: the transpose of `add_key_band`.
fn spread_key_band(band: &mut [f32], scores: &[f32], head: &Head) {
    band.fill(0.0);
    let diagonal = head.reach() + 1;
    for (i, scores) in scores.chunks_exact(head.keys).enumerate() {
        for (b, s) in band[head.shift(i)..].iter_mut().step_by(diagonal).zip(scores) {
            *b = *s;
        }
    }
}

/// The softmax of a row, in place.
#[inline(always)]
fn softmax(row: &mut [f32]) {
    let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| if x > max { x } else { max });
    for x in row.iter_mut() {
        *x = scalar::exp(*x - max);
    }
    let sum = lanes_sum(row, |x| x);
    let inverse = 1.0 / sum;
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// From the gradient of a row of probabilities to that of its scores, in place:
/// p (g - sum of p g) * scale.
#[inline(always)]
fn softmax_backward(gradient: &mut [f32], probabilities: &[f32], scale: f32) {
    for (g, p) in gradient.iter_mut().zip(probabilities) {
        *g *= p;
    }
    let sum = lanes_sum(gradient, |x| x);
    for (g, p) in gradient.iter_mut().zip(probabilities) {
        *g = (*g - p * sum) * scale;
    }
}

#[inline(always)]
fn drop_out(output: &mut [f32], input: &[f32], mask: DropoutMask, start: usize) {
    for (i, (y, x)) in output.iter_mut().zip(input).enumerate() {
        *y = x * mask.factor(start + i);
    }
}

fn scaled(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

/// Shares a buffer out among the tasks, whose texts lie one after another in it.
fn parts<'a>(
    mut values: &'a mut [f32],
    tasks: &[Vec<Text>],
    extent: impl Fn(&Text) -> Range<usize>,
) -> Vec<Part<'a>> {
    let mut start = 0;
    tasks
        .iter()
        .map(|texts| {
            let end = texts.last().map_or(start, |text| extent(text).end);
            let (part, rest) = std::mem::take(&mut values).split_at_mut(end - start);
            values = rest;
            Part { values: part, start: std::mem::replace(&mut start, end) }
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
mod tests {
    use super::super::random::RandomKey;
    use super::super::tests::{assert_close, assert_gradient, random, weighted_sum};
    use super::*;

    const HEADS: usize = 2;
    const SIZE: usize = 5;
    const WIDTH: usize = HEADS * SIZE;
    const LENGTHS: [usize; 4] = [3, 1, 7, 2];
    const LONGEST: usize = 7;

    fn attention(queries: Queries, mask: Option<DropoutMask>) -> Attention {
        let mut offsets = vec![0];
        for length in LENGTHS {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        Attention { offsets: offsets.into(), heads: HEADS, queries, scale: 0.4, mask }
    }

    fn operands(queries: Queries) -> Operands<Vec<f32>> {
        let tokens: usize = LENGTHS.iter().sum();
        let query_rows = if queries == Queries::All { tokens } else { LENGTHS.len() };
        Operands {
            query: random(query_rows * WIDTH, 1),
            key: random(tokens * WIDTH, 2),
            value: random(tokens * WIDTH, 3),
            position_key: Some(random((2 * LONGEST - 1) * WIDTH, 4)),
            position_query: Some(random((2 * LONGEST - 1) * WIDTH, 5)),
        }
    }

    fn run(attention: &Attention, operands: &Operands<Vec<f32>>) -> (Tensor, Probabilities) {
        attention.forward(&tensors(operands)).unwrap()
    }

    fn tensors(operands: &Operands<Vec<f32>>) -> Operands<Tensor> {
        operands.map(|x| tensor(x.clone(), (x.len() / WIDTH, WIDTH))).unwrap()
    }

    /// The formula of the module's documentation, in f64, one element at a time.
    fn reference(attention: &Attention, x: &Operands<Vec<f32>>) -> Vec<f32> {
        let dot = |a: &[f32], i: usize, b: &[f32], j: usize, head: usize| -> f64 {
            let at = |m: &[f32], row, c| f64::from(m[row * WIDTH + head * SIZE + c]);
            (0..SIZE).map(|c| at(a, i, c) * at(b, j, c)).sum()
        };
        let mut context = vec![0.0; x.query.len()];
        let mut element = 0;
        for (t, text) in attention.offsets.windows(2).enumerate() {
            let keys = text[1] - text[0];
            let queries = if attention.queries == Queries::All { keys } else { 1 };
            let first = if attention.queries == Queries::All { text[0] } else { t };
            for head in 0..HEADS {
                for i in 0..queries {
                    let scores = (0..keys).map(|j| {
                        let (q, k, position) = (first + i, text[0] + j, LONGEST - 1 + j - i);
                        let mut score = dot(&x.query, q, &x.key, k, head);
                        if let Some(table) = &x.position_key {
                            score += dot(&x.query, q, table, position, head);
                        }
                        if let Some(table) = &x.position_query {
                            score += dot(&x.key, k, table, position, head);
                        }
                        (score * f64::from(attention.scale)).exp()
                    });
                    let scores: Vec<f64> = scores.collect();
                    let sum: f64 = scores.iter().sum();
                    for (j, score) in scores.iter().enumerate() {
                        let factor = attention.mask.map_or(1.0, |mask| mask.factor(element));
                        let weight = score / sum * f64::from(factor);
                        element += 1;
                        for c in head * SIZE..(head + 1) * SIZE {
                            let value = f64::from(x.value[(text[0] + j) * WIDTH + c]);
                            context[(first + i) * WIDTH + c] += (weight * value) as f32;
                        }
                    }
                }
            }
        }
        context
    }

    #[test]
    fn agrees_with_the_formula_whatever_the_terms() {
        let mask = DropoutMask::new(0.3, RandomKey::new(1, 1));
        for queries in [Queries::All, Queries::First] {
            for mask in [None, Some(mask)] {
                for (with_key, with_query) in
                    [(true, true), (true, false), (false, true), (false, false)]
                {
                    let attention = attention(queries, mask);
                    let mut x = operands(queries);
                    x.position_key = x.position_key.filter(|_| with_key);
                    x.position_query = x.position_query.filter(|_| with_query);
                    let (context, _) = run(&attention, &x);
                    assert_close(&values(&context).unwrap(), &reference(&attention, &x), 1e-6);
                }
            }
        }
    }

    #[test]
    fn gradients_are_the_slopes() {
        let mask = Some(DropoutMask::new(0.3, RandomKey::new(1, 1)));
        for queries in [Queries::All, Queries::First] {
            let attention = attention(queries, mask);
            let x = operands(queries);
            let (context, probabilities) = run(&attention, &x);
            let weights = random(x.query.len(), 9);
            let gradient = tensor(weights.clone(), context.shape()).unwrap();
            let found = attention.backward(&gradient, &tensors(&x), &probabilities).unwrap();
            let loss = |x: &Operands<Vec<f32>>| {
                weighted_sum(&values(&run(&attention, x).0).unwrap(), &weights)
            };
            let at = |t: &Tensor| values(t).unwrap().to_vec();
            let with = |set: &dyn Fn(&mut Operands<Vec<f32>>)| {
                let mut changed = x.clone();
                set(&mut changed);
                loss(&changed)
            };
            assert_gradient(&x.query, &at(&found.query), |q| with(&|x| x.query = q.to_vec()));
            assert_gradient(&x.key, &at(&found.key), |k| with(&|x| x.key = k.to_vec()));
            assert_gradient(&x.value, &at(&found.value), |v| with(&|x| x.value = v.to_vec()));
            assert_gradient(
                x.position_key.as_ref().unwrap(),
                &at(found.position_key.as_ref().unwrap()),
                |p| with(&|x| x.position_key = Some(p.to_vec())),
            );
            assert_gradient(
                x.position_query.as_ref().unwrap(),
                &at(found.position_query.as_ref().unwrap()),
                |p| with(&|x| x.position_query = Some(p.to_vec())),
            );
        }
    }
}
