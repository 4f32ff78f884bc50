//! The table of many texts: the answers so far, and the rows of it that are shown.

use std::sync::Arc;

use super::answers::{Answer, Answers};
use super::batches::{Answered, Batches};
use super::bundle_summary::BundleSummary;
use super::effect::{Effect, Requests};
use super::selection::{Filter, Key, Selection};
use crate::models::Models;
use crate::texts::Texts;

/// The texts of a job and the answers so far.
#[derive(Debug, Clone)]
pub struct Table {
    /// The number of tables before this one: rows of two tables are never the same.
    pub number: u32,
    pub ids: Option<Arc<Texts>>,
    texts: Arc<Texts>,
    answers: Answers,
    selection: Selection,
    pub(super) batches: Batches,
}

impl Table {
    /// A table without answers; the batches are of its texts.
    pub fn new(
        number: u32,
        ids: Option<Arc<Texts>>,
        texts: Arc<Texts>,
        batches: Batches,
        labels: usize,
    ) -> Self {
        let answers = Answers::new(texts.len(), labels);
        Self { number, ids, texts, answers, selection: Selection::default(), batches }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The number of texts that have an answer.
    pub fn answered(&self) -> usize {
        self.answers.count()
    }

    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The models that answer.
    pub fn models(&self) -> Models {
        self.batches.models()
    }

    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Which rows are shown, and in which order.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The number of rows that are shown.
    pub fn shown(&self) -> usize {
        self.selection.len(self.len())
    }

    /// Sends as many batches as may be under way.
    pub fn send(&mut self, requests: &mut Requests) -> Vec<Effect> {
        self.batches.send(|text| self.texts.get(text).to_owned(), requests)
    }

    /// Fills in the rows of the texts that all of the `expected` models have answered.
    pub fn settle(&mut self, expected: &[usize], bundle: &BundleSummary) {
        for Answered { index, probabilities, disagreement, truncated } in
            self.batches.settle(expected)
        {
            let answer = Answer { probabilities: &probabilities, disagreement, truncated };
            self.answers.note(index, answer);
            self.selection.admit(index, &self.answers, &bundle.thresholds);
        }
    }

    pub fn choose(&mut self, filter: Filter, bundle: &BundleSummary) {
        self.selection.choose(filter, &self.answers, &bundle.thresholds);
    }

    pub fn sort_by(&mut self, key: Key, bundle: &BundleSummary) {
        self.selection.sort_by(key, &self.answers, &bundle.thresholds);
    }
}
