//! `predict`: labels the texts of a file, in chunks, so that the file may have any size.

use anyhow::Result;
use shared::words::counted;

use super::trained_run::TrainedRun;
use crate::{
    cli::PredictArgs,
    data::TextStream,
    evaluation::decide,
    inference::CHUNK_ROWS,
    progress::Progress,
    run::{files::write_atomically, tables::LabelTable},
};

/// Writes `--output`, whole or not at all.
///
/// # Errors
/// If a fold is not trained, the input cannot be read, or the output cannot be written.
pub fn run(args: &PredictArgs, progress: &mut Progress) -> Result<()> {
    let trained = TrainedRun::open(&args.inference, progress)?;
    let thresholds = (!args.probabilities).then(|| trained.thresholds()).transpose()?;
    let mut stream = TextStream::open(&args.inference.input, &trained.columns)?;
    let (mut rows, mut truncated) = (0, 0);
    write_atomically(&args.output, |output| {
        let mut table = LabelTable::begin(output, trained.ensemble.labels())?;
        while let Some(texts) = stream.next_chunk(CHUNK_ROWS)? {
            let labelled =
                trained.ensemble.label(&texts.texts, |done| progress.rows(rows + done))?;
            match &thresholds {
                None => table.probabilities(&texts.ids, &labelled.probabilities)?,
                Some(thresholds) => {
                    table.decisions(&texts.ids, &decide(&labelled.probabilities, thresholds))?;
                }
            }
            rows += texts.len();
            truncated += labelled.truncated;
        }
        Ok(())
    })?;
    progress.clear();
    for warning in stream.warnings() {
        progress.warn(warning);
    }
    trained.tell_truncated(truncated, rows, progress);
    let written = counted(rows, "row");
    progress.note(format_args!("{written} written to `{}`", args.output.display()));
    Ok(())
}
