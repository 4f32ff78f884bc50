//! The report of a run: one HTML file with tables and pictures, without scripts and requests.

mod card;
mod chart;
mod figure;
mod labels;
mod overview;
mod rows;
mod training;

use anyhow::Result;
use askama::Template;

use crate::config::TrainConfig;
use crate::evaluation::report::Summary;
use crate::run::Run;
use crate::run::files::{read, write_text};
use crate::scored_rows::ScoredRows;
use crate::training::metrics_log;
use figure::{Excerpt, Figure, Table};
use labels::LabelSection;
use overview::Fact;

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

/// Writes RUN/report.html, and README.md in the folder of each model.
///
/// # Errors
/// If a file of the run is missing or damaged, or one cannot be written.
pub fn write(run: &Run, summary: &Summary, scored: &ScoredRows) -> Result<()> {
    let folder = run.folder().canonicalize().unwrap_or_else(|_| run.folder().to_owned());
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let config = TrainConfig::load(&run.config_toml())?;
    for fold in &summary.per_fold {
        let card = card::card(&name, Some(fold.fold), &config, summary)?;
        write_text(&run.fold(fold.fold).readme_md(), &card)?;
    }
    if run.final_model().has_model() {
        write_text(&run.final_model().readme_md(), &card::card(&name, None, &config, summary)?)?;
    }
    write_text(&run.report_html(), &render(name, run, summary, scored)?)
}

fn render(title: String, run: &Run, summary: &Summary, scored: &ScoredRows) -> Result<String> {
    let mut logs = Vec::new();
    for fold in &summary.per_fold {
        let (steps, epochs) = metrics_log::read(&run.fold(fold.fold).metrics_jsonl())?;
        logs.push(training::Log { fold: fold.fold, steps, epochs });
    }
    let rows = rows::Rows::new(scored);
    let page = Page {
        title,
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
        settings: overview::settings(&String::from_utf8_lossy(&read(&run.config_toml())?)),
        measured: overview::measured(summary),
    };
    Ok(page.render()?)
}
