//! What the page has to know of the bundle to show answers: the manifest without its tensors.

use shared::bundle::{Encoding, Manifest, Provenance, Scores, Verification};
use shared::{LabelSet, Thresholds};

/// The labels, their thresholds and the number of models.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    pub labels: LabelSet,
    pub thresholds: Thresholds,
    pub folds: usize,
    /// The most tokens of a text that a model reads.
    pub max_len: usize,
    /// All distinct shards.
    pub download_bytes: u64,
    /// Word embeddings of rarer words come after the models.
    pub is_parted: bool,
    pub card: Card,
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    pub title: String,
    pub licence: Option<String>,
    pub encoding: Encoding,
    pub provenance: Provenance,
    pub scores: Scores,
    pub verification: Option<Verification>,
}

impl Ensemble {
    pub fn label_count(&self) -> usize {
        self.labels.len()
    }
}

impl From<&Manifest> for Ensemble {
    fn from(manifest: &Manifest) -> Self {
        Self {
            labels: manifest.labels().clone(),
            thresholds: manifest.thresholds().clone(),
            folds: manifest.folds(),
            max_len: manifest.max_len(),
            download_bytes: manifest.download_bytes(),
            is_parted: manifest.hot_rows().is_some(),
            card: Card {
                title: manifest.title().to_owned(),
                licence: manifest.licence().map(str::to_owned),
                encoding: manifest.encoding(),
                provenance: manifest.provenance().clone(),
                scores: manifest.scores().clone(),
                verification: manifest.verification().cloned(),
            },
        }
    }
}
