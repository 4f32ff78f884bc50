//! The report of a run: one HTML file with tables and pictures, without scripts and requests.

mod card;
mod chart;
mod figure;
mod judged;
mod labels;
mod overview;
mod rows;
mod training;
mod unseen;

use std::path::Path;

use anyhow::Result;
use askama::Template;

use crate::config::TrainConfig;
use crate::evaluation::report::Summary;
use crate::run::Run;
use crate::run::files::{read, write_text};
use crate::scored_rows::ScoredRows;
use crate::training::metrics_log;
use figure::{Excerpt, Figure, Table};
use judged::Judged;
use labels::LabelSection;
use overview::Fact;
pub use unseen::LabelledFile;

/// Everything that the page says.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    doubts: Vec<String>,
    facts: Vec<Fact>,
    scores: Figure,
    labels_note: &'static str,
    per_label: Table,
    labels: Vec<LabelSection>,
    calibration: Figure,
    /// None in a report on a file.
    learning: Vec<Figure>,
    folds: Vec<usize>,
    together: Vec<Figure>,
    /// Whether the tables of labels that come together need the whole width.
    has_many_labels: bool,
    lengths: Figure,
    /// The score by how many models agree, or why there is none.
    agreement: Result<Figure, &'static str>,
    wrong_note: &'static str,
    wrong: Vec<Excerpt>,
    suspects_note: &'static str,
    suspects: Vec<Excerpt>,
    contradictions: Vec<Excerpt>,
    settings: Table,
    /// `None` in a report on a file.
    measured: Option<Table>,
}

/// Writes RUN/report.html, and README.md in the folder of each model.
///
/// # Errors
/// If a file of the run is missing or damaged, or one cannot be written.
pub fn write(run: &Run, summary: &Summary, scored: &ScoredRows) -> Result<()> {
    let name = run.name();
    let config = TrainConfig::load(&run.config_toml())?;
    for fold in &summary.per_fold {
        let card = card::card(&name, Some(fold.fold), &config, summary)?;
        write_text(&run.fold(fold.fold).readme_md(), &card)?;
    }
    if run.final_model().has_model() {
        write_text(&run.final_model().readme_md(), &card::card(&name, None, &config, summary)?)?;
    }
    write_text(&run.report_html(), &of_run(name, run, summary, scored)?)
}

/// Writes the report of a run on a labelled file.
///
/// # Errors
/// If a file of the run is missing or damaged, or `path` cannot be written.
pub fn write_on_file(path: &Path, run: &Run, summary: &Summary, file: &LabelledFile) -> Result<()> {
    let decisions = file.decisions();
    let judged = file.judged(&decisions);
    let (rows, scores) = (rows::Rows::new(judged), file.scores());
    let thresholds = file.thresholds.values();
    let page = Page {
        title: format!("{} on {}", run.name(), file.name),
        doubts: file.doubts(&scores),
        facts: file.facts(summary),
        scores: unseen::scores(&scores),
        labels_note: "Rows: those that have the label. F1, precision and recall are at the run's thresholds. Plateau: the \
                      thresholds around the run's at which F1 is at most 0.01 lower on this file.",
        per_label: unseen::table(&scores, judged, thresholds),
        labels: labels::sections(judged, thresholds, &labels::WithoutEach::new()),
        calibration: labels::calibration(judged),
        learning: Vec::new(),
        folds: Vec::new(),
        together: rows.together(),
        has_many_labels: judged.labels.len() > chart::FEW_LABELS,
        lengths: rows.lengths(),
        agreement: unseen::agreement(file, &decisions)
            .ok_or("The run has one model, so there is none that could differ."),
        wrong_note: "Each is judged by the mean of all models. In brackets: the probability of the label.",
        wrong: rows.most_wrong(),
        suspects_note: "The models doubt these labels of the file. A row whose text they have learned is seldom among them.",
        suspects: rows.suspects(),
        contradictions: rows.contradictions(),
        settings: settings(run)?,
        measured: None,
    };
    write_text(path, &page.render()?)
}

fn of_run(title: String, run: &Run, summary: &Summary, scored: &ScoredRows) -> Result<String> {
    let mut logs = Vec::new();
    for fold in &summary.per_fold {
        let (steps, epochs) = metrics_log::read(&run.fold(fold.fold).metrics_jsonl())?;
        logs.push(training::Log { fold: fold.fold, steps, epochs });
    }
    let decisions = scored.honest_decisions();
    let judged = Judged::held_out(scored, &decisions);
    let (rows, without) = (rows::Rows::new(judged), labels::without_each(scored));
    let thresholds: Vec<f64> = summary.per_label.iter().map(|label| label.threshold).collect();
    let page = Page {
        title,
        doubts: summary.doubts(),
        facts: overview::facts(summary),
        scores: overview::scores(summary),
        labels_note: "Rows: those that have the label. Plateau: the thresholds at which F1 is at most 0.01 lower. By fold: \
                      the least and the greatest threshold that would be chosen without one fold. * optimistic: tuned and \
                      scored on the same rows.",
        per_label: labels::table(summary, judged, &without),
        labels: labels::sections(judged, &thresholds, &without),
        calibration: labels::calibration(judged),
        learning: training::figures(&logs),
        folds: logs.iter().map(|log| log.fold).collect(),
        together: rows.together(),
        has_many_labels: judged.labels.len() > chart::FEW_LABELS,
        lengths: rows.lengths(),
        agreement: Err(
            "Each of these rows was judged by one model, the one that has not seen it. For a labelled file that \
                        none has seen, native-train report --input FILE tells how right decisions are on which all agree.",
        ),
        wrong_note: "Each is judged by the model that has not seen it. In brackets: the probability of the label.",
        wrong: rows.most_wrong(),
        suspects_note: "native-train audit lists all of them.",
        suspects: rows.suspects(),
        contradictions: rows.contradictions(),
        settings: settings(run)?,
        measured: Some(overview::measured(summary)),
    };
    Ok(page.render()?)
}

fn settings(run: &Run) -> Result<Table> {
    Ok(overview::settings(&String::from_utf8_lossy(&read(&run.config_toml())?)))
}
