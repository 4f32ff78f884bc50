//! Many texts for the models, sent some at a time: so that there is progress to show, a cancelled job
//! ends soon, and the text being typed never waits behind thousands.

use std::collections::VecDeque;

use shared::bundle::TextAnswer;

use super::gathering::Gathering;
use super::{Effect, Requests};

/// Two batches are on their way at a time, those not counted that wait for word embeddings: while one is answered, the next
/// already waits at the models.
const IN_FLIGHT: usize = 2;

#[derive(Debug, Clone)]
pub struct Batches {
    texts: Vec<String>,
    size: usize,
    folds: usize,
    /// The first text that was not sent.
    next: usize,
    sent: VecDeque<Batch>,
}

#[derive(Debug, Clone)]
struct Batch {
    start: usize,
    len: usize,
    gathering: Gathering,
    /// It has a text with a rare word, so that others go past it.
    waits: bool,
}

/// The ensemble's answer to the text at `index`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    pub index: usize,
    pub probabilities: Vec<f32>,
    pub truncated: bool,
}

impl Batches {
    /// `size` texts a request, for `folds` models.
    pub fn new(texts: Vec<String>, size: usize, folds: usize) -> Self {
        Self { texts, size, folds, next: 0, sent: VecDeque::new() }
    }

    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub fn is_asking(&self, request: u32) -> bool {
        self.sent.iter().any(|batch| batch.gathering.request == request)
    }

    /// Everything was sent and answered.
    pub fn is_done(&self) -> bool {
        self.next == self.texts.len() && self.sent.is_empty()
    }

    /// Sends as much as may be on its way.
    pub(super) fn send(&mut self, requests: &mut Requests) -> Vec<Effect> {
        let mut effects = Vec::new();
        let waiting = self.sent.iter().filter(|batch| batch.waits).count();
        while self.sent.len() - waiting < IN_FLIGHT && self.next < self.texts.len() {
            let len = self.size.min(self.texts.len() - self.next);
            let texts = self.texts[self.next..self.next + len].to_vec();
            let request = requests.next();
            let gathering = Gathering::new(request, self.folds);
            self.sent.push_back(Batch { start: self.next, len, gathering, waits: false });
            self.next += len;
            effects.push(Effect::Classify { request, texts });
        }
        effects
    }

    /// A fold lacks word embeddings for one of the request's texts.
    pub fn note_rare_words(&mut self, request: u32) {
        let asked = |batch: &&mut Batch| batch.gathering.request == request;
        if let Some(batch) = self.sent.iter_mut().find(asked) {
            batch.waits = true;
        }
    }

    pub fn take(&mut self, request: u32, fold: usize, answers: Vec<TextAnswer>) {
        let asked = |batch: &&mut Batch| batch.gathering.request == request;
        if let Some(batch) = self.sent.iter_mut().find(asked) {
            batch.gathering.take(fold, answers);
        }
    }

    /// Takes out what all of the `expected` folds have answered.
    pub fn settle(&mut self, expected: &[usize]) -> Vec<Answered> {
        let mut answered = Vec::new();
        self.sent.retain(|batch| {
            let settled = batch.gathering.is_settled(expected);
            if settled {
                answered.extend((0..batch.len).map(|text| Answered {
                    index: batch.start + text,
                    probabilities: batch.gathering.mean(text),
                    truncated: batch.gathering.is_truncated(text),
                }));
            }
            !settled
        });
        answered
    }

    /// Nothing more is sent, and what is on its way is called back.
    pub fn cancel(&mut self) -> Vec<Effect> {
        self.next = self.texts.len();
        let requests = self.sent.drain(..).map(|batch| batch.gathering.request);
        requests.map(|request| Effect::CancelRequest { request }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(count: usize) -> Vec<TextAnswer> {
        vec![TextAnswer { probabilities: vec![0.5], truncated: false }; count]
    }

    fn requests_of(effects: &[Effect]) -> Vec<(u32, usize)> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Classify { request, texts } => Some((*request, texts.len())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn sends_two_batches_and_the_next_when_one_is_settled() {
        let mut requests = Requests::default();
        let texts = (0..7).map(|number| number.to_string()).collect();
        let mut batches = Batches::new(texts, 3, 2);
        assert_eq!(requests_of(&batches.send(&mut requests)), [(1, 3), (2, 3)]);
        assert!(batches.send(&mut requests).is_empty());

        batches.take(2, 0, answers(3));
        assert!(batches.settle(&[0, 1]).is_empty());
        batches.take(2, 1, answers(3));
        let indices: Vec<usize> =
            batches.settle(&[0, 1]).iter().map(|answered| answered.index).collect();
        assert_eq!(indices, [3, 4, 5]);

        assert_eq!(requests_of(&batches.send(&mut requests)), [(3, 1)]);
        assert!(!batches.is_done());
    }

    #[test]
    fn others_go_past_a_batch_with_a_rare_word() {
        let mut requests = Requests::default();
        let mut batches = Batches::new(vec![String::new(); 4], 1, 1);
        assert_eq!(requests_of(&batches.send(&mut requests)), [(1, 1), (2, 1)]);
        batches.note_rare_words(1);
        assert_eq!(requests_of(&batches.send(&mut requests)), [(3, 1)]);
        batches.take(1, 0, answers(1));
        assert_eq!(batches.settle(&[0])[0].index, 0);
        assert_eq!(requests_of(&batches.send(&mut requests)), []);
    }

    #[test]
    fn cancelling_calls_back_what_is_on_its_way() {
        let mut requests = Requests::default();
        let mut batches = Batches::new(vec![String::new(); 50], 16, 1);
        batches.send(&mut requests);
        let called_back = [1, 2].map(|request| Effect::CancelRequest { request });
        assert_eq!(batches.cancel(), called_back);
        assert!(batches.is_done());
        assert!(batches.send(&mut requests).is_empty());
    }
}
