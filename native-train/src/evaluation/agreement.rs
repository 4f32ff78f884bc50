//! Agreement: how often an ensemble's decisions are right where all of its models decide alike, and where fewer of them do.

use super::decisions::Decisions;
use super::metrics::Counts;
use crate::grid::Targets;

/// The decisions of an ensemble that so many of its models share, over all rows and labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The models that decide as the ensemble does.
    pub models: usize,
    pub decisions: u64,
    /// Decisions that are what the row's label says.
    pub right: u64,
    pub counts: Counts,
}

impl Agreement {
    /// The share of decisions that are right.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.decisions.max(1) as f64
    }
}

/// The decisions by the number of models that share them, from all down to none; those that there are.
///
/// # Panics
/// If the shapes differ.
pub fn by_agreement(
    targets: &Targets,
    decisions: &Decisions,
    of_models: &[Decisions],
) -> Vec<Agreement> {
    let mut found: Vec<Agreement> =
        (0..=of_models.len()).map(|models| Agreement { models, ..Agreement::default() }).collect();
    for (row, (targets, decided)) in targets.rows().zip(decisions.rows()).enumerate() {
        for (label, (&target, &decided)) in targets.iter().zip(decided).enumerate() {
            let models = of_models.iter().filter(|model| model.row(row)[label] == decided).count();
            let is_on = target == 1;
            found[models].decisions += 1;
            found[models].right += u64::from(is_on == decided);
            found[models].counts += Counts::of_cell(is_on, decided);
        }
    }
    found.retain(|agreement| agreement.decisions > 0);
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;

    #[test]
    fn decisions_are_counted_by_the_models_that_share_them() {
        let decisions = |values: &[u8]| Grid::new(2, values.iter().map(|&on| on == 1).collect());
        let targets = Targets::new(2, vec![1, 0, 1, 1, 0, 0]);
        let ensemble = decisions(&[1, 0, 1, 0, 1, 0]);
        let models = [
            decisions(&[1, 0, 1, 0, 1, 0]),
            decisions(&[1, 0, 1, 1, 0, 0]),
            decisions(&[1, 0, 1, 0, 0, 0]),
        ];
        let found = by_agreement(&targets, &ensemble, &models);
        let counts = |true_positives, decided, actual| Counts { true_positives, decided, actual };
        // Of the second row the label that two leave out is on; of the third, one alone decides for the label.
        assert_eq!(
            found,
            [
                Agreement { models: 3, decisions: 4, right: 4, counts: counts(2, 2, 2) },
                Agreement { models: 2, decisions: 1, right: 0, counts: counts(0, 0, 1) },
                Agreement { models: 1, decisions: 1, right: 0, counts: counts(0, 1, 0) },
            ]
        );
        assert_eq!(found.iter().map(Agreement::accuracy).collect::<Vec<_>>(), [1.0, 0.0, 0.0]);
    }
}
