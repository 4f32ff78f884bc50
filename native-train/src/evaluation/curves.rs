//! The scores of a label at every threshold.

use super::metrics::Counts;
use crate::grid::{Probabilities, Targets};

/// F1 may fall by this much from its best on the plateau of a threshold.
const PLATEAU: f64 = 0.01;

/// The counts of one label at each of the probabilities that its rows have.
pub struct Curve {
    /// Probabilities, descending, with the counts of deciding "on" from there upwards.
    points: Vec<(f32, Counts)>,
}

/// The scores at a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    pub threshold: f64,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Curve {
    /// The curve of a label.
    pub fn new(targets: &Targets, probabilities: &Probabilities, label: usize) -> Self {
        let mut cells: Vec<(f32, u8)> =
            probabilities.column(label).zip(targets.column(label)).collect();
        cells.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let actual = cells.iter().map(|&(_, target)| u64::from(target)).sum();
        let mut points: Vec<(f32, Counts)> = Vec::new();
        let mut counts = Counts { actual, ..Counts::default() };
        for (probability, target) in cells {
            counts.decided += 1;
            counts.true_positives += u64::from(target);
            match points.last_mut() {
                Some(last) if last.0 == probability => last.1 = counts,
                _ => points.push((probability, counts)),
            }
        }
        Self { points }
    }

    /// The scores at a threshold.
    pub fn at(&self, threshold: f64) -> At {
        let reached = self.points.partition_point(|point| f64::from(point.0) >= threshold);
        let actual = self.points.last().map_or(0, |point| point.1.actual);
        let none = Counts { actual, ..Counts::default() };
        let counts = reached.checked_sub(1).map_or(none, |last| self.points[last].1);
        At { threshold, precision: counts.precision(), recall: counts.recall(), f1: counts.f1() }
    }

    /// Recall and precision from the highest threshold to the lowest, at about `most` places.
    pub fn precision_recall(&self, most: usize) -> Vec<(f64, f64)> {
        let step = self.points.len().div_ceil(most).max(1);
        let every = self.points.iter().step_by(step).chain(self.points.last());
        every.map(|(_, counts)| (counts.recall(), counts.precision())).collect()
    }

    /// The thresholds around `threshold` at which F1 is at most 0.01 below the best of them: how much it matters where exactly
    /// the threshold lies. In steps of 0.01.
    pub fn plateau(&self, threshold: f64) -> (f64, f64) {
        let f1 = |step: usize| self.at(step as f64 / 100.0).f1;
        let here = (threshold * 100.0).round().clamp(0.0, 100.0) as usize;
        let least = self.at(threshold).f1 - PLATEAU;
        let low = (0..here).rev().take_while(|&step| f1(step) >= least).last().unwrap_or(here);
        let high = (here + 1..=100).take_while(|&step| f1(step) >= least).last().unwrap_or(here);
        (low as f64 / 100.0, high as f64 / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Scores, decide};

    fn curve() -> (Targets, Probabilities, Curve) {
        let targets = Targets::new(1, vec![1, 1, 0, 1, 0, 0]);
        let probabilities = Probabilities::new(1, vec![0.9, 0.8, 0.8, 0.4, 0.3, 0.1]);
        let curve = Curve::new(&targets, &probabilities, 0);
        (targets, probabilities, curve)
    }

    #[test]
    fn at_each_threshold_it_has_the_scores_of_the_decisions() {
        let (targets, probabilities, curve) = curve();
        for step in 0..=20 {
            let threshold = f64::from(step) / 20.0;
            let thresholds = shared::Thresholds::uniform(threshold, 1).unwrap();
            let score = Scores::new(&targets, &decide(&probabilities, &thresholds)).per_label[0];
            let At { precision, recall, f1, .. } = curve.at(threshold);
            assert_eq!((precision, recall, f1), (score.precision, score.recall, score.f1));
        }
    }

    #[test]
    fn recall_grows_along_the_curve() {
        let (_, _, curve) = curve();
        let points = curve.precision_recall(100);
        assert_eq!(points[0], (1.0 / 3.0, 1.0));
        assert!(points.is_sorted_by(|one, other| one.0 <= other.0));
        assert_eq!(points.last(), Some(&(1.0, 0.5)));
    }

    #[test]
    fn a_plateau_is_where_f1_hardly_falls() {
        let (_, _, curve) = curve();
        // From above 0.3 up to 0.4 the same three of four are decided.
        assert_eq!(curve.plateau(0.35), (0.31, 0.4));
    }
}
