//! `predict`: labels the texts of a file, in chunks, so that the file may have any size.

use std::ops::Range;

use anyhow::Result;
use shared::words::counted;

use super::trained_run::TrainedRun;
use crate::{
    cli::{Part, PredictArgs},
    data::{TextStream, refuse_pipe},
    error::UserError,
    evaluation::decide,
    format::{Format, is_gzip},
    inference::CHUNK_ROWS,
    progress::Progress,
    run::{
        Run,
        files::write_atomically,
        label_table::{Cells, Form, Header, LabelTable},
        tables::ID,
    },
    threads,
};

/// The texts that are labelled in f32 as well, where the numbers are others.
const COMPARED_ROWS: usize = 256;

/// Writes `--output`, whole or not at all.
///
/// # Errors
/// If a fold is not trained, the input cannot be read, or the output cannot be written.
pub fn run(args: &PredictArgs, progress: &mut Progress) -> Result<()> {
    let run = Run::open(&args.inference.run)?;
    run.check_output(&args.output, &[("--input", &args.inference.input)])?;
    if args.part.is_some() {
        refuse_pipe(&args.inference.input, "`--part` counts its rows before it labels some")?;
    }
    let form = form(args)?;
    let cells = if args.probabilities { Cells::Probabilities } else { Cells::Decisions };
    threads::set(args.inference.threads)?;
    let trained = TrainedRun::open(&args.inference, args.encoding.into(), progress)?;
    let thresholds = (!args.probabilities).then(|| trained.thresholds()).transpose()?;
    let open = || TextStream::open(&args.inference.input, &trained.options);
    let chunks = chunks_of(args.part, open)?;
    let mut stream = open()?;
    let mut names = vec![stream.id_column().unwrap_or(ID).to_owned()];
    names.extend(args.with_text.then(|| stream.text_column().to_owned()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut rows, mut truncated) = (0, 0);
    write_atomically(&args.output, |output| {
        let labels = trained.ensemble.labels();
        let header = match args.part {
            Some(Part { index: 1.., .. }) => Header::No,
            _ => Header::Yes,
        };
        let mut table = LabelTable::begin(output, form, (&names, cells, header), labels)?;
        for chunk in 0..chunks.end {
            let Some(texts) = stream.next_chunk(CHUNK_ROWS)? else { break };
            if !chunks.contains(&chunk) {
                continue;
            }
            if rows == 0 {
                let compared = texts.len().min(COMPARED_ROWS);
                trained.tell_difference(&texts.texts[..compared], progress)?;
            }
            let labelled =
                trained.ensemble.label(&texts.texts, |done| progress.rows(rows + done))?;
            let keys = [&texts.ids[..], &texts.texts[..]];
            let keys = &keys[..names.len()];
            match &thresholds {
                None => table.probabilities(keys, &labelled.probabilities)?,
                Some(thresholds) => {
                    table.decisions(keys, &decide(&labelled.probabilities, thresholds))?;
                }
            }
            rows += texts.len();
            truncated += labelled.truncated;
        }
        table.finish()
    })?;
    progress.clear();
    stream.warnings().iter().for_each(|warning| warning.tell(progress));
    trained.tell_truncated(truncated, rows, progress);
    let written = counted(rows, "row");
    progress.note(format_args!("{written} written to `{}`", args.output.display()));
    Ok(())
}

/// The chunks of the input that a part of it has; all of them if no part is asked for. A chunk is never divided, as texts of one
/// are computed together.
fn chunks_of(part: Option<Part>, open: impl Fn() -> Result<TextStream>) -> Result<Range<usize>> {
    let Some(Part { index, of }) = part else { return Ok(0..usize::MAX) };
    let (mut stream, mut chunks) = (open()?, 0);
    while stream.next_chunk(CHUNK_ROWS)?.is_some() {
        chunks += 1;
    }
    Ok(chunks * index / of..chunks * (index + 1) / of)
}

/// The form of the output, by its name and by what the user says.
fn form(args: &PredictArgs) -> Result<Form, UserError> {
    let (format, gzip) = (Format::of(&args.output, args.output_format), is_gzip(&args.output));
    if format == Format::Parquet && gzip {
        let message =
            format!("`--output {}`: Parquet is not compressed once more", args.output.display());
        return Err(UserError::new(message)
            .hint("leave `.gz` out of the name: the columns within the file are compressed"));
    }
    Ok(Form { format, gzip })
}
