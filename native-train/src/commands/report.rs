//! `report`: writes the report of a run again.

use anyhow::Result;

use crate::{
    cli::ReportArgs,
    evaluation::report::Summary,
    progress::Progress,
    report,
    run::{Run, files::read_json},
    scored_rows::ScoredRows,
};

/// Writes RUN/report.html.
///
/// # Errors
/// If the run has no scores yet, a file is missing or damaged, or the report cannot be written.
pub fn run(args: &ReportArgs, progress: &Progress) -> Result<()> {
    let scored = ScoredRows::read(&args.run, args.train_csv.as_deref(), progress)?;
    let run = Run::open(&args.run)?;
    let mut summary: Summary = read_json(&run.summary_json())?;
    if summary.cross_validation.intervals.is_none() {
        // Earlier versions wrote none.
        let scored = scored.score();
        (summary.cross_validation, summary.per_label) = (scored.cross_validation, scored.per_label);
    }
    report::write(&run, &summary, &scored)?;
    progress.note(format_args!("the report is `{}`", run.report_html().display()));
    Ok(())
}
