//! Standard output, which holds a command's answer and nothing else.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes a command's answer to stdout. A reader that stops early (`| head`) is no error.
///
/// # Errors
/// If stdout cannot be written for another reason.
pub fn print(answer: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}
