//! `predict`: a run labels the texts of a file, in pieces, so that the file may be of any size.

use anyhow::Result;

use crate::{
    cli::PredictArgs,
    data::TextStream,
    evaluation::decide,
    inference::CHUNK_ROWS,
    progress::Progress,
    run::{files::write_atomically, tables::LabelTable},
};

use super::{counted, trained_run::TrainedRun};

/// Writes `--output` whole, or leaves what was there.
///
/// # Errors
/// If the run lacks folds, or the input cannot be read or the output not be written.
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
