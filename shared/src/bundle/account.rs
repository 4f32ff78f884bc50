//! What a manifest tells about where the models come from and how good they are. Plain values: nothing here
//! decides how a bundle is loaded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the models come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// What they were fine-tuned from: a folder's name, a hub id, or `mini`.
    pub model: String,
    pub seed: u64,
    /// Folds of the run, of which a bundle may hold a part.
    pub run_folds: usize,
    /// The folds whose weights were averaged into the bundle's one model, where that is what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged_folds: Option<Vec<usize>>,
    /// Training rows, of which each fold has held out its own.
    pub rows: usize,
    /// Program versions by name: of the training and of the export.
    pub versions: BTreeMap<String, String>,
}

/// The run's cross-validated scores, each row judged by the model that has not seen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Rows that were scored.
    pub rows: usize,
    /// How rows were dealt to folds: `grouped` keeps equal texts together.
    pub split: String,
    /// Rows whose text stands in another fold as well: what makes scores too good.
    pub repeated_rows: usize,
    /// Every threshold 0.5.
    pub macro_f1_at_half: f64,
    /// Thresholds tuned and scored on the same rows: optimistic.
    pub macro_f1_tuned: f64,
    /// Each fold scored at thresholds tuned on the others: honest. Absent after a single fold.
    pub macro_f1_cross_fitted: Option<f64>,
    /// In the order of the labels.
    pub per_label: Vec<LabelScores>,
}

/// One label over the scored rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    pub label: String,
    /// Rows where the label is on.
    pub support: u64,
    pub f1_at_half: f64,
    pub f1_tuned: f64,
    pub f1_cross_fitted: Option<f64>,
}

/// The bundle, loaded as a browser loads it, against the run's own models on the run's own texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Texts that were compared, each by the fold that held it out and by the whole ensemble.
    pub rows: usize,
    /// The largest difference of a logit, over single folds.
    pub logit_difference: f64,
    /// The largest difference of a probability, over single folds.
    pub fold_probability_difference: f64,
    /// The largest difference of a probability of the ensemble.
    pub probability_difference: f64,
    /// The most that the export allows of `probability_difference`.
    pub tolerance: f64,
    /// The mean difference of a probability, over single folds.
    pub mean_fold_probability_difference: f64,
    /// The mean difference of a probability of the ensemble.
    pub mean_probability_difference: f64,
    /// Macro-F1 over the held-out rows at the thresholds, by the run and by the bundle.
    pub macro_f1_run: f64,
    pub macro_f1_bundle: f64,
    /// The same of each fold over its own held-out rows.
    pub folds: Vec<FoldScores>,
    /// Of all folds' mean.
    pub ensemble: EnsembleScores,
}

/// A fold over the rows that it held out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FoldScores {
    pub macro_f1_run: f64,
    pub macro_f1_bundle: f64,
}

/// The bundle's mean over its models beside the mean over the run's folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleScores {
    /// Texts that went through every model.
    pub rows: usize,
    /// Whether they are the run's training texts, of which nearly every fold has seen nearly all.
    pub seen_in_training: bool,
    /// The share of rows and labels that both decide alike.
    pub agreement: f64,
    /// Macro-F1 at the thresholds, where labels are known.
    pub macro_f1_run: Option<f64>,
    pub macro_f1_bundle: Option<f64>,
}
