//! Decision thresholds, one a label, which turn probabilities into labels.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One probability threshold a label, in the order of the [`LabelSet`](crate::LabelSet).
///
/// Thresholds are f64: the search compares f32 probabilities with f64 grid points, as NumPy does, and
/// rounding a threshold to f32 could change a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thresholds(Vec<f64>);

impl Thresholds {
    /// Checks thresholds for so many labels.
    ///
    /// # Errors
    /// [`Error::Thresholds`], if their number is not `labels` or one is not within 0..=1.
    pub fn new(values: Vec<f64>, labels: usize) -> Result<Self> {
        if values.len() != labels || values.iter().any(|t| !(0.0..=1.0).contains(t)) {
            return Err(Error::Thresholds { labels, found: values });
        }
        Ok(Self(values))
    }

    /// Gives every label the same threshold.
    ///
    /// # Errors
    /// [`Error::Thresholds`], if it is not within 0..=1.
    pub fn uniform(value: f64, labels: usize) -> Result<Self> {
        Self::new(vec![value; labels], labels)
    }

    /// Returns the thresholds in the order of the labels.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Decides for each label of one text whether it is on: `probability >= threshold`.
    pub fn apply<'a>(&'a self, probabilities: &'a [f32]) -> impl Iterator<Item = bool> + 'a {
        debug_assert_eq!(probabilities.len(), self.0.len());
        probabilities.iter().zip(&self.0).map(|(&p, &t)| f64::from(p) >= t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_on_the_threshold_is_on() {
        let thresholds = Thresholds::new(vec![0.5, 0.25], 2).expect("valid");
        let decided: Vec<bool> = thresholds.apply(&[0.5, 0.249]).collect();
        assert_eq!(decided, [true, false]);
    }

    #[test]
    fn refuses_a_wrong_number_and_what_is_no_probability() {
        assert!(Thresholds::new(vec![0.5], 2).is_err());
        assert!(Thresholds::new(vec![1.5], 1).is_err());
        assert!(Thresholds::new(vec![f64::NAN], 1).is_err());
    }
}
