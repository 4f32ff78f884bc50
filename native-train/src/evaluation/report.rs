//! The reports of a training (`summary.json`) and of `evaluate`, as values. `table` formats them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::words::counted;
use shared::{LabelSet, Thresholds};

use super::decisions::{Decisions, decide, decide_at_half};
use super::metrics::{Counts, Score, Scores};
use super::resampling::{GroupedCounts, Interval};
use super::threshold_search::{Basis, FEW_POSITIVES, Tuned, cross_fitted, tune};
use crate::data::{Duplicates, Groups};
use crate::grid::{Probabilities, Targets};

/// The report of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The pretrained model: a folder, a hub id, or `mini`.
    pub model: String,
    pub seed: u64,
    /// Program and library versions by name.
    pub versions: BTreeMap<String, String>,
    pub labels: LabelSet,
    /// Training rows.
    pub rows: usize,
    /// The rule by which rows were dealt to folds: the value of `--split`.
    pub split: String,
    pub folds: usize,
    pub cross_validation: CrossValidation,
    pub per_label: Vec<LabelReport>,
    /// The folds that were trained.
    pub per_fold: Vec<FoldReport>,
    /// The teacher that the folds learned from, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
    /// The texts that are both trained on and scored.
    pub duplicates: Duplicates,
    pub truncated_texts: TruncatedTexts,
    pub seconds: Seconds,
    /// `None` where the system does not report it.
    pub peak_memory_bytes: Option<u64>,
}

/// Macro-F1 over the out-of-fold rows, with three kinds of thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// The out-of-fold rows that were scored.
    pub rows: usize,
    /// Thresholds of 0.5: nothing is tuned.
    pub macro_f1_at_half: f64,
    /// Thresholds tuned and scored on the same rows, as in the reference job: optimistic.
    pub macro_f1_tuned: f64,
    /// Thresholds for each fold's rows tuned on the rows of the others: honest. `None` after training a
    /// single fold.
    pub macro_f1_cross_fitted: Option<f64>,
    /// `None` in what earlier versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<ScoreIntervals>,
}

/// The 95% intervals of macro-F1: what these models would score on other texts of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreIntervals {
    pub at_half: Interval,
    /// As optimistic as the score itself.
    pub tuned: Interval,
    pub cross_fitted: Option<Interval>,
}

/// How the models of a run learned from a teacher, and how they compare with it and without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distillation {
    /// The folder of the teacher's run.
    pub teacher: String,
    /// The model that the teacher was fine-tuned from.
    pub teacher_model: String,
    /// The weight of the teacher's answer beside a label.
    pub alpha: f64,
    pub temperature: f64,
    /// The texts without labels that were learned from, and those that were not.
    pub texts: TextsUsed,
    /// The teacher's own out-of-fold scores, on the same rows and folds.
    pub teacher_scores: CrossValidation,
    /// The scores of the same model without a teacher, if it was trained.
    pub baseline: Option<CrossValidation>,
    #[serde(rename = "final")]
    pub final_model: FinalModel,
}

/// The texts of `--texts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextsUsed {
    pub used: usize,
    /// Empty, or equal to an earlier one.
    pub repeated: usize,
    /// Equal to a row of the training file.
    pub in_training_file: usize,
}

/// The model that learned from all rows, so that none is left to score it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FinalModel {
    /// The rows and texts that it learned from.
    pub rows: usize,
    /// The students' cross-fitted macro-F1, or where there is none that at 0.5: models that learned likewise from
    /// fewer rows.
    pub expected_macro_f1: f64,
}

/// The scores of a label over the out-of-fold rows. The `tuned` ones are as optimistic as
/// [`CrossValidation::macro_f1_tuned`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    pub label: String,
    pub threshold: f64,
    /// The basis of the threshold.
    #[serde(default)]
    pub threshold_basis: Basis,
    pub f1_at_half: f64,
    pub f1_tuned: f64,
    pub precision_tuned: f64,
    pub recall_tuned: f64,
    pub f1_cross_fitted: Option<f64>,
    /// The 95% interval of the cross-fitted F1, or where there is none of that at 0.5; `None` in what earlier versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Rows where the label is on.
    pub support: u64,
    /// The share of rows where it is on.
    pub positive_rate: f64,
}

/// The scores of a trained fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldReport {
    pub fold: usize,
    /// The number of rows that the fold holds out.
    pub rows: usize,
    /// Macro-F1 at 0.5 on the held-out rows after each epoch.
    pub macro_f1_at_half: Vec<f64>,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: usize,
}

/// The number of texts that are longer than `--max-len` tokens and so were truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncatedTexts {
    pub train: usize,
    pub test: Option<usize>,
}

/// Wall-clock time by phase, of the process that wrote the summary: after a resume, the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    pub setup: f64,
    pub tokenise: f64,
    pub train: f64,
    pub validate: f64,
    pub predict: f64,
    /// The rest of the total: loading weights, checkpoints, saving.
    #[serde(default)]
    pub files: f64,
    pub total: f64,
}

impl Summary {
    /// Warnings of the thresholds that mean little, with the labels that have them.
    pub fn doubts(&self) -> Vec<String> {
        let with = |basis: Basis, shown: fn(&LabelReport) -> String| {
            let labels = self.per_label.iter().filter(|label| label.threshold_basis == basis);
            labels.map(shown).collect::<Vec<_>>().join(", ")
        };
        let few =
            with(Basis::FewPositives, |label| format!("`{}` ({})", label.label, label.support));
        let below = with(Basis::BelowCandidates, |label| {
            format!(
                "`{}` ({:.4}, from {})",
                label.label,
                label.threshold,
                counted(label.support as usize, "row")
            )
        });
        let none =
            with(Basis::NoPositives, |label| format!("`{}` ({:.2})", label.label, label.threshold));
        let rows = counted(self.cross_validation.rows, "scored row");
        [
            (few, format!(
                "thresholds and scores are uncertain for labels that fewer than {FEW_POSITIVES} of {rows} have: "
            )),
            (below, "no threshold from 0.1 to 0.9 is better than \"on\" everywhere, so an uncertain one between \
                     the label's own probabilities is taken for: ".to_owned()),
            (none, format!("none of {rows} has these labels, so their thresholds are set where they are not \
                     predicted by chance: ")),
        ]
        .into_iter()
        .filter(|(labels, _)| !labels.is_empty())
        .map(|(labels, why)| why + &labels)
        .collect()
    }
}

/// The scores of the out-of-fold rows, and the thresholds to predict with.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    pub thresholds: Thresholds,
    pub cross_validation: CrossValidation,
    pub per_label: Vec<LabelReport>,
}

impl OutOfFold {
    /// Scores the rows, of which `groups` have equal texts; `fold_of` is the fold that held out each.
    pub fn score(
        labels: &LabelSet,
        groups: &Groups,
        targets: &Targets,
        probabilities: &Probabilities,
        fold_of: &[usize],
    ) -> Self {
        let Tuned { thresholds, bases } = tune(targets, probabilities);
        let at_half = decide_at_half(probabilities);
        let at_tuned = decide(probabilities, &thresholds);
        let at_honest = cross_fitted(targets, probabilities, fold_of);
        let [half, tuned] = [&at_half, &at_tuned].map(|decided| Scores::new(targets, decided));
        let honest = at_honest.as_ref().map(|decided| Scores::new(targets, decided));

        let decisions: Vec<&Decisions> =
            [&at_half, &at_tuned].into_iter().chain(&at_honest).collect();
        // The macro averages in this order, then the labels of the last, which is the honest one if there is one.
        let counts = GroupedCounts::new(groups, targets, &decisions);
        let intervals = counts.intervals(|sums| {
            let of = |sums: &[Counts]| sums.iter().map(Counts::f1).sum::<f64>() / sums.len() as f64;
            let labels_of = if decisions.len() == 3 { 2 } else { 0 };
            let last = &sums[labels_of * labels.len()..][..labels.len()];
            sums.chunks(labels.len()).map(of).chain(last.iter().map(Counts::f1)).collect()
        });
        let interval = |place: usize| intervals[place].1;

        let per_label = (0..labels.len())
            .map(|label| LabelReport {
                label: labels.names()[label].clone(),
                threshold: thresholds.values()[label],
                threshold_basis: bases[label],
                f1_at_half: half.per_label[label].f1,
                f1_tuned: tuned.per_label[label].f1,
                precision_tuned: tuned.per_label[label].precision,
                recall_tuned: tuned.per_label[label].recall,
                f1_cross_fitted: honest.as_ref().map(|scores| scores.per_label[label].f1),
                interval: Some(interval(decisions.len() + label)),
                support: tuned.per_label[label].support,
                positive_rate: tuned.per_label[label].support as f64 / targets.len() as f64,
            })
            .collect();
        let cross_validation = CrossValidation {
            rows: targets.len(),
            macro_f1_at_half: half.macro_f1(),
            macro_f1_tuned: tuned.macro_f1(),
            macro_f1_cross_fitted: honest.as_ref().map(Scores::macro_f1),
            intervals: Some(ScoreIntervals {
                at_half: interval(0),
                tuned: interval(1),
                cross_fitted: honest.is_some().then(|| interval(2)),
            }),
        };
        Self { thresholds, cross_validation, per_label }
    }
}

/// The scores of a run's ensemble on a labelled file. `evaluate --json` prints it as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub rows: usize,
    #[serde(rename = "macro")]
    pub macro_average: HalfAndTuned,
    #[serde(rename = "micro")]
    pub micro_average: HalfAndTuned,
    pub per_label: Vec<LabelEvaluation>,
}

/// The scores of the same probabilities at 0.5 and at the run's thresholds.
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
        let half = Scores::at_half(targets, probabilities);
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
        let scored = OutOfFold::score(
            &labels(),
            &Groups::single(4),
            &targets,
            &probabilities,
            &[0, 0, 1, 1],
        );
        // joy: on at .9 and .4, off at .1 and .2: .25 parts them first. fear: on at .3, off at .22
        // and below: .25 again.
        assert_eq!(scored.thresholds.values(), [0.25, 0.25]);
        // At 0.5 joy finds one of two (F1 2/3), fear none of one.
        assert_eq!(scored.cross_validation.macro_f1_at_half, (2.0 / 3.0) / 2.0);
        assert_eq!(scored.cross_validation.macro_f1_tuned, 1.0);
        // Fold 0 by fold 1's thresholds (joy .25; fear is never on there: .9) and the reverse
        // (joy .15, fear .25): joy finds both but takes .2 too (4/5), fear finds none.
        assert_eq!(scored.cross_validation.macro_f1_cross_fitted, Some(4.0 / 5.0 / 2.0));
        let fear = &scored.per_label[1];
        assert_eq!((fear.label.as_str(), fear.threshold), ("fear", 0.25));
        assert_eq!((fear.support, fear.positive_rate), (1, 0.25));
        assert_eq!((fear.f1_at_half, fear.f1_cross_fitted), (0.0, Some(0.0)));
        assert_eq!(fear.threshold_basis, Basis::FewPositives);
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
}
