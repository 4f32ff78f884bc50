//! Many texts for the models, in requests of a few texts at a time. The table and the explanation are
//! made of these: there is progress to show, and a job that is cancelled ends soon.
//!
//! This bounds what is under way, not what is multiplied together: `pool/schedule/queue.rs` batches the texts.

use std::collections::VecDeque;

use shared::bundle::TextAnswer;

use super::effect::{Effect, Requests};
use super::gathering::Gathering;
use crate::models::Models;

/// Batches under way at a time, not counting those that wait for cold rows. With two, the models find
/// the next batch when they have answered one.
const IN_FLIGHT: usize = 2;

/// How far a job is with its texts, and the batches under way. The job has the texts themselves.
#[derive(Debug, Clone)]
pub struct Batches {
    /// The number of texts.
    count: usize,
    size: usize,
    folds: usize,
    models: Models,
    /// The index of the first text that has not been sent.
    next: usize,
    sent: VecDeque<Batch>,
}

#[derive(Debug, Clone)]
struct Batch {
    start: usize,
    len: usize,
    gathering: Gathering,
    /// Whether a text of it waits for cold rows; such a batch does not hold up the next.
    needs_cold: bool,
}

/// The ensemble's answer to the text at `index`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    pub index: usize,
    pub probabilities: Vec<f32>,
    /// The largest difference, over the labels, between the models' highest and lowest probability.
    pub disagreement: f32,
    pub truncated: bool,
}

impl Batches {
    /// Divides so many texts into batches of `size`, all to be answered by these models of a bundle of so many folds. They
    /// are the same from first to last, whatever is loaded meanwhile.
    pub fn new(count: usize, size: usize, folds: usize, models: Models) -> Self {
        Self { count, size, folds, models, next: 0, sent: VecDeque::new() }
    }

    /// The models that answer.
    pub fn models(&self) -> Models {
        self.models
    }

    pub fn is_asking(&self, request: u32) -> bool {
        self.sent.iter().any(|batch| batch.gathering.request == request)
    }

    /// Whether every text has been sent and answered.
    pub fn is_done(&self) -> bool {
        self.next == self.count && self.sent.is_empty()
    }

    /// Sends as many batches as may be under way. `text_at` makes the text at an index.
    pub fn send(
        &mut self,
        text_at: impl Fn(usize) -> String,
        requests: &mut Requests,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let waiting = self.sent.iter().filter(|batch| batch.needs_cold).count();
        while self.sent.len() - waiting < IN_FLIGHT && self.next < self.count {
            let len = self.size.min(self.count - self.next);
            let texts = (self.next..self.next + len).map(&text_at).collect();
            let request = requests.next();
            let gathering = Gathering::new(request, self.folds);
            self.sent.push_back(Batch { start: self.next, len, gathering, needs_cold: false });
            self.next += len;
            effects.push(Effect::Classify { request, texts, models: self.models });
        }
        effects
    }

    /// Notes that a text of the request waits for a fold's cold rows.
    pub fn note_needs_cold(&mut self, request: u32) {
        if let Some(batch) = self.batch(request) {
            batch.needs_cold = true;
        }
    }

    pub fn take(&mut self, request: u32, fold: usize, answers: Vec<TextAnswer>) {
        if let Some(batch) = self.batch(request) {
            batch.gathering.take(fold, answers);
        }
    }

    /// Removes and returns the answers of the batches that all of the `expected` models have answered.
    pub fn settle(&mut self, expected: &[usize]) -> Vec<Answered> {
        let mut answered = Vec::new();
        self.sent.retain(|batch| {
            let settled = batch.gathering.is_settled(expected);
            if settled {
                answered.extend((0..batch.len).map(|text| Answered {
                    index: batch.start + text,
                    probabilities: batch.gathering.mean(text),
                    disagreement: batch.gathering.disagreement(text),
                    truncated: batch.gathering.is_truncated(text),
                }));
            }
            !settled
        });
        answered
    }

    /// Cancels what is under way; nothing more is sent.
    pub fn cancel(&mut self) -> Vec<Effect> {
        self.next = self.count;
        let requests = self.sent.drain(..).map(|batch| batch.gathering.request);
        requests.map(|request| Effect::CancelRequest { request }).collect()
    }

    fn batch(&mut self, request: u32) -> Option<&mut Batch> {
        self.sent.iter_mut().find(|batch| batch.gathering.request == request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(batches: &mut Batches, requests: &mut Requests) -> Vec<(u32, usize)> {
        requests_of(&batches.send(|text| text.to_string(), requests))
    }

    fn answers(count: usize) -> Vec<TextAnswer> {
        vec![TextAnswer { probabilities: vec![0.5], truncated: false }; count]
    }

    fn requests_of(effects: &[Effect]) -> Vec<(u32, usize)> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Classify { request, texts, .. } => Some((*request, texts.len())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn sends_two_batches_and_the_next_when_one_is_settled() {
        let mut requests = Requests::default();
        let mut batches = Batches::new(7, 3, 2, Models::Folds);
        assert_eq!(send(&mut batches, &mut requests), [(1, 3), (2, 3)]);
        assert!(send(&mut batches, &mut requests).is_empty());

        batches.take(2, 0, answers(3));
        assert!(batches.settle(&[0, 1]).is_empty());
        batches.take(2, 1, answers(3));
        let indices: Vec<usize> =
            batches.settle(&[0, 1]).iter().map(|answered| answered.index).collect();
        assert_eq!(indices, [3, 4, 5]);

        assert_eq!(send(&mut batches, &mut requests), [(3, 1)]);
        assert!(!batches.is_done());
    }

    #[test]
    fn a_batch_that_needs_cold_rows_does_not_hold_up_the_next() {
        let mut requests = Requests::default();
        let mut batches = Batches::new(4, 1, 1, Models::Folds);
        assert_eq!(send(&mut batches, &mut requests), [(1, 1), (2, 1)]);
        batches.note_needs_cold(1);
        assert_eq!(send(&mut batches, &mut requests), [(3, 1)]);
        batches.take(1, 0, answers(1));
        assert_eq!(batches.settle(&[0])[0].index, 0);
        assert_eq!(send(&mut batches, &mut requests), []);
    }

    #[test]
    fn cancelling_cancels_the_batches_under_way() {
        let mut requests = Requests::default();
        let mut batches = Batches::new(50, 16, 1, Models::Folds);
        send(&mut batches, &mut requests);
        let cancelled = [1, 2].map(|request| Effect::CancelRequest { request });
        assert_eq!(batches.cancel(), cancelled);
        assert!(batches.is_done());
        assert!(send(&mut batches, &mut requests).is_empty());
    }
}
