//! The report of a run: one HTML file with tables and pictures, without scripts and requests.

mod chart;
mod labels;
mod overview;
mod rows;
mod training;

use anyhow::Result;
use askama::Template;

use crate::config::TrainConfig;
use crate::evaluation::report::Summary;
use crate::run::Run;
use crate::run::files::write_text;
use crate::scored_rows::ScoredRows;
use crate::training::metrics_log;
use labels::LabelSection;
use overview::Fact;

/// A picture, and beside it its values as a table.
#[derive(Template)]
#[template(path = "figure.html")]
pub struct Figure {
    pub svg: String,
    pub caption: String,
    pub table: Table,
}

/// A table, the first cell of each row of which names the row.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A text that is worth a look.
pub struct Excerpt {
    pub id: String,
    pub text: String,
    pub remark: String,
}

/// Everything that the page says.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    doubts: Vec<String>,
    facts: Vec<Fact>,
    scores: Figure,
    per_label: Table,
    labels: Vec<LabelSection>,
    calibration: Figure,
    learning: Vec<Figure>,
    folds: Vec<usize>,
    together: Vec<Figure>,
    lengths: Figure,
    wrong: Vec<Excerpt>,
    suspects: Vec<Excerpt>,
    contradictions: Vec<Excerpt>,
    settings: Table,
    measured: Table,
}

/// Writes RUN/report.html.
///
/// # Errors
/// If the log of a fold is damaged, or the file cannot be written.
pub fn write(
    run: &Run,
    config: &TrainConfig,
    summary: &Summary,
    scored: &ScoredRows,
) -> Result<()> {
    write_text(&run.report_html(), &render(run, config, summary, scored)?)
}

fn render(
    run: &Run,
    config: &TrainConfig,
    summary: &Summary,
    scored: &ScoredRows,
) -> Result<String> {
    let mut logs = Vec::new();
    for fold in &summary.per_fold {
        let (steps, epochs) = metrics_log::read(&run.fold(fold.fold).metrics_jsonl())?;
        logs.push(training::Log { fold: fold.fold, steps, epochs });
    }
    let folder = run.folder().canonicalize().unwrap_or_else(|_| run.folder().to_owned());
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let rows = rows::Rows::new(scored);
    let page = Page {
        title: name,
        doubts: summary.doubts(),
        facts: overview::facts(summary),
        scores: overview::scores(summary),
        per_label: labels::table(summary, scored),
        labels: labels::sections(summary, scored),
        calibration: labels::calibration(scored),
        learning: training::figures(&logs),
        folds: logs.iter().map(|log| log.fold).collect(),
        together: rows.together(),
        lengths: rows.lengths(),
        wrong: rows.most_wrong(),
        suspects: rows.suspects(),
        contradictions: rows.contradictions(),
        settings: overview::settings(config),
        measured: overview::measured(summary),
    };
    Ok(page.render()?)
}

impl Table {
    fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }
}

/// A score, as all tables show it.
fn figure(score: f64) -> String {
    format!("{score:.4}")
}

/// A share as a percentage.
fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}
