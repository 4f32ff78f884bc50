//! Each label by itself: how well it is found, how much depends on its threshold, and whether its probabilities can be believed.

use std::collections::BTreeMap;

use shared::Thresholds;

use super::chart::{Axis, Chart, Mark};
use super::figure::{Figure, Table};
use super::judged::Judged;
use crate::evaluation::calibration::{Bin, expected_calibration_error, reliability};
use crate::evaluation::columns::{figure, percent};
use crate::evaluation::curves::Curve;
use crate::evaluation::report::Summary;
use crate::evaluation::threshold_search::{candidates, tuned_without_each};
use crate::scored_rows::ScoredRows;

/// The points of a curve: enough to look smooth, few enough for 28 labels in half a megabyte.
const POINTS: usize = 60;

pub struct LabelSection {
    pub name: String,
    pub figures: Vec<Figure>,
}

/// The scores of all labels of a run, which would have these thresholds without each of its folds.
pub fn table(summary: &Summary, judged: Judged<'_>, without: &WithoutEach) -> Table {
    let mut table = Table::new(&[
        "label",
        "rows",
        "share",
        "F1 at 0.5",
        "F1 honest",
        "95% interval",
        "precision*",
        "recall*",
        "threshold",
        "plateau",
        "by fold",
    ]);
    for (place, label) in summary.per_label.iter().enumerate() {
        let curve = Curve::new(judged.targets, judged.probabilities, place);
        let (low, high) = curve.plateau(label.threshold);
        let of_folds = fold_thresholds(without, place);
        let interval = label.interval.map(|of| format!("{:.3} to {:.3}", of.low, of.high));
        let spread = match (of_folds.first(), of_folds.last()) {
            (Some(least), Some(most)) => format!("{least:.2} to {most:.2}"),
            _ => String::new(),
        };
        table.rows.push(vec![
            label.label.clone(),
            label.support.to_string(),
            percent(label.positive_rate),
            figure(label.f1_at_half),
            label.f1_cross_fitted.map_or_else(|| "–".to_owned(), figure),
            interval.unwrap_or_default(),
            figure(label.precision_tuned),
            figure(label.recall_tuned),
            format!("{:.2}", label.threshold),
            format!("{low:.2} to {high:.2}"),
            spread,
        ]);
    }
    table
}

/// The thresholds that were tuned without each fold; empty where there are no others.
pub type WithoutEach = BTreeMap<usize, Thresholds>;

/// The thresholds of a run without each of its folds.
pub fn without_each(scored: &ScoredRows) -> WithoutEach {
    tuned_without_each(&scored.targets, &scored.probabilities, &scored.fold_of).unwrap_or_default()
}

/// Three pictures for each label, decided at these thresholds.
pub fn sections(
    judged: Judged<'_>,
    thresholds: &[f64],
    without: &WithoutEach,
) -> Vec<LabelSection> {
    let section = |(place, (name, &threshold)): (usize, (&String, &f64))| {
        let curve = Curve::new(judged.targets, judged.probabilities, place);
        let bins = reliability(judged.targets, judged.probabilities, Some(place));
        LabelSection {
            name: name.clone(),
            figures: vec![
                threshold_figure(name, threshold, &curve, &fold_thresholds(without, place)),
                precision_recall(name, threshold, &curve),
                reliability_figure(name, &bins),
            ],
        }
    };
    judged.labels.names().iter().zip(thresholds).enumerate().map(section).collect()
}

/// The reliability of all labels together.
pub fn calibration(judged: Judged<'_>) -> Figure {
    let bins = reliability(judged.targets, judged.probabilities, None);
    reliability_figure("all labels", &bins)
}

/// Those of a label, ascending.
fn fold_thresholds(without: &WithoutEach, label: usize) -> Vec<f64> {
    let mut of_folds: Vec<f64> = without.values().map(|of| of.values()[label]).collect();
    of_folds.sort_unstable_by(f64::total_cmp);
    of_folds
}

fn small(description: String, x: &'static str, y: &'static str, marks: Vec<Mark>) -> Chart {
    let (x, y) = (Axis::share(x), Axis::share(y));
    Chart { description, width: 256.0, height: 216.0, x, y, marks }
}

/// F1 at each threshold, the chosen one, its plateau, and what each fold alone would have chosen.
fn threshold_figure(name: &str, chosen: f64, curve: &Curve, of_folds: &[f64]) -> Figure {
    let at = |step: usize| curve.at(step as f64 / POINTS as f64);
    let points = (0..=POINTS).map(|step| (at(step).threshold, at(step).f1)).collect();
    let (low, high) = curve.plateau(chosen);
    let mut marks = vec![Mark::Band { low, high }];
    marks.extend(of_folds.iter().map(|&x| Mark::Upright { x, faint: true }));
    marks.push(Mark::Line { series: 0, points });
    marks.push(Mark::Upright { x: chosen, faint: false });
    let mut table = Table::new(&["threshold", "precision", "recall", "F1"]);
    for threshold in candidates() {
        let at = curve.at(threshold);
        let cells = [at.precision, at.recall, at.f1].map(|score| format!("{score:.3}"));
        table.rows.push([vec![format!("{threshold:.2}")], cells.to_vec()].concat());
    }
    let of_folds = match of_folds {
        [] => "",
        _ => " The thin lines are the choices without one fold each.",
    };
    Figure {
        svg: small(format!("F1 of {name} over its threshold"), "threshold", "F1", marks).svg(),
        caption: format!(
            "F1 over the threshold. Chosen: {chosen:.2}; from {low:.2} to {high:.2} it is at most 0.01 lower.{of_folds}"
        ),
        table,
    }
}

fn precision_recall(name: &str, threshold: f64, curve: &Curve) -> Figure {
    let points = curve.precision_recall(POINTS);
    let chosen = curve.at(threshold);
    let mut table = Table::new(&["recall", "precision"]);
    let every = points.len().div_ceil(10).max(1);
    for (recall, precision) in points.iter().step_by(every).chain(points.last()) {
        table.rows.push(vec![format!("{recall:.3}"), format!("{precision:.3}")]);
    }
    let marks = vec![
        Mark::Line { series: 0, points },
        Mark::Dots { series: 1, points: vec![(chosen.recall, chosen.precision)] },
    ];
    Figure {
        svg: small(format!("Precision of {name} over its recall"), "recall", "precision", marks)
            .svg(),
        caption: format!(
            "Precision over recall. The dot is at the chosen threshold: precision {:.3}, recall {:.3}.",
            chosen.precision, chosen.recall
        ),
        table,
    }
}

fn reliability_figure(name: &str, bins: &[Bin]) -> Figure {
    let filled: Vec<&Bin> = bins.iter().filter(|bin| bin.count > 0).collect();
    let points: Vec<(f64, f64)> =
        filled.iter().map(|bin| (bin.mean_probability(), bin.share())).collect();
    let mut table = Table::new(&["probability", "texts", "mean", "have the label"]);
    for bin in filled {
        table.rows.push(vec![
            format!("{:.1} to {:.1}", bin.low, bin.high),
            bin.count.to_string(),
            percent(bin.mean_probability()),
            percent(bin.share()),
        ]);
    }
    let marks = vec![
        Mark::Diagonal,
        Mark::Line { series: 0, points: points.clone() },
        Mark::Dots { series: 0, points },
    ];
    let description = format!("Share of texts with the label over its probability: {name}");
    Figure {
        svg: small(description, "probability", "share", marks).svg(),
        caption: format!(
            "Of the texts given a probability, the share that has the label. On the diagonal, probabilities can be \
             taken at their word; the mean distance (ECE) is {:.3}.",
            expected_calibration_error(bins)
        ),
        table,
    }
}
