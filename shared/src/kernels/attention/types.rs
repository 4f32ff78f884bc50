//! One attention: its operands and the extent of its texts, for the CPU's kernels and the GPU's.

use std::ops::Range;

use candle_core::Tensor;

use crate::Result;
use crate::kernels::CumulativeSeqLengths;
use crate::kernels::random::DropoutMask;

/// The rows that are queries: every token, or only the first of each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    /// Every token of every text.
    All,
    /// The first token of each text, `[CLS]`.
    First,
}

/// One attention over a packed batch.
#[derive(Clone)]
pub struct Attention {
    /// Text t has the rows `cumulative_seq_lengths[t]..cumulative_seq_lengths[t + 1]` of keys and values.
    pub cumulative_seq_lengths: CumulativeSeqLengths,
    /// The number of heads, which divides the operands' width.
    pub heads: usize,
    /// The rows for which a context is computed.
    pub queries: Queries,
    /// The factor of the scores before the softmax.
    pub scale: f32,
    /// Dropout of the probabilities.
    pub mask: Option<DropoutMask>,
}

/// The operands of one attention, or what belongs to each of them, such as its gradient.
#[derive(Clone)]
pub struct Operands<T> {
    /// Queries [texts or tokens, width].
    pub query: T,
    /// Keys [tokens, width].
    pub key: T,
    /// Values [tokens, width].
    pub value: T,
    /// Relative positions projected as keys [2 * longest - 1, width], where `longest` is the length of the
    /// longest text: row r is for i - j = longest - 1 - r. `None` leaves their term out.
    pub position_key: Option<T>,
    /// Relative positions projected as queries, likewise.
    pub position_query: Option<T>,
}

/// The operands as blocks of columns of larger matrices, each the output of one product.
pub struct Stacked {
    /// Queries, keys and values: [tokens, 3 * width], or queries [texts, width] and the others [tokens, 2 * width].
    pub rows: Vec<Tensor>,
    /// The position queries and position keys of several layers [2 * longest - 1, layers * 2 * width].
    pub positions: Tensor,
    /// The layer whose positions count.
    pub layer: usize,
}

/// The rows of one text.
pub struct Text {
    /// Its rows among the keys.
    pub rows: Range<usize>,
    /// Its rows among the queries.
    pub query_rows: Range<usize>,
    /// Its elements among the probabilities of all texts.
    pub scores: Range<usize>,
}

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

impl Stacked {
    /// Views of the blocks of columns.
    pub(in crate::kernels) fn operands(&self) -> Result<Operands<Tensor>> {
        let width = self.rows.iter().map(|rows| rows.dims()[1]).sum::<usize>() / 3;
        let block = |matrix: &Tensor, place| matrix.narrow(1, place * width, width);
        let blocks =
            self.rows.iter().map(|rows| (0..rows.dims()[1] / width).map(|n| block(rows, n)));
        let blocks: Vec<Tensor> = blocks.flatten().collect::<candle_core::Result<_>>()?;
        let [query, key, value] = blocks.try_into().expect("three blocks");
        Ok(Operands {
            query,
            key,
            value,
            position_query: Some(block(&self.positions, 2 * self.layer)?),
            position_key: Some(block(&self.positions, 2 * self.layer + 1)?),
        })
    }
}

impl Attention {
    /// The length of the longest text, in tokens.
    pub(super) fn longest(&self) -> usize {
        self.cumulative_seq_lengths.lengths().max().unwrap_or(1)
    }

    /// The texts, with their places in the operands and among the probabilities.
    pub(super) fn texts(&self) -> Vec<Text> {
        let mut scores = 0;
        let bounds = self.cumulative_seq_lengths.windows(2).enumerate();
        let text = bounds.map(|(t, bounds)| {
            let rows = bounds[0]..bounds[1];
            let query_rows = match self.queries {
                Queries::All => rows.clone(),
                Queries::First => t..t + 1,
            };
            let start = scores;
            scores += self.heads * rows.len() * query_rows.len();
            Text { rows, query_rows, scores: start..scores }
        });
        text.collect()
    }
}
