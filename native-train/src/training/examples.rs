//! Encoded texts and their labels.

use crate::grid::{Probabilities, Targets};

/// Encoded texts and their labels. Texts without labels, which a teacher answers, come last.
#[derive(Debug, Clone)]
pub struct Examples {
    /// The token ids of each text, special tokens included.
    pub input_ids: Vec<Vec<u32>>,
    /// The labels that are scored.
    pub targets: Targets,
    /// The labels that are learned, if they are soft; else the targets are.
    pub soft_targets: Option<Probabilities>,
}

impl Examples {
    /// Whether a row has labels.
    pub fn is_labelled(&self, row: usize) -> bool {
        row < self.targets.len()
    }

    /// The labels that a row teaches; `None` if it has none.
    pub fn goals(&self, row: usize) -> Option<Vec<f32>> {
        self.is_labelled(row).then(|| match &self.soft_targets {
            Some(soft) => soft.row(row).to_vec(),
            None => self.targets.row(row).iter().map(|&on| f32::from(on)).collect(),
        })
    }
}
