//! From encoded texts to what the model takes. The only place that packs.

use crate::kernels::{Indices, Offsets};

/// Texts laid end to end, without padding: the model's cost is that of the real tokens, and a
/// text's logits do not depend on its neighbours.
#[derive(Debug, Clone)]
pub struct Batch {
    input_ids: Indices,
    first_tokens: Indices,
    offsets: Offsets,
}

impl Batch {
    /// Packs texts of at least one token each, at least one of them.
    pub fn pack<'a>(texts: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let (mut input_ids, mut offsets) = (Vec::new(), vec![0]);
        for ids in texts {
            assert!(!ids.is_empty(), "an encoded text has its special tokens at least");
            input_ids.extend_from_slice(ids);
            offsets.push(input_ids.len());
        }
        assert!(offsets.len() > 1, "a batch holds a text");
        let texts = offsets.len() - 1;
        let first_tokens: Vec<u32> = offsets[..texts].iter().map(|&first| first as u32).collect();
        Self {
            input_ids: input_ids.into(),
            first_tokens: first_tokens.into(),
            offsets: offsets.into(),
        }
    }

    /// All tokens, text after text.
    pub fn input_ids(&self) -> &Indices {
        &self.input_ids
    }

    /// Text t has the tokens `offsets[t]..offsets[t + 1]`.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// The number of texts.
    pub fn texts(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The length of the longest text, in tokens.
    pub fn longest(&self) -> usize {
        self.lengths().max().expect("a batch holds a text")
    }

    /// The place of each token in its text, from 0.
    pub fn positions(&self) -> Indices {
        self.lengths().flat_map(|length| 0..length as u32).collect::<Vec<_>>().into()
    }

    /// The index of each text's first token, [CLS].
    pub fn first_tokens(&self) -> &Indices {
        &self.first_tokens
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.offsets.windows(2).map(|text| text[1] - text[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lie_end_to_end() {
        let batch = Batch::pack([&[1, 5, 2][..], &[1, 2]]);
        assert_eq!(**batch.input_ids(), [1, 5, 2, 1, 2]);
        assert_eq!(**batch.offsets(), [0, 3, 5]);
        assert_eq!(*batch.positions(), [0, 1, 2, 0, 1]);
        assert_eq!(**batch.first_tokens(), [0, 3]);
        assert_eq!((batch.texts(), batch.longest()), (2, 3));
    }
}
