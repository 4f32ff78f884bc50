//! Labels that are probably wrong, by confident learning: C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
//! Uncertainty in Dataset Labels", JAIR 70 (2021), for each label of a text by itself.
//!
//! The probabilities have to be out-of-fold ones: a model repeats the wrong labels that it has learned.
//!
//! A model is confident that a text has a label where it gives it at least the mean probability of the rows that are said to
//! have it, and likewise that it has not. Where it is confident of the other side than the given one, or gives it more than
//! half, the label is a suspect. Suspects are ranked by the probability of the other side. How often a label is given wrongly
//! is estimated from how many rows the models are confident of.

use crate::grid::{Probabilities, Targets};

/// A label of a row that is probably wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suspect {
    pub row: usize,
    pub label: usize,
    /// What the file says, and the model does not.
    pub given: bool,
    /// The out-of-fold probability of the other.
    pub score: f64,
}

/// How often a label is given wrongly, as estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NoiseRates {
    /// Of the texts that have the label, the share that is said not to.
    pub missed: f64,
    /// Of the texts that do not have it, the share that is said to.
    pub added: f64,
}

/// The suspects of all labels, the most suspicious first, and the noise of each label.
///
/// # Panics
/// If the shapes differ.
pub fn suspects(
    targets: &Targets,
    probabilities: &Probabilities,
) -> (Vec<Suspect>, Vec<NoiseRates>) {
    assert_eq!(
        (targets.len(), targets.columns()),
        (probabilities.len(), probabilities.columns()),
        "targets and probabilities of one shape"
    );
    let mut found = Vec::new();
    let mut noise = Vec::new();
    for label in 0..targets.columns() {
        let cells: Vec<(bool, f32)> = targets
            .column(label)
            .map(|target| target == 1)
            .zip(probabilities.column(label))
            .collect();
        let confidence = Confidence::of(&cells);
        let rates = confidence.noise(&cells);
        let of_label = cells.iter().enumerate().filter_map(|(row, &(given, probability))| {
            let score = of(!given, f64::from(probability));
            let is_sure = confidence.side(f64::from(probability)) == Some(!given);
            (is_sure || score > 0.5).then_some(Suspect { row, label, given, score })
        });
        found.extend(of_label);
        noise.push(rates);
    }
    found.sort_by(|one, other| {
        other.score.total_cmp(&one.score).then((one.row, one.label).cmp(&(other.row, other.label)))
    });
    (found, noise)
}

/// From where on a model is confident: the mean probability of a side among the rows that are said to be of it.
struct Confidence {
    on: f64,
    off: f64,
}

impl Confidence {
    fn of(cells: &[(bool, f32)]) -> Self {
        let mean = |side: bool| {
            let of_side = cells.iter().filter(|(given, _)| *given == side);
            let (sum, count) = of_side.fold((0.0, 0usize), |(sum, count), &(_, probability)| {
                (sum + of(side, f64::from(probability)), count + 1)
            });
            // Of a side that no row is of, nothing can be said.
            if count == 0 { f64::INFINITY } else { sum / count as f64 }
        };
        Self { on: mean(true), off: mean(false) }
    }

    /// The side that a model is confident of; the more probable one, if of both.
    fn side(&self, probability: f64) -> Option<bool> {
        match (probability >= self.on, 1.0 - probability >= self.off) {
            (true, true) => Some(probability >= 0.5),
            (true, false) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    /// The noise rates by the confident joint: of the rows given a side, those of which a model is confident are counted, and
    /// the counts are scaled up to all rows of that side.
    fn noise(&self, cells: &[(bool, f32)]) -> NoiseRates {
        let mut given_rows = [0.0; 2];
        let mut confident = [[0.0; 2]; 2];
        for &(given, probability) in cells {
            given_rows[usize::from(given)] += 1.0;
            if let Some(side) = self.side(f64::from(probability)) {
                confident[usize::from(given)][usize::from(side)] += 1.0;
            }
        }
        let joint = |given: usize, side: usize| {
            let row = confident[given][0] + confident[given][1];
            if row == 0.0 { 0.0 } else { confident[given][side] / row * given_rows[given] }
        };
        let share = |wrong: f64, right: f64| {
            if wrong + right == 0.0 { 0.0 } else { wrong / (wrong + right) }
        };
        NoiseRates {
            missed: share(joint(0, 1), joint(1, 1)),
            added: share(joint(1, 0), joint(0, 0)),
        }
    }
}

/// The probability of a side.
fn of(side: bool, probability: f64) -> f64 {
    if side { probability } else { 1.0 - probability }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;

    use super::*;

    /// A file of which 5% of the labels were flipped, the probabilities of cross-validated models, and what cleanlab finds.
    #[derive(Deserialize)]
    struct Noise {
        made_with: String,
        labels: usize,
        given: Vec<u8>,
        probabilities: Vec<f32>,
        /// Row and label of each flipped cell.
        flipped: BTreeSet<(usize, usize)>,
        /// The share of flipped cells among as many as there are, ranked by each of cleanlab's scores.
        cleanlab: Vec<(String, f64)>,
    }

    #[test]
    fn flipped_labels_are_found_at_least_as_well_as_by_cleanlab() {
        let noise: Noise =
            serde_json::from_str(include_str!("../../tests/fixtures/label_noise.json")).unwrap();
        let targets = Targets::new(noise.labels, noise.given);
        let (found, rates) =
            suspects(&targets, &Probabilities::new(noise.labels, noise.probabilities));
        let k = noise.flipped.len();
        let right = found[..k].iter().filter(|one| noise.flipped.contains(&(one.row, one.label)));
        let precision = right.count() as f64 / k as f64;
        assert_eq!(noise.cleanlab.len(), 3, "{}", noise.made_with);
        for (score, theirs) in noise.cleanlab {
            assert!(precision >= theirs, "{precision} and {theirs} by {score}");
        }
        assert!(found.iter().all(|one| (targets.row(one.row)[one.label] == 1) == one.given));
        assert!(rates.iter().all(|rates| (0.0..0.5).contains(&rates.missed)));
    }

    #[test]
    fn a_label_that_no_row_has_has_no_suspects() {
        let targets = Targets::new(1, vec![0; 4]);
        let (found, rates) = suspects(&targets, &Probabilities::new(1, vec![0.1, 0.2, 0.3, 0.4]));
        assert_eq!((found.len(), rates), (0, vec![NoiseRates::default()]));
    }

    /// Two rows of six say that the label is off, and the models are sure that it is on.
    #[test]
    fn noise_is_estimated_by_the_rows_that_models_are_sure_of() {
        let targets = Targets::new(1, vec![1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        let probabilities = vec![0.9, 0.8, 0.9, 0.8, 0.95, 0.9, 0.1, 0.1, 0.1, 0.1];
        let (found, rates) = suspects(&targets, &Probabilities::new(1, probabilities));
        assert_eq!(found.iter().map(|one| one.row).collect::<Vec<_>>(), [4, 5]);
        // Of each side the confident rows: 2 of 4 given on, and of those given off 2 on and 4 off.
        assert_eq!(rates[0], NoiseRates { missed: 2.0 / 6.0, added: 0.0 });
    }
}
