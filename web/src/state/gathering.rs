//! The answers to one request as they arrive, fold by fold, and the ensemble's answer so far.

use shared::bundle::TextAnswer;
use shared::ensemble;

/// The answers of the folds to the texts of one request.
#[derive(Debug, Clone)]
pub struct Gathering {
    pub request: u32,
    folds: Vec<Option<Vec<TextAnswer>>>,
}

impl Gathering {
    pub fn new(request: u32, folds: usize) -> Self {
        Self { request, folds: vec![None; folds] }
    }

    pub fn take(&mut self, fold: usize, answers: Vec<TextAnswer>) {
        self.folds[fold] = Some(answers);
    }

    pub fn has_answer_of(&self, fold: usize) -> bool {
        self.folds[fold].is_some()
    }

    /// The number of folds that have answered.
    pub fn answered(&self) -> usize {
        self.folds.iter().flatten().count()
    }

    /// Whether at least one fold has answered, and all of `expected` have.
    pub fn is_settled(&self, expected: &[usize]) -> bool {
        self.answered() > 0 && expected.iter().all(|&fold| self.has_answer_of(fold))
    }

    /// The ensemble's probability for each label: the mean over the folds that have answered.
    pub fn mean(&self, text: usize) -> Vec<f32> {
        let folds: Vec<Vec<f32>> =
            self.answers_to(text).map(|answer| answer.probabilities.clone()).collect();
        ensemble::mean(&folds)
    }

    /// The lowest and the highest probability that a fold gives to a label.
    pub fn spread(&self, text: usize, label: usize) -> (f32, f32) {
        self.answers_to(text)
            .map(|answer| answer.probabilities[label])
            .fold((1.0, 0.0), |(low, high), p| (f32::min(low, p), f32::max(high, p)))
    }

    /// Whether the text was longer than the models read.
    pub fn is_truncated(&self, text: usize) -> bool {
        self.answers_to(text).any(|answer| answer.truncated)
    }

    fn answers_to(&self, text: usize) -> impl Iterator<Item = &TextAnswer> {
        self.folds.iter().flatten().map(move |answers| &answers[text])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(probabilities: &[f32]) -> Vec<TextAnswer> {
        vec![TextAnswer { probabilities: probabilities.to_vec(), truncated: false }]
    }

    #[test]
    fn the_mean_and_the_spread_are_of_those_that_answered() {
        let mut gathering = Gathering::new(1, 3);
        gathering.take(2, answer(&[0.5, 0.25]));
        assert_eq!(gathering.mean(0), [0.5, 0.25]);
        gathering.take(0, answer(&[1.0, 0.75]));
        assert_eq!(gathering.mean(0), [0.75, 0.5]);
        assert_eq!(gathering.spread(0, 1), (0.25, 0.75));
        assert_eq!(gathering.answered(), 2);
    }

    #[test]
    fn is_settled_when_those_expected_have_answered_and_one_at_least() {
        let mut gathering = Gathering::new(1, 3);
        assert!(!gathering.is_settled(&[]));
        gathering.take(1, answer(&[0.5]));
        assert!(gathering.is_settled(&[1]));
        assert!(!gathering.is_settled(&[0, 1]));
    }
}
