//! What a training reports (`summary.json`) and what `evaluate` reports, as values.
//!
//! `table` prints them; `run` writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{LabelSet, Thresholds};

use super::threshold_search::{cross_fitted, tune};
use super::{Score, Scores, decide, score_at_half};
use crate::data::Duplicates;
use crate::grid::{Probabilities, Targets};

/// The whole account of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Where the weights came from: a folder, a hub id, or `mini`.
    pub model: String,
    pub seed: u64,
    /// Program and library versions by name.
    pub versions: BTreeMap<String, String>,
    pub labels: LabelSet,
    /// Training rows.
    pub rows: usize,
    /// How rows were dealt to folds, as `--split` names it.
    pub split: String,
    pub folds: usize,
    pub cross_validation: CrossValidation,
    pub per_label: Vec<LabelReport>,
    /// The folds that were trained.
    pub per_fold: Vec<FoldReport>,
    /// How much of what is scored stands in what was learnt.
    pub duplicates: Duplicates,
    pub truncated_texts: TruncatedTexts,
    pub seconds: Seconds,
    /// `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
}

/// Macro-F1 over the out-of-fold rows, by three ways of deciding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// The out-of-fold rows that were scored.
    pub rows: usize,
    /// Every threshold 0.5: nothing tuned.
    pub macro_f1_at_half: f64,
    /// Thresholds tuned and scored on the same rows, as the reference job does: optimistic.
    pub macro_f1_tuned: f64,
    /// Each fold's rows decided by thresholds tuned on the other folds': honest. `None` after
    /// training a single fold.
    pub macro_f1_cross_fitted: Option<f64>,
}

/// One label over the out-of-fold rows. The `tuned` figures share the optimism of
/// [`CrossValidation::macro_f1_tuned`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    pub label: String,
    pub threshold: f64,
    pub f1_at_half: f64,
    pub f1_tuned: f64,
    pub precision_tuned: f64,
    pub recall_tuned: f64,
    pub f1_cross_fitted: Option<f64>,
    /// Rows where the label is on.
    pub support: u64,
    /// The share of rows where it is on.
    pub positive_rate: f64,
}

/// One trained fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldReport {
    pub fold: usize,
    /// Rows held out in this fold.
    pub rows: usize,
    /// Macro-F1 at 0.5 on the held-out rows after each epoch.
    pub macro_f1_at_half: Vec<f64>,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: usize,
}

/// Texts longer than `--max-len` tokens, of which the end was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncatedTexts {
    pub train: usize,
    pub test: Option<usize>,
}

/// Wall-clock time by phase, of the process that wrote the summary: after a resume, of the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    pub setup: f64,
    pub tokenise: f64,
    pub train: f64,
    pub validate: f64,
    pub predict: f64,
    /// What is left of the total: loading weights, checkpoints, saving.
    #[serde(default)]
    pub files: f64,
    pub total: f64,
}

/// The out-of-fold rows scored in every way, and the thresholds to predict with.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    pub thresholds: Thresholds,
    pub cross_validation: CrossValidation,
    pub per_label: Vec<LabelReport>,
}

impl OutOfFold {
    /// `fold_of` holds the fold each row was held out in.
    pub fn score(
        labels: &LabelSet,
        targets: &Targets,
        probabilities: &Probabilities,
        fold_of: &[usize],
    ) -> Self {
        let thresholds = tune(targets, probabilities);
        let half = score_at_half(targets, probabilities);
        let tuned = Scores::new(targets, &decide(probabilities, &thresholds));
        let honest = cross_fitted(targets, probabilities, fold_of)
            .map(|decided| Scores::new(targets, &decided));
        let per_label = (0..labels.len())
            .map(|label| LabelReport {
                label: labels.names()[label].clone(),
                threshold: thresholds.values()[label],
                f1_at_half: half.per_label[label].f1,
                f1_tuned: tuned.per_label[label].f1,
                precision_tuned: tuned.per_label[label].precision,
                recall_tuned: tuned.per_label[label].recall,
                f1_cross_fitted: honest.as_ref().map(|scores| scores.per_label[label].f1),
                support: tuned.per_label[label].support,
                positive_rate: tuned.per_label[label].support as f64 / targets.len() as f64,
            })
            .collect();
        let cross_validation = CrossValidation {
            rows: targets.len(),
            macro_f1_at_half: half.macro_f1(),
            macro_f1_tuned: tuned.macro_f1(),
            macro_f1_cross_fitted: honest.as_ref().map(Scores::macro_f1),
        };
        Self { thresholds, cross_validation, per_label }
    }
}

/// A run's ensemble scored on a labelled file; its JSON form is what `evaluate --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub rows: usize,
    #[serde(rename = "macro")]
    pub macro_average: HalfAndTuned,
    #[serde(rename = "micro")]
    pub micro_average: HalfAndTuned,
    pub per_label: Vec<LabelEvaluation>,
}

/// The same probabilities decided at 0.5 and at the run's thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HalfAndTuned {
    pub at_half: Score,
    pub tuned: Score,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelEvaluation {
    pub label: String,
    pub threshold: f64,
    #[serde(flatten)]
    pub scores: HalfAndTuned,
}

impl Evaluation {
    pub fn new(
        labels: &LabelSet,
        targets: &Targets,
        probabilities: &Probabilities,
        thresholds: &Thresholds,
    ) -> Self {
        let half = score_at_half(targets, probabilities);
        let tuned = Scores::new(targets, &decide(probabilities, thresholds));
        let per_label = labels.names().iter().zip(thresholds.values()).enumerate();
        Self {
            rows: targets.len(),
            macro_average: HalfAndTuned { at_half: half.macro_average, tuned: tuned.macro_average },
            micro_average: HalfAndTuned { at_half: half.micro_average, tuned: tuned.micro_average },
            per_label: per_label
                .map(|(index, (label, &threshold))| LabelEvaluation {
                    label: label.clone(),
                    threshold,
                    scores: HalfAndTuned {
                        at_half: half.per_label[index],
                        tuned: tuned.per_label[index],
                    },
                })
                .collect(),
        }
    }
}

/// The most memory this process ever held, where Linux tells it.
pub fn peak_memory_bytes() -> Option<u64> {
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;

    fn labels() -> LabelSet {
        LabelSet::new(vec!["joy".into(), "fear".into()]).unwrap()
    }

    fn table() -> (Targets, Probabilities) {
        let targets = vec![1, 0, 0, 1, 1, 0, 0, 0];
        (Grid::new(2, targets), Grid::new(2, vec![0.9, 0.2, 0.1, 0.3, 0.4, 0.1, 0.2, 0.22]))
    }

    #[test]
    fn out_of_fold_scores_by_hand() {
        let (targets, probabilities) = table();
        let scored = OutOfFold::score(&labels(), &targets, &probabilities, &[0, 0, 1, 1]);
        // joy: on at .9 and .4, off at .1 and .2: .25 parts them first. fear: on at .3, off at .22
        // and below: .25 again.
        assert_eq!(scored.thresholds.values(), [0.25, 0.25]);
        // At 0.5 joy finds one of two (F1 2/3), fear none of one.
        assert_eq!(scored.cross_validation.macro_f1_at_half, (2.0 / 3.0) / 2.0);
        assert_eq!(scored.cross_validation.macro_f1_tuned, 1.0);
        // Fold 0 by fold 1's thresholds (joy .25; fear is never on there: .1) and the reverse
        // (joy .15, fear .25): joy finds both but takes .2 too (4/5), fear finds one of one and
        // takes .2 in fold 0 too (2/3).
        assert_eq!(
            scored.cross_validation.macro_f1_cross_fitted,
            Some((4.0 / 5.0 + 2.0 / 3.0) / 2.0)
        );
        let fear = &scored.per_label[1];
        assert_eq!((fear.label.as_str(), fear.threshold), ("fear", 0.25));
        assert_eq!((fear.support, fear.positive_rate), (1, 0.25));
        assert_eq!((fear.f1_at_half, fear.f1_cross_fitted), (0.0, Some(2.0 / 3.0)));
    }

    #[test]
    fn the_json_of_an_evaluation_has_both_ways_of_deciding() {
        let (targets, probabilities) = table();
        let thresholds = Thresholds::uniform(0.25, 2).unwrap();
        let evaluation = Evaluation::new(&labels(), &targets, &probabilities, &thresholds);
        let json = serde_json::to_value(&evaluation).unwrap();
        assert_eq!(json["rows"], 4);
        assert_eq!(json["macro"]["at_half"]["f1"], (2.0 / 3.0) / 2.0);
        assert_eq!(json["micro"]["tuned"]["recall"], 1.0);
        assert_eq!(json["per_label"][1]["label"], "fear");
        assert_eq!(json["per_label"][1]["at_half"]["support"], 1);
        assert_eq!(serde_json::from_value::<Evaluation>(json).unwrap(), evaluation);
    }

    #[test]
    fn peak_memory_is_read_from_the_status_file() {
        let status = "VmPeak:\t  900 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!(high_water_mark(status), Some(1234 * 1024));
        assert_eq!(high_water_mark("VmRSS:\t 1000 kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn peak_memory_grows_with_what_is_touched() {
        let before = peak_memory_bytes().unwrap();
        let touched = vec![1u8; before as usize + (32 << 20)];
        assert!(peak_memory_bytes().unwrap() > std::hint::black_box(touched).len() as u64);
    }
}
