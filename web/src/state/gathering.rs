//! The answers to one request as they arrive, model by model, and the answer so far: the mean of the folds, or that of the
//! final model until every fold has answered. The final model is no part of a mean.

use shared::bundle::TextAnswer;
use shared::ensemble;

use crate::models::Models;

/// The answers of the models to the texts of one request.
#[derive(Debug, Clone)]
pub struct Gathering {
    pub request: u32,
    folds: Vec<Option<Vec<TextAnswer>>>,
    of_final: Option<Vec<TextAnswer>>,
}

impl Gathering {
    pub fn new(request: u32, folds: usize) -> Self {
        Self { request, folds: vec![None; folds], of_final: None }
    }

    /// Takes the answers of the model at this index: of a fold, or of the final model after them.
    pub fn take(&mut self, model: usize, answers: Vec<TextAnswer>) {
        *self.folds.get_mut(model).unwrap_or(&mut self.of_final) = Some(answers);
    }

    pub fn has_answer_of(&self, model: usize) -> bool {
        self.folds.get(model).unwrap_or(&self.of_final).is_some()
    }

    pub fn has_answer(&self) -> bool {
        self.speaker().is_some()
    }

    pub fn has_all_folds(&self) -> bool {
        self.answered() == self.folds.len()
    }

    /// The number of folds that have answered.
    pub fn answered(&self) -> usize {
        self.folds.iter().flatten().count()
    }

    /// The models whose answer this is; `None` if none has answered. Never both.
    pub fn speaker(&self) -> Option<Models> {
        match (&self.of_final, self.answered()) {
            _ if self.has_all_folds() => Some(Models::Folds),
            (Some(_), _) => Some(Models::Final),
            (None, 0) => None,
            (None, _) => Some(Models::Folds),
        }
    }

    /// Whether at least one model has answered, and all of `expected` have.
    pub fn is_settled(&self, expected: &[usize]) -> bool {
        self.has_answer() && expected.iter().all(|&model| self.has_answer_of(model))
    }

    /// The probability for each label: the mean over the folds that have answered, or the final model's.
    pub fn mean(&self, text: usize) -> Vec<f32> {
        let folds: Vec<Vec<f32>> =
            self.answers_to(text).map(|answer| answer.probabilities.clone()).collect();
        ensemble::mean(&folds)
    }

    /// The lowest and the highest probability that a model gives to a label.
    pub fn spread(&self, text: usize, label: usize) -> (f32, f32) {
        self.answers_to(text)
            .map(|answer| answer.probabilities[label])
            .fold((1.0, 0.0), |(low, high), p| (f32::min(low, p), f32::max(high, p)))
    }

    /// The largest spread of a label.
    pub fn disagreement(&self, text: usize) -> f32 {
        let labels = self.answers_to(text).next().map_or(0, |answer| answer.probabilities.len());
        let spreads = (0..labels).map(|label| self.spread(text, label));
        spreads.map(|(low, high)| high - low).fold(0.0, f32::max)
    }

    /// Whether the text was longer than the models read.
    pub fn is_truncated(&self, text: usize) -> bool {
        self.answers_to(text).any(|answer| answer.truncated)
    }

    fn answers_to(&self, text: usize) -> impl Iterator<Item = &TextAnswer> {
        let of_final = self.of_final.iter().filter(|_| self.speaker() == Some(Models::Final));
        let of_folds = self.folds.iter().flatten();
        let of_folds = of_folds.filter(|_| self.speaker() == Some(Models::Folds));
        of_folds.chain(of_final).map(move |answers| &answers[text])
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
        assert_eq!(gathering.disagreement(0), 0.5);
        assert_eq!(gathering.answered(), 2);
    }

    #[test]
    fn the_final_model_speaks_until_every_fold_has_answered() {
        let mut gathering = Gathering::new(1, 2);
        assert_eq!(gathering.speaker(), None);
        gathering.take(2, answer(&[0.875]));
        gathering.take(0, answer(&[0.5]));
        assert_eq!((gathering.speaker(), gathering.mean(0)), (Some(Models::Final), vec![0.875]));
        assert_eq!(gathering.spread(0, 0), (0.875, 0.875));
        assert_eq!(gathering.disagreement(0), 0.0);
        assert_eq!(gathering.answered(), 1);
        gathering.take(1, answer(&[0.25]));
        assert_eq!((gathering.speaker(), gathering.mean(0)), (Some(Models::Folds), vec![0.375]));
        assert_eq!(gathering.spread(0, 0), (0.25, 0.5));
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
