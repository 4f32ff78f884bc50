//! The report's parts about a labelled file that the run was not trained on: its scores, and how far the run's models agree.

use shared::Thresholds;
use shared::words::{counted, thousands};

use super::chart::{Axis, Chart, Mark};
use super::figure::{Figure, Table};
use super::judged::Judged;
use super::overview::{Fact, Way, program, scores_figure};
use crate::data::{Dataset, Groups};
use crate::evaluation::agreement::{Agreement, by_agreement};
use crate::evaluation::columns::{figure, percent};
use crate::evaluation::curves::Curve;
use crate::evaluation::report::Summary;
use crate::evaluation::threshold_search::FEW_POSITIVES;
use crate::evaluation::unseen::UnseenScores;
use crate::evaluation::{Decisions, decide};
use crate::grid::Probabilities;

/// A labelled file and what a run's models say of it.
pub struct LabelledFile {
    /// The file as the user named it.
    pub name: String,
    pub dataset: Dataset,
    /// The probabilities of each fold by itself.
    pub of_folds: Vec<Probabilities>,
    /// The mean of the folds' probabilities.
    pub probabilities: Probabilities,
    /// The thresholds of the run.
    pub thresholds: Thresholds,
    /// Whether the text of each row is also that of a training row.
    pub in_training: Vec<bool>,
}

/// The scores of all rows, and of those that are not in the training file where some are.
pub struct FileScores {
    pub all: UnseenScores,
    pub unseen: Option<UnseenScores>,
}

impl LabelledFile {
    /// The ensemble's decisions.
    pub fn decisions(&self) -> Decisions {
        decide(&self.probabilities, &self.thresholds)
    }

    pub fn judged<'a>(&'a self, decisions: &'a Decisions) -> Judged<'a> {
        let Dataset { labels, ids, texts, targets, .. } = &self.dataset;
        Judged { labels, ids, texts, targets, probabilities: &self.probabilities, decisions }
    }

    fn seen(&self) -> usize {
        self.in_training.iter().filter(|&&is_in_training| is_in_training).count()
    }

    pub fn scores(&self) -> FileScores {
        let unseen: Vec<usize> =
            (0..self.dataset.len()).filter(|&row| !self.in_training[row]).collect();
        let all: Vec<usize> = (0..self.dataset.len()).collect();
        let some_are_unseen = !unseen.is_empty() && unseen.len() < all.len();
        FileScores {
            all: self.scores_of(&all),
            unseen: some_are_unseen.then(|| self.scores_of(&unseen)),
        }
    }

    fn scores_of(&self, rows: &[usize]) -> UnseenScores {
        let texts: Vec<&String> = rows.iter().map(|&row| &self.dataset.texts[row]).collect();
        UnseenScores::new(
            &Groups::of_equal(&texts),
            &self.dataset.targets.select(rows),
            &self.probabilities.select(rows),
            &self.thresholds,
        )
    }

    /// Says what makes the scores too good or uncertain.
    pub fn doubts(&self, scores: &FileScores) -> Vec<String> {
        let (seen, rows) = (self.seen(), counted(self.dataset.len(), "row"));
        let mut doubts = Vec::new();
        if seen > 0 {
            let without = match &scores.unseen {
                Some(unseen) => format!(
                    "without them, macro-F1 at the run's thresholds is {}",
                    figure(unseen.at_thresholds.value)
                ),
                None => "no row is left without them".to_owned(),
            };
            doubts.push(format!(
                "{} of {rows} have the text of a training row, which the models have learned, so the scores are too good; \
                 {without}",
                thousands(seen)
            ));
        }
        let names = self.dataset.labels.names().iter().zip(&scores.all.per_label);
        let few: Vec<String> = names
            .filter(|(_, label)| label.at_threshold.support < FEW_POSITIVES)
            .map(|(name, label)| format!("`{name}` ({})", label.at_threshold.support))
            .collect();
        if !few.is_empty() {
            doubts.push(format!(
                "scores are uncertain for labels that fewer than {FEW_POSITIVES} rows have: {}",
                few.join(", ")
            ));
        }
        doubts
    }

    pub fn facts(&self, summary: &Summary) -> Vec<Fact> {
        let fact = |name, value| Fact { name, value };
        let Dataset { texts, labels, .. } = &self.dataset;
        vec![
            fact("File", self.name.clone()),
            fact(
                "Data",
                format!(
                    "{} rows, {} distinct texts, {} labels",
                    thousands(texts.len()),
                    thousands(Groups::of_equal(texts).count()),
                    labels.len()
                ),
            ),
            fact(
                "In the training file",
                format!(
                    "the texts of {} ({})",
                    counted(self.seen(), "row"),
                    percent(self.seen() as f64 / texts.len().max(1) as f64)
                ),
            ),
            fact("Model", summary.model.clone()),
            fact(
                "Judged by",
                match self.of_folds.len() {
                    1 => "one fold, at the run's thresholds".to_owned(),
                    folds => format!("the mean of {folds} folds, at the run's thresholds"),
                },
            ),
            program(summary),
        ]
    }
}

/// Macro-F1 of the file, and without the rows that are in the training file.
pub fn scores(scores: &FileScores) -> Figure {
    let FileScores { all, unseen } = scores;
    let mut ways: Vec<Way> = vec![
        ("at 0.5", all.at_half.value, Some(all.at_half.interval)),
        ("run's thresholds", all.at_thresholds.value, Some(all.at_thresholds.interval)),
    ];
    if let Some(unseen) = unseen {
        let (half, tuned) = (unseen.at_half, unseen.at_thresholds);
        ways.push(("new texts, at 0.5", half.value, Some(half.interval)));
        ways.push(("new texts, run's thresholds", tuned.value, Some(tuned.interval)));
    }
    let new = match unseen {
        Some(_) => " New texts: without the rows whose text is in the training file.",
        None => "",
    };
    let caption = format!(
        "Macro-F1 over the rows of the file. The run's thresholds were tuned on the rows that it has held out, not on these. The \
         interval is what these models would score on other texts of the same kind.{new}"
    );
    scores_figure(&ways, &caption)
}

/// The scores of all labels.
pub fn table(scores: &FileScores, judged: Judged<'_>, thresholds: &[f64]) -> Table {
    let mut table = Table::new(&[
        "label",
        "rows",
        "share",
        "F1 at 0.5",
        "F1",
        "95% interval",
        "precision",
        "recall",
        "threshold",
        "plateau",
    ]);
    let rows = judged.targets.len().max(1) as f64;
    for (place, label) in scores.all.per_label.iter().enumerate() {
        let threshold = thresholds[place];
        let curve = Curve::new(judged.targets, judged.probabilities, place);
        let (low, high) = curve.plateau(threshold);
        let at = label.at_threshold;
        table.rows.push(vec![
            judged.labels.names()[place].clone(),
            at.support.to_string(),
            percent(at.support as f64 / rows),
            figure(label.f1_at_half),
            figure(at.f1),
            format!("{:.3} to {:.3}", label.interval.low, label.interval.high),
            figure(at.precision),
            figure(at.recall),
            format!("{threshold:.2}"),
            format!("{low:.2} to {high:.2}"),
        ]);
    }
    table
}

/// How right decisions are by how many models agree; `None` of a single model.
pub fn agreement(file: &LabelledFile, decisions: &Decisions) -> Option<Figure> {
    let models = file.of_folds.len();
    if models < 2 {
        return None;
    }
    let of_folds: Vec<Decisions> =
        file.of_folds.iter().map(|of_fold| decide(of_fold, &file.thresholds)).collect();
    let found = by_agreement(&file.dataset.targets, decisions, &of_folds);
    let all: u64 = found.iter().map(|agreement| agreement.decisions).sum();
    let mut table = Table::new(&[
        "models that agree",
        "decisions",
        "share",
        "right",
        "label on",
        "precision",
        "recall",
        "F1",
    ]);
    for agreement in &found {
        let counts = agreement.counts;
        table.rows.push(vec![
            format!("{} of {models}", agreement.models),
            thousands(agreement.decisions as usize),
            percent(agreement.decisions as f64 / all as f64),
            percent(agreement.accuracy()),
            thousands(counts.decided as usize),
            figure(counts.precision()),
            figure(counts.recall()),
            figure(counts.f1()),
        ]);
    }
    let points = |of: fn(&Agreement) -> f64| -> Vec<(f64, f64)> {
        found.iter().map(|agreement| (agreement.models as f64, of(agreement))).collect()
    };
    let least = found.last().map_or(0, |agreement| agreement.models);
    let ticks = (least..=models).map(|models| (models as f64, models.to_string())).collect();
    let (right, f1) = (points(Agreement::accuracy), points(|agreement| agreement.counts.f1()));
    let chart = Chart {
        description:
            "The share of decisions that are right, and their micro-F1, by how many models agree"
                .to_owned(),
        width: 480.0,
        height: 210.0,
        x: Axis {
            name: "models that agree",
            low: least as f64 - 0.5,
            high: models as f64 + 0.5,
            ticks,
        },
        y: Axis::share("share"),
        marks: vec![
            Mark::Line { series: 0, points: right.clone() },
            Mark::Dots { series: 0, points: right },
            Mark::Line { series: 1, points: f1.clone() },
            Mark::Dots { series: 1, points: f1 },
        ],
    };
    Some(Figure {
        svg: chart.svg(),
        caption: "The decisions of the ensemble, one a row and label, by how many of its models decide the same by \
                  themselves: the share that is right (first colour), and micro-F1 (second colour)."
            .to_owned(),
        table,
    })
}
