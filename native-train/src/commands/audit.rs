//! `audit`: labels of the training file that are probably wrong, and texts that contradict each other.

use std::path::Path;

use anyhow::Result;
use polars::prelude::Column;
use serde::Serialize;

use super::stdout::{print, print_json};
use crate::{
    cli::AuditArgs,
    config::TrainConfig,
    evaluation::{
        audit::{Audit, Finding, LabelAudit},
        table::audit_table,
    },
    progress::Progress,
    run::{Run, tables::write_columns},
    scored_rows::{ScoredRows, training_file},
};

/// A finding as it is written, with the file's own ids, text and label.
#[derive(Debug, Serialize)]
struct Told<'a> {
    found_by: &'static str,
    id: &'a str,
    text: &'a str,
    label: &'a str,
    given: u32,
    suggested: u32,
    score: f64,
    /// The equal or nearly equal text that says the other.
    other_id: Option<&'a str>,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    rows: usize,
    per_label: &'a [LabelAudit],
    findings: &'a [Told<'a>],
}

/// Prints how many labels are doubtful and the first of them; `--output` gets all.
///
/// # Errors
/// If the run has no scores yet, its training file is not there, or the output cannot be written.
pub fn run(args: &AuditArgs, progress: &mut Progress) -> Result<()> {
    if let Some(output) = &args.output {
        let run = Run::open(&args.run)?;
        let config = TrainConfig::load(&run.config_toml())?;
        let training = training_file(&run, &config, args.train_csv.as_deref());
        run.check_output(output, &[("--train-csv", &training)])?;
    }
    let scored = ScoredRows::read(&args.run, args.train_csv.as_deref(), progress)?;
    let ScoredRows { labels, ids, texts, targets, probabilities, .. } = &scored;
    let audit = Audit::new(labels, texts, targets, probabilities);
    let told: Vec<Told<'_>> = audit.findings.iter().map(|finding| tell(&scored, finding)).collect();
    if let Some(output) = &args.output {
        write(output, &told)?;
        progress.note(format_args!("{} findings are in `{}`", told.len(), output.display()));
    }
    if args.json {
        let Audit { rows, per_label, .. } = &audit;
        return print_json(&Answer { rows: *rows, per_label, findings: &told });
    }
    print(&audit_table(&audit, labels, ids, texts, args.top))
}

fn tell<'a>(scored: &'a ScoredRows, finding: &Finding) -> Told<'a> {
    Told {
        found_by: finding.found_by.name(),
        id: &scored.ids[finding.row],
        text: &scored.texts[finding.row],
        label: &scored.labels.names()[finding.label],
        given: u32::from(finding.given),
        suggested: u32::from(!finding.given),
        score: finding.score,
        other_id: finding.other_row.map(|row| scored.ids[row].as_str()),
    }
}

fn write(output: &Path, told: &[Told<'_>]) -> Result<()> {
    let words = |name: &str, of: for<'a> fn(&'a Told<'a>) -> &'a str| {
        Column::new(name.into(), told.iter().map(of).collect::<Vec<&str>>())
    };
    let numbers = |name: &str, of: fn(&Told<'_>) -> u32| {
        Column::new(name.into(), told.iter().map(of).collect::<Vec<u32>>())
    };
    let scores: Vec<f64> = told.iter().map(|told| told.score).collect();
    let columns = vec![
        words("found_by", |told| told.found_by),
        words("id", |told| told.id),
        words("text", |told| told.text),
        words("label", |told| told.label),
        numbers("given", |told| told.given),
        numbers("suggested", |told| told.suggested),
        Column::new("score".into(), scores),
        words("other_id", |told| told.other_id.unwrap_or_default()),
    ];
    write_columns(output, columns)
}
