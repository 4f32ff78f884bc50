//! A manifest's account of where the models come from and how good they are. Nothing here decides how a bundle is loaded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The origin of the models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The model that they were fine-tuned from: a folder's name, a hub id, or `mini`.
    pub model: String,
    /// The run's seed.
    pub seed: u64,
    /// The number of folds of the run. A bundle may hold fewer.
    pub run_folds: usize,
    /// The folds whose weights were averaged into the bundle's one model, where that is what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged_folds: Option<Vec<usize>>,
    /// Whether the bundle's one model is that of no fold, but learned from all rows. The scores are then those of the
    /// folds, which learned likewise from fewer rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub final_model: bool,
    /// Training rows, of which each fold has held out its own.
    pub rows: usize,
    /// The versions of the programs that trained and exported, by name.
    pub versions: BTreeMap<String, String>,
}

/// The run's cross-validated scores: each row is judged by the model that was not trained on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Rows that were scored.
    pub rows: usize,
    /// The way rows were dealt to folds: `grouped` keeps equal texts together.
    pub split: String,
    /// Rows whose text is also in another fold, which makes scores too good.
    pub repeated_rows: usize,
    /// Macro-F1 with every threshold at 0.5.
    pub macro_f1_at_half: f64,
    /// Macro-F1 with thresholds tuned on the rows that they score: optimistic.
    pub macro_f1_tuned: f64,
    /// Macro-F1 with each fold scored at thresholds tuned on the other folds: honest. Absent after a single fold.
    pub macro_f1_cross_fitted: Option<f64>,
    /// The 95% interval of the cross-fitted score, or of that at 0.5 where there is no other: what these models would score on
    /// other texts of the same kind. Absent in older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1_interval: Option<Interval>,
    /// The scores of each label, in the order of the labels.
    pub per_label: Vec<LabelScores>,
}

/// A range that holds the true score in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The scores of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// The label's name.
    pub label: String,
    /// Rows where the label is on.
    pub support: u64,
    /// F1 at the threshold 0.5.
    pub f1_at_half: f64,
    /// F1 at a threshold tuned on the same rows.
    pub f1_tuned: f64,
    /// F1 of each fold at thresholds tuned on the others.
    pub f1_cross_fitted: Option<f64>,
    /// The 95% interval of the cross-fitted F1, or of that at 0.5. Absent in older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The reliability table: the scored texts by the probability that they were given, ascending. Empty in older manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
}

/// The scored texts whose probability of a label is below `below` and not below that of the bin before; the last bin also has
/// those of 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// The end of the bin.
    pub below: f64,
    /// The texts in it.
    pub texts: u64,
    /// The texts among them that have the label.
    pub with_label: u64,
}

/// The scored texts that were given a probability between `from` and `to`, and how many of them have the label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The beginning of their bin.
    pub from: f64,
    /// The end of their bin.
    pub to: f64,
    /// The texts.
    pub texts: u64,
    /// The texts among them that have the label.
    pub with_label: u64,
}

impl LabelScores {
    /// The scored texts that were given a probability like this one; `None` if the reliability table is not known.
    pub fn evidence(&self, probability: f64) -> Option<Evidence> {
        let bins = &self.reliability;
        let place =
            bins.partition_point(|bin| bin.below <= probability).min(bins.len().checked_sub(1)?);
        let ReliabilityBin { below, texts, with_label } = bins[place];
        let from = place.checked_sub(1).map_or(0.0, |before| bins[before].below);
        Some(Evidence { from, to: below, texts, with_label })
    }
}

/// A comparison: how the bundle, loaded as a browser loads it, compares with the run's models on the run's texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Texts that were compared, each by the fold that held it out.
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
    /// Macro-F1 of the run's models over the held-out rows, at the run's thresholds.
    pub macro_f1_run: f64,
    /// Macro-F1 of the bundle's models over the same rows.
    pub macro_f1_bundle: f64,
    /// The same for each fold, over its own held-out rows.
    pub folds: Vec<FoldScores>,
    /// The same for the mean over all folds.
    pub ensemble: EnsembleScores,
}

/// The scores of one fold over the rows that it held out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FoldScores {
    /// Macro-F1 of the run's model.
    pub macro_f1_run: f64,
    /// Macro-F1 of the bundle's model.
    pub macro_f1_bundle: f64,
}

/// The mean over the bundle's models beside the mean over the run's folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleScores {
    /// Texts that went through every model.
    pub rows: usize,
    /// Whether these are training texts of the run, nearly all of which nearly every fold was trained on.
    pub seen_in_training: bool,
    /// The share of decisions, one a row and label, in which both agree.
    pub agreement: f64,
    /// Macro-F1 of the run's mean at the thresholds; absent if the texts have no labels.
    pub macro_f1_run: Option<f64>,
    /// Macro-F1 of the bundle's mean.
    pub macro_f1_bundle: Option<f64>,
}
