//! Standard output, which holds a command's answer and nothing else.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::{Context, Result};
use serde::Serialize;

/// Writes a command's answer to stdout. A reader that stops early (`| head`) is no error.
///
/// # Errors
/// If stdout cannot be written for another reason.
pub fn print(answer: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    told(stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes an answer as JSON to stdout, as it is made: it may be large.
///
/// # Errors
/// As of [`print()`].
pub fn print_json(answer: &impl Serialize) -> Result<()> {
    let mut stdout = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut stdout, answer).map_err(io::Error::from);
    told(written.and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()))
}

fn told(outcome: io::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}
