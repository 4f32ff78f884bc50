//! The learning curves of all folds.

use super::chart::{Axis, Chart, Mark};
use super::figure::{Figure, Table};
use crate::training::metrics_log::{EpochRecord, StepRecord};

/// The points of a curve over steps.
const POINTS: usize = 120;

/// The most points of a curve that are drawn one by one.
const FEW_POINTS: usize = 12;

/// The log of a fold.
pub struct Log {
    pub fold: usize,
    pub steps: Vec<StepRecord>,
    pub epochs: Vec<EpochRecord>,
}

/// Loss, validation score, learning rate and gradient norm.
pub fn figures(logs: &[Log]) -> Vec<Figure> {
    let epochs = |of: fn(&EpochRecord) -> Option<f64>| {
        move |log: &Log| -> Vec<(f64, f64)> {
            let points = log.epochs.iter().map(|epoch| Some((epoch.step as f64, of(epoch)?)));
            points.flatten().collect()
        }
    };
    let steps = |of: fn(&StepRecord) -> Option<f64>| {
        move |log: &Log| -> Vec<(f64, f64)> {
            let points = log.steps.iter().map(|step| Some((step.step as f64, of(step)?)));
            thinned(&points.flatten().collect::<Vec<_>>())
        }
    };
    vec![
        curves(logs, "training loss", &steps(|step| Some(f64::from(step.loss)))),
        curves(
            logs,
            "validation loss",
            &epochs(|epoch| epoch.validation.map(|validation| f64::from(validation.loss))),
        ),
        curves(
            logs,
            "validation macro-F1",
            &epochs(|epoch| epoch.validation.and_then(|validation| validation.macro_f1)),
        ),
        curves(logs, "gradient norm", &steps(|step| step.grad_norm.map(f64::from))),
        curves(logs, "learning rate", &steps(|step| Some(step.lr))),
    ]
}

/// Means of neighbouring points, such that about [`POINTS`] are left.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mean = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / count, sum.1 / count)
    };
    points.chunks(points.len().div_ceil(POINTS).max(1)).map(mean).collect()
}

/// A line, and where it has few points these as well: a single one makes no line.
fn marks((series, points): (usize, Vec<(f64, f64)>)) -> Vec<Mark> {
    let dots = points.len() <= FEW_POINTS;
    let dots = dots.then(|| Mark::Dots { series, points: points.clone() });
    std::iter::once(Mark::Line { series, points }).chain(dots).collect()
}

fn curves(logs: &[Log], name: &'static str, points: &dyn Fn(&Log) -> Vec<(f64, f64)>) -> Figure {
    let lines: Vec<(usize, Vec<(f64, f64)>)> =
        logs.iter().map(|log| (log.fold, points(log))).collect();
    let all = || lines.iter().flat_map(|(_, points)| points);
    let mut table = Table::new(&["fold", "first", "least", "greatest", "last"]);
    for (fold, points) in &lines {
        let values = || points.iter().map(|point| point.1);
        let [Some(first), Some(last)] = [values().next(), values().next_back()] else { continue };
        let (least, greatest) = (values().fold(first, f64::min), values().fold(first, f64::max));
        let cells = [first, least, greatest, last].map(|value| format!("{value:.4e}"));
        table.rows.push([vec![fold.to_string()], cells.to_vec()].concat());
    }
    let chart = Chart {
        description: format!("{name} of each fold over the steps"),
        width: 380.0,
        height: 230.0,
        x: Axis::of("step", all().map(|point| point.0)),
        y: Axis::of(name, all().map(|point| point.1)),
        marks: lines.into_iter().flat_map(marks).collect(),
    };
    let mut words = name.chars();
    let first = words.next().map(|c| c.to_ascii_uppercase());
    Figure {
        svg: chart.svg(),
        caption: format!(
            "{}{} of each fold.",
            first.map(String::from).unwrap_or_default(),
            words.as_str()
        ),
        table,
    }
}
