//! A loaded fold: texts in, probabilities out.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::refuse;
use crate::Result;
use crate::batch::Batch;
use crate::model::FrozenClassifier;
use crate::nn::QuantizedEmbedding;
use crate::quant::{QuantizedMatrix, Segment};
use crate::tokenizer::{CompactTokenizer, Encoding};

/// Tokens that go through the model together. Nothing is padded, so this bounds memory, not waste.
const BATCH_TOKENS: usize = 1024;

/// One fold's model with its tokenizer.
pub struct FoldModel {
    tokenizer: CompactTokenizer,
    classifier: FrozenClassifier,
    max_len: usize,
    labels: usize,
    /// The word embeddings, where their rows stay quantized.
    words: Option<Words>,
}

/// Word embeddings, whose rows other folds may share.
pub(super) struct Words {
    pub embedding: Arc<QuantizedEmbedding>,
    /// The shards that the hot and the cold rows came from, by their indices in the manifest.
    pub from: [BTreeSet<usize>; 2],
}

/// One fold's answer about a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextAnswer {
    /// One for each label, in their order.
    pub probabilities: Vec<f32>,
    /// Whether the text was longer than the model reads.
    pub truncated: bool,
}

impl FoldModel {
    pub(super) fn new(
        tokenizer: CompactTokenizer,
        classifier: FrozenClassifier,
        max_len: usize,
        labels: usize,
    ) -> Self {
        Self { tokenizer, classifier, max_len, labels, words: None }
    }

    pub(super) fn with_words(self, words: Option<Words>) -> Self {
        Self { words, ..self }
    }

    /// The hot or the cold rows in memory, with the shards they came from.
    pub(super) fn words(&self, cold: bool) -> Option<(&Arc<QuantizedMatrix>, &BTreeSet<usize>)> {
        let Words { embedding, from: [hot_shards, cold_shards] } = self.words.as_ref()?;
        match cold {
            true => Some((embedding.cold_rows()?, cold_shards)),
            false => Some((embedding.hot_rows(), hot_shards)),
        }
    }

    pub(super) fn add_cold_rows(&mut self, rows: Segment, from: BTreeSet<usize>) -> Result<()> {
        match &mut self.words {
            Some(words) if words.embedding.add_cold_rows(rows) => words.from[1] = from,
            _ => return refuse("the fold has its cold word embeddings already"),
        }
        Ok(())
    }

    /// Whether it has all word embeddings, the cold ones too, and so answers every text.
    pub fn has_all_words(&self) -> bool {
        let words = self.words.as_ref();
        words.is_none_or(|words| words.embedding.loaded_rows() == words.embedding.shape()[0])
    }

    /// One answer for each text, in their order; `None` for a text with word pieces whose embeddings are not loaded yet.
    ///
    /// # Errors
    /// If a tensor operation fails (out of memory, say).
    pub fn classify<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Option<TextAnswer>>> {
        let encodings: Vec<Encoding> =
            texts.iter().map(|text| self.tokenizer.encode(text.as_ref(), self.max_len)).collect();
        let known: Vec<&Encoding> =
            encodings.iter().filter(|encoding| self.knows(encoding)).collect();
        let mut answers = self.answers(&known)?.into_iter();
        let answer = |encoding| self.knows(encoding).then(|| answers.next().expect("one a text"));
        Ok(encodings.iter().map(answer).collect())
    }

    /// Whether the embeddings of all of a text's tokens are loaded.
    fn knows(&self, encoding: &Encoding) -> bool {
        let loaded = self.words.as_ref().map(|words| words.embedding.loaded_rows());
        loaded.is_none_or(|loaded| encoding.input_ids.iter().all(|&id| (id as usize) < loaded))
    }

    fn answers(&self, encodings: &[&Encoding]) -> Result<Vec<TextAnswer>> {
        let mut answers = Vec::with_capacity(encodings.len());
        let mut left = encodings;
        while !left.is_empty() {
            let (now, rest) = left.split_at(fitting(left));
            let batch = Batch::pack(now.iter().map(|encoding| &encoding.input_ids[..]));
            let probabilities = self.classifier.probabilities(&batch)?;
            let rows = probabilities.chunks_exact(self.labels).zip(now);
            answers.extend(rows.map(|(row, encoding)| TextAnswer {
                probabilities: row.to_vec(),
                truncated: encoding.truncated,
            }));
            left = rest;
        }
        Ok(answers)
    }

    /// The tokenizer of the bundle.
    pub fn tokenizer(&self) -> &CompactTokenizer {
        &self.tokenizer
    }

    /// The model behind the tokenizer.
    pub fn classifier(&self) -> &FrozenClassifier {
        &self.classifier
    }
}

/// The number of first texts that make a batch of at most [`BATCH_TOKENS`]: at least one.
fn fitting(encodings: &[&Encoding]) -> usize {
    let mut tokens = 0;
    let full = encodings.iter().position(|encoding| {
        tokens += encoding.input_ids.len();
        tokens > BATCH_TOKENS
    });
    full.unwrap_or(encodings.len()).max(1)
}
