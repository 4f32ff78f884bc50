//! The beginning and the end of the report: what was trained, how well it scores, with which settings and in what time.

use shared::words::{counted, thousands};

use super::chart::{Axis, Chart, Mark};
use super::figure::{Figure, Table};
use crate::evaluation::columns::{figure, percent};
use crate::evaluation::report::{CrossValidation, Summary};
use crate::evaluation::resampling::Interval;

/// A fact about the run.
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

pub fn facts(summary: &Summary) -> Vec<Fact> {
    let twins = &summary.duplicates.normalized;
    let fact = |name, value| Fact { name, value };
    let mut facts = vec![
        fact("Model", summary.model.clone()),
        fact(
            "Data",
            format!(
                "{} rows, {} distinct texts, {} labels",
                thousands(summary.rows),
                thousands(twins.distinct_texts),
                summary.labels.len()
            ),
        ),
        fact(
            "Folds",
            format!(
                "{} of {} trained, {} split, seed {}",
                summary.per_fold.len(),
                summary.folds,
                summary.split,
                summary.seed
            ),
        ),
        fact(
            "Repeated texts",
            format!(
                "{} ({}) have their text in another fold",
                counted(twins.twin_in_another_fold.rows, "row"),
                percent(twins.twin_in_another_fold.share)
            ),
        ),
        fact(
            "Truncated",
            format!("{} of the training texts", thousands(summary.truncated_texts.train)),
        ),
    ];
    if let Some(test) = &twins.test {
        let (rows, of) = (test.rows_in_train.rows, test.rows_in_train.of);
        let share = percent(test.rows_in_train.share);
        facts.push(fact(
            "Test file",
            format!("{rows} of {of} rows ({share}) are in the training file"),
        ));
    }
    if let Some(distillation) = &summary.distillation {
        facts.push(fact(
            "Teacher",
            format!("{} ({})", distillation.teacher_model, distillation.teacher),
        ));
    }
    facts.push(program(summary));
    facts
}

/// The programs that trained the run.
pub fn program(summary: &Summary) -> Fact {
    let versions = summary.versions.iter().map(|(name, version)| format!("{name} {version}"));
    Fact { name: "Program", value: versions.collect::<Vec<_>>().join(", ") }
}

/// A macro-F1 with its interval, and how it was decided.
pub type Way = (&'static str, f64, Option<Interval>);

/// Macro-F1 in three ways, with its intervals.
pub fn scores(summary: &Summary) -> Figure {
    let CrossValidation {
        macro_f1_at_half, macro_f1_tuned, macro_f1_cross_fitted, intervals, ..
    } = summary.cross_validation;
    let mut ways = vec![("at 0.5", macro_f1_at_half, intervals.map(|of| of.at_half))];
    if let Some(honest) = macro_f1_cross_fitted {
        ways.push(("honest", honest, intervals.and_then(|of| of.cross_fitted)));
    }
    ways.push(("optimistic", macro_f1_tuned, intervals.map(|of| of.tuned)));
    let caption = "Macro-F1 over the rows that each model has not seen. Honest: thresholds tuned on the other folds. \
                   Optimistic: tuned on the rows that they score. The interval is what these models would score on \
                   other texts of the same kind.";
    scores_figure(&ways, caption)
}

/// Macro-F1 in several ways.
pub fn scores_figure(ways: &[Way], caption: &str) -> Figure {
    let mut table = Table::new(&["thresholds", "macro-F1", "95% interval"]);
    let mut marks = Vec::new();
    let mut ticks = Vec::new();
    for (place, &(name, value, interval)) in ways.iter().enumerate() {
        let y = (ways.len() - place) as f64;
        let Interval { low, high } = interval.unwrap_or(Interval { low: value, high: value });
        marks.push(Mark::Whisker { low, value, high, y });
        ticks.push((y, name.to_owned()));
        let range = interval.map(|Interval { low, high }| format!("{low:.4} to {high:.4}"));
        table.rows.push(vec![name.to_owned(), figure(value), range.unwrap_or_default()]);
    }
    let rows = ways.len() as f64;
    let chart = Chart {
        description: "Macro-F1 with its 95% interval, by kind of thresholds".to_owned(),
        width: 560.0,
        height: 62.0 + 26.0 * rows,
        x: axis(ways),
        y: Axis { name: "", low: 0.5, high: rows + 0.5, ticks },
        marks,
    };
    Figure { svg: chart.svg(), caption: caption.to_owned(), table }
}

/// The part of the axis that the scores and their intervals take.
fn axis(ways: &[Way]) -> Axis {
    let lows = ways.iter().map(|&(_, value, interval)| interval.map_or(value, |of| of.low));
    let highs = ways.iter().map(|&(_, value, interval)| interval.map_or(value, |of| of.high));
    let low = (lows.fold(1.0, f64::min) - 0.02).max(0.0);
    let high = (highs.fold(0.0, f64::max) + 0.02).min(1.0);
    let step = if high - low > 0.3 { 0.1 } else { 0.02 };
    Axis::between("macro-F1", low, high, step)
}

/// The run's settings, as `config.toml` has them: those that it began with, wherever it goes on.
pub fn settings(toml: &str) -> Table {
    let mut table = Table::new(&["setting", "value"]);
    for line in toml.lines() {
        if let Some((name, value)) = line.split_once(" = ") {
            table.rows.push(vec![name.to_owned(), value.to_owned()]);
        }
    }
    table
}

/// What the clock and the system say, which differs between two trainings of the same settings.
pub fn measured(summary: &Summary) -> Table {
    let seconds = &summary.seconds;
    let mut table = Table::new(&["phase", "seconds"]);
    for (name, value) in [
        ("setup", seconds.setup),
        ("tokenise", seconds.tokenise),
        ("train", seconds.train),
        ("validate", seconds.validate),
        ("predict", seconds.predict),
        ("files", seconds.files),
        ("total", seconds.total),
    ] {
        table.rows.push(vec![name.to_owned(), format!("{value:.1}")]);
    }
    if let Some(bytes) = summary.peak_memory_bytes {
        table.rows.push(vec!["memory at the peak".to_owned(), format!("{} MiB", bytes >> 20)]);
    }
    table
}
