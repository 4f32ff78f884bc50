//! The commands: each reads its inputs, calls the crate and prints. No tensor maths here.

pub mod evaluate;
pub mod export;
pub mod inspect;
pub mod predict;
pub mod train;
mod trained_run;

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes a command's answer to stdout. Who reads it may stop early (`| head`): that is no error.
fn print(answer: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("writing to stdout"),
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

/// `1 epoch`, `1,368 steps`.
fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", thousands(number))
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
