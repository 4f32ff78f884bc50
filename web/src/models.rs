//! The models of a bundle: its folds, its final model, or both.

use serde::Serialize;

/// Models of a bundle. A model is named by its index: the folds from 0, and then the final model, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Models {
    /// The one model that learned from all rows.
    Final,
    /// The ensemble.
    Folds,
    Both,
}

impl Models {
    /// Whether the model at `index` of a bundle of so many folds is among them.
    pub fn have(self, index: usize, folds: usize) -> bool {
        match self {
            Self::Final => index >= folds,
            Self::Folds => index < folds,
            Self::Both => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_model_comes_after_the_folds() {
        let of = |models: Models| (0..3).filter(|&index| models.have(index, 2)).collect::<Vec<_>>();
        assert_eq!(of(Models::Final), [2]);
        assert_eq!(of(Models::Folds), [0, 1]);
        assert_eq!(of(Models::Both), [0, 1, 2]);
    }
}
