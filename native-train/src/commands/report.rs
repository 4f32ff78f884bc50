//! `report`: writes the report of a run again, or one on a labelled file that the run was not trained on.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::evaluate::{Judged, of_file};
use crate::{
    cli::ReportArgs,
    config::TrainConfig,
    data::text_key,
    evaluation::report::Summary,
    progress::Progress,
    report::{self, LabelledFile},
    run::{Run, files::read_json},
    scored_rows::{ScoredRows, training_file, training_rows},
    threads,
};

/// Writes RUN/report.html, or the report on `--input`.
///
/// # Errors
/// If the run has no scores yet, a file is missing or damaged, or the report cannot be written.
pub fn run(args: &ReportArgs, progress: &mut Progress) -> Result<()> {
    threads::set(args.threads)?;
    let run = Run::open(&args.run)?;
    let path = match &args.input {
        Some(input) => on_file(args, &run, input, progress)?,
        None => {
            let scored = ScoredRows::read(&args.run, args.train_csv.as_deref(), progress)?;
            let summary = scored.with_intervals(read_json::<Summary>(&run.summary_json())?);
            report::write(&run, &summary, &scored)?;
            run.report_html()
        }
    };
    progress.note(format_args!("the report is `{}`", path.display()));
    Ok(())
}

fn on_file(args: &ReportArgs, run: &Run, input: &Path, progress: &mut Progress) -> Result<PathBuf> {
    let summary: Summary = read_json(&run.summary_json())?;
    let config = TrainConfig::load(&run.config_toml())?;
    if let Some(output) = &args.output {
        let training = training_file(run, &config, args.train_csv.as_deref());
        run.check_output(output, &[("--input", input), ("--train-csv", &training)])?;
    }
    // Before the models are asked, so that a missing file is told at once.
    let (training, _) =
        training_rows(run, &config, &summary.labels, args.train_csv.as_deref(), progress)?;
    let evaluate = of_file(&args.run, input, args.device.clone(), args.threads);
    let (judged, of_folds) = Judged::by_each(&evaluate, progress)?;
    let Judged { dataset, probabilities, thresholds } = judged;
    let known: HashSet<String> = training.texts.iter().map(|text| text_key(text)).collect();
    let in_training = dataset.texts.iter().map(|text| known.contains(&text_key(text))).collect();
    let file_name =
        |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = file_name(input);
    let file = LabelledFile { name, dataset, of_folds, probabilities, thresholds, in_training };
    let path = args.output.clone().unwrap_or_else(|| {
        let name = file.name.strip_suffix(".gz").unwrap_or(&file.name);
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        args.run.join(format!("report-{stem}.html"))
    });
    report::write_on_file(&path, run, &summary, &file)?;
    Ok(path)
}
