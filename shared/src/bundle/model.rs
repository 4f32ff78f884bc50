//! A loaded fold: texts in, probabilities out.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::batch::Batch;
use crate::model::FrozenClassifier;
use crate::nn::encoded_table::Rows;
use crate::tokenizer::{CompactTokenizer, Encoding};

/// Tokens that go through the model together. Nothing is padded, so this bounds memory, not waste.
const BATCH_TOKENS: usize = 1024;

/// One fold's model with its tokenizer.
pub struct FoldModel {
    tokenizer: CompactTokenizer,
    classifier: FrozenClassifier,
    max_len: usize,
    labels: usize,
    common_words: Option<CommonWords>,
}

/// Word embeddings that other folds may have in common with this one.
pub(super) struct CommonWords {
    pub rows: Arc<Rows>,
    /// The shards they came from, by their places in the manifest.
    pub shards: BTreeSet<usize>,
}

/// What one fold says of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextAnswer {
    /// In the order of the labels.
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
        Self { tokenizer, classifier, max_len, labels, common_words: None }
    }

    pub(super) fn with_common_words(self, common_words: Option<CommonWords>) -> Self {
        Self { common_words, ..self }
    }

    pub(super) fn common_words(&self) -> Option<&CommonWords> {
        self.common_words.as_ref()
    }

    /// One answer a text, in their order.
    ///
    /// # Errors
    /// If a tensor operation fails (out of memory, say).
    pub fn classify<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<TextAnswer>> {
        let encodings: Vec<Encoding> =
            texts.iter().map(|text| self.tokenizer.encode(text.as_ref(), self.max_len)).collect();
        let mut answers = Vec::with_capacity(texts.len());
        let mut left = &encodings[..];
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

    pub fn tokenizer(&self) -> &CompactTokenizer {
        &self.tokenizer
    }

    pub fn classifier(&self) -> &FrozenClassifier {
        &self.classifier
    }
}

/// How many of the first texts make a batch: at least one.
fn fitting(encodings: &[Encoding]) -> usize {
    let mut tokens = 0;
    let full = encodings.iter().position(|encoding| {
        tokens += encoding.input_ids.len();
        tokens > BATCH_TOKENS
    });
    full.unwrap_or(encodings.len()).max(1)
}
