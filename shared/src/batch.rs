//! The packing of encoded texts into the batch that the model takes.

use crate::kernels::{CumulativeSeqLengths, Indices};

/// Texts laid end to end, without padding. The model's cost is that of the real tokens, and a text's
/// logits do not depend on its neighbours.
#[derive(Debug, Clone)]
pub struct Batch {
    input_ids: Indices,
    first_tokens: Indices,
    cumulative_seq_lengths: CumulativeSeqLengths,
}

impl Batch {
    /// Packs the ids of one or more texts.
    ///
    /// # Panics
    /// If there is no text, or one without ids.
    pub fn pack<'a>(texts: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let (mut input_ids, mut first_tokens, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for ids in texts {
            assert!(!ids.is_empty(), "an encoded text has its special tokens at least");
            first_tokens.push(input_ids.len() as u32);
            lengths.push(ids.len());
            input_ids.extend_from_slice(ids);
        }
        assert!(!lengths.is_empty(), "a batch holds a text");
        Self {
            input_ids: input_ids.into(),
            first_tokens: first_tokens.into(),
            cumulative_seq_lengths: CumulativeSeqLengths::new(lengths),
        }
    }

    /// Returns the ids of all tokens, text after text: `[tokens]`.
    pub fn input_ids(&self) -> &Indices {
        &self.input_ids
    }

    /// Returns the bounds of the texts among the tokens: [texts + 1].
    pub fn cumulative_seq_lengths(&self) -> &CumulativeSeqLengths {
        &self.cumulative_seq_lengths
    }

    /// Returns the number of texts.
    pub fn texts(&self) -> usize {
        self.cumulative_seq_lengths.len() - 1
    }

    /// Returns the length of the longest text, in tokens.
    pub fn longest(&self) -> usize {
        self.cumulative_seq_lengths.lengths().max().expect("a batch holds a text")
    }

    /// Returns the position of each token in its text, from 0: `[tokens]`.
    pub fn positions(&self) -> Indices {
        let lengths = self.cumulative_seq_lengths.lengths();
        lengths.flat_map(|length| 0..length as u32).collect::<Vec<_>>().into()
    }

    /// Returns the index of each text's first token, `[CLS]`: `[texts]`.
    pub fn first_tokens(&self) -> &Indices {
        &self.first_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lie_end_to_end() {
        let batch = Batch::pack([&[1, 5, 2][..], &[1, 2]]);
        assert_eq!(**batch.input_ids(), [1, 5, 2, 1, 2]);
        assert_eq!(**batch.cumulative_seq_lengths(), [0, 3, 5]);
        assert_eq!(*batch.positions(), [0, 1, 2, 0, 1]);
        assert_eq!(**batch.first_tokens(), [0, 3]);
        assert_eq!((batch.texts(), batch.longest()), (2, 3));
    }
}
