//! The part of the manifest that the page shows: everything but shards and tensors.

use shared::bundle::{Encoding, Manifest, Provenance, Scores, Verification};
use shared::{LabelSet, Thresholds};

/// A bundle's labels, thresholds and sizes, and its card.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleSummary {
    pub labels: LabelSet,
    pub thresholds: Thresholds,
    pub folds: usize,
    /// The number of tokens of a text that a model reads.
    pub max_len: usize,
    /// The size of all distinct shards.
    pub download_bytes: u64,
    /// The size of the final model's shards, if there is one beside the folds.
    pub final_bytes: Option<u64>,
    /// Whether the embeddings of rare words are downloaded after the models.
    pub has_cold_rows: bool,
    /// The host that the bundle is downloaded from, if it is not the page's own.
    pub other_site: Option<String>,
    pub card: Card,
}

/// The bundle's account of itself: origin, license and scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    pub title: String,
    pub license: Option<String>,
    pub encoding: Encoding,
    pub provenance: Provenance,
    pub scores: Scores,
    pub verification: Option<Verification>,
    /// The comparison of the final model.
    pub final_verification: Option<Verification>,
}

impl BundleSummary {
    /// Summarises a manifest, which came from `other_site` if not from the page's own.
    pub fn of(manifest: &Manifest, other_site: Option<String>) -> Self {
        Self {
            other_site,
            labels: manifest.labels().clone(),
            thresholds: manifest.thresholds().clone(),
            folds: manifest.folds(),
            max_len: manifest.max_len(),
            download_bytes: manifest.download_bytes(),
            final_bytes: manifest.final_bytes(),
            has_cold_rows: manifest.hot_rows().is_some(),
            card: Card {
                title: manifest.title().to_owned(),
                license: manifest.license().map(str::to_owned),
                encoding: manifest.encoding(),
                provenance: manifest.provenance().clone(),
                scores: manifest.scores().clone(),
                verification: manifest.verification().cloned(),
                final_verification: manifest.final_verification().cloned(),
            },
        }
    }
}
