//! A loaded fold: texts in, probabilities out.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::refuse;
use crate::Result;
use crate::batch::Batch;
use crate::model::FrozenClassifier;
use crate::nn::EncodedTable;
use crate::nn::encoded_table::{Rows, Stretch};
use crate::tokenizer::{CompactTokenizer, Encoding};

/// Tokens that go through the model together. Nothing is padded, so this bounds memory, not waste.
const BATCH_TOKENS: usize = 1024;

/// One fold's model with its tokenizer.
pub struct FoldModel {
    tokenizer: CompactTokenizer,
    classifier: FrozenClassifier,
    max_len: usize,
    labels: usize,
    /// Those that stay encoded.
    words: Option<Words>,
}

/// A table of word embeddings, which other folds may have in common with this one.
pub(super) struct Words {
    pub table: Arc<EncodedTable>,
    /// The shards that its rows came from, by their places in the manifest: of those that came first, and of the others.
    pub from: [BTreeSet<usize>; 2],
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
        Self { tokenizer, classifier, max_len, labels, words: None }
    }

    pub(super) fn with_words(self, words: Option<Words>) -> Self {
        Self { words, ..self }
    }

    /// Rows in memory that came first, or the others, with the shards they came from.
    pub(super) fn words(&self, cold: bool) -> Option<(&Arc<Rows>, &BTreeSet<usize>)> {
        let Words { table, from: [first, others] } = self.words.as_ref()?;
        if cold { Some((table.others()?, others)) } else { Some((table.first(), first)) }
    }

    pub(super) fn complete(&mut self, cold: Stretch, from: BTreeSet<usize>) -> Result<()> {
        match &mut self.words {
            Some(words) if words.table.complete(cold) => words.from[1] = from,
            _ => return refuse("the fold does not lack these word embeddings"),
        }
        Ok(())
    }

    /// Whether it has all word embeddings, and so answers every text.
    pub fn is_whole(&self) -> bool {
        let words = self.words.as_ref();
        words.is_none_or(|words| words.table.entries_here() == words.table.shape()[0])
    }

    /// One answer a text, in their order; `None` for a text that needs word embeddings which are not here.
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

    /// Whether the embeddings of all of a text's tokens are here.
    fn knows(&self, encoding: &Encoding) -> bool {
        let here = self.words.as_ref().map(|words| words.table.entries_here());
        here.is_none_or(|here| encoding.input_ids.iter().all(|&id| (id as usize) < here))
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

    pub fn tokenizer(&self) -> &CompactTokenizer {
        &self.tokenizer
    }

    pub fn classifier(&self) -> &FrozenClassifier {
        &self.classifier
    }
}

/// How many of the first texts make a batch: at least one.
fn fitting(encodings: &[&Encoding]) -> usize {
    let mut tokens = 0;
    let full = encodings.iter().position(|encoding| {
        tokens += encoding.input_ids.len();
        tokens > BATCH_TOKENS
    });
    full.unwrap_or(encodings.len()).max(1)
}
