//! The contents of a bundle: everything in a manifest but its shards and their verification.

use serde::{Deserialize, Serialize};

use super::account::{Provenance, Scores};
use super::encoding::Encoding;
use crate::model::DebertaConfig;
use crate::{LabelSet, Thresholds};

/// The part of a manifest that people read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The name of the ensemble.
    pub title: String,
    /// The license of the weights, in the words of whoever exported them. Older manifests call it `licence`.
    #[serde(alias = "licence")]
    pub license: Option<String>,
    /// The origin of the models.
    pub provenance: Provenance,
    /// The scores of the run's models.
    pub scores: Scores,
}

/// The contents that a new bundle is made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// Title, license, provenance and scores.
    pub about: About,
    /// The architecture that all folds share.
    pub config: DebertaConfig,
    /// The ordered label names.
    pub labels: LabelSet,
    /// A threshold for each label.
    pub thresholds: Thresholds,
    /// The most tokens of a text that are read, `[CLS]` and `[SEP]` among them.
    pub max_len: usize,
    /// The format of each tensor.
    pub encoding: Encoding,
    /// The number of first rows of the word embeddings that are hot; `None`: all.
    pub hot_rows: Option<usize>,
    /// The numbers that the folds have in their run.
    pub folds: Vec<usize>,
    /// Whether a model that learned from all rows is beside the folds.
    pub final_model: bool,
}
