//! One side of a bench: a process that does one timed repeat for each line it is sent.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

/// The time of one repeat, or the medians of many and the least of their limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    pub ms: f64,
    /// The process's largest resident set so far.
    pub peak_mib: f64,
    /// The largest difference of a logit from PyTorch's, if the side says so.
    pub logit_error: Option<f64>,
    /// The least time that the processor allows for the work's products, if the side says so.
    pub least_ms: Option<f64>,
}

impl Timing {
    pub fn median(timings: &[Self]) -> Self {
        Self {
            ms: median(timings.iter().map(|timing| timing.ms)),
            peak_mib: median(timings.iter().map(|timing| timing.peak_mib)),
            logit_error: timings.first().and_then(|timing| timing.logit_error),
            least_ms: timings.iter().filter_map(|timing| timing.least_ms).reduce(f64::min),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[upper - 1], sorted[upper])
    } else {
        sorted[upper]
    }
}

/// A started process, told to end by the end of its stdin.
pub struct Contender {
    name: &'static str,
    process: Child,
    turns: Option<ChildStdin>,
    timings: BufReader<ChildStdout>,
}

impl Contender {
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
                format!("cannot start {name}: {}", command.get_program().display())
            })?;
        let turns = process.stdin.take();
        let timings = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Ok(Self { name, process, turns, timings })
    }

    /// Has the process do one repeat and waits for it.
    pub fn turn(&mut self) -> Result<Timing> {
        let name = self.name;
        let turns = self.turns.as_mut().expect("open until dropped");
        // A process that has ended shows in the empty line that follows, whatever this says.
        drop(writeln!(turns));
        let mut line = String::new();
        self.timings.read_line(&mut line).with_context(|| format!("{name} cannot be read"))?;
        timing(&line).with_context(|| {
            format!("{name} printed `{}` for a timing: see its message above", line.trim())
        })
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.turns = None;
        drop(self.process.wait());
    }
}

fn timing(line: &str) -> Option<Timing> {
    let value: Value = serde_json::from_str(line).ok()?;
    let number = |name: &str| value[name].as_f64();
    Some(Timing {
        ms: number("ms")?,
        peak_mib: number("peak_mib")?,
        logit_error: number("logit_error"),
        least_ms: number("least_ms"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(script: &str) -> Contender {
        Contender::start("a script", Command::new("sh").args(["-c", script])).expect("sh is there")
    }

    #[test]
    fn a_line_in_is_a_timing_out() {
        let mut counting = script(
            r#"n=0; while read -r _; do n=$((n+1)); echo "{\"ms\":$n.5,\"peak_mib\":7,\"logit_error\":null,\"least_ms\":3}"; done"#,
        );
        for ms in [1.5, 2.5] {
            let expected = Timing { ms, peak_mib: 7.0, logit_error: None, least_ms: Some(3.0) };
            assert_eq!(counting.turn().expect("a timing"), expected);
        }
    }

    #[test]
    fn a_process_that_ends_or_babbles_is_an_error_that_names_it() {
        for words in ["exit 3", "echo hello; cat >/dev/null"] {
            let message = script(words).turn().expect_err("no timing").to_string();
            assert!(message.starts_with("a script printed `"), "{message}");
        }
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_middle_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
