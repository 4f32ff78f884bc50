//! The parts that ask whether the program is right on this machine: the card, the tests, our losses beside PyTorch's.

use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use super::plan::{COMPARISON_LR, MAX_LEN};
use super::session::{Limit, Session};
use super::{compare, limited};

/// Two f32 trainings of one model differ by the order of their sums, which AdamW's first steps make more of: it divides
/// each gradient by its own size, so that those that are nothing but rounding move a weight as far as any other.
const TRAJECTORY_TOLERANCE: f64 = 2e-4;

/// bf16 has 8 bits, so single losses differ in the third digit; their means over some steps less.
const CURVE_TOLERANCE: f64 = 0.02;
const CURVE_WINDOW: usize = 10;

impl Session<'_> {
    pub fn machine(&mut self, limit: Limit) -> Result<String> {
        if self.plan.device == "cpu" {
            return Ok(self.report.machine.clone());
        }
        let mut command = Command::new("nvidia-smi");
        command.args(["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]);
        let said = self.limited(&mut command, "machine", limit)?;
        let card = said.lines().next().unwrap_or_default().trim().to_owned();
        let of_card = card.split(',').next().unwrap_or_default();
        self.report.machine = format!("{of_card}; {}", self.report.machine);
        Ok(card)
    }

    /// Begins to make the same initial weights for both sides, by the rival's script as they are too large to carry.
    pub fn begin_weights(&mut self, seconds: u64) {
        let mut command = self.rival_script("hf_train.py");
        command.arg("--write-init").arg(self.model()).args(["--config", &self.plan.geometry]);
        command.arg("--train-csv").arg(self.texts()).arg("--tokenizer").arg(self.tokenizer());
        let (log, limit) = (self.log("weights"), self.limit(seconds));
        let (outcome, made) = mpsc::channel();
        thread::spawn(move || {
            let left = limit.0.saturating_duration_since(Instant::now());
            // No one listens where the parts have come to their end.
            let _ = outcome.send(limited::run(&mut command, &log, left));
        });
        self.weights = Some(made);
    }

    /// Waits for the weights, and puts the tokenizer beside them.
    pub fn weights(&mut self, limit: Limit) -> Result<String> {
        let made = self.weights.take().context("they are not being made")?;
        match made.recv_timeout(limit.0.saturating_duration_since(Instant::now())) {
            Ok(outcome) => outcome?,
            Err(_) => bail!("they are not there in time"),
        };
        let model = self.model();
        for entry in fs::read_dir(self.tokenizer())? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, model.join(name))?;
        }
        let bytes = fs::metadata(model.join("model.safetensors"))?.len();
        Ok(format!("{} MB", bytes / 1_000_000))
    }

    pub fn tests(&mut self, limit: Limit) -> Result<String> {
        let (mut passed, mut broken) = (0, Vec::new());
        for test in &self.plan.tests {
            let mut command = self.test(test);
            command.arg(&self.plan.test_filter);
            let log = format!("tests-{test}");
            match self.limited(&mut command, &log, limit) {
                Ok(said) => passed += count_passed(&said),
                Err(error) => broken.push(format!("{test}: {error:#}")),
            }
        }
        ensure!(broken.is_empty(), "{}", broken.join("; "));
        ensure!(passed > 0, "no test ran");
        Ok(format!("{passed} passed in {} programs", self.plan.tests.len()))
    }

    /// The program's own check of the card, and what it says of the machine.
    pub fn doctor(&mut self, limit: Limit) -> Result<String> {
        let mut command = self.program("bin/native-train");
        command.args(["doctor", "--json", "--device", &self.plan.device]);
        let emulated = self.plan.rehearsal && self.plan.device != "cpu";
        if emulated {
            command.arg("--untimed"); // a step would take half a minute
        }
        let said = self.limited(&mut command, "doctor", limit)?;
        let begin = said.find('{').context("it printed no report")?;
        let mut reports = serde_json::Deserializer::from_str(&said[begin..]).into_iter();
        let report: serde_json::Value = reports.next().context("it printed no report")??;
        let speed = match report["speed"]["step_ms"].as_f64() {
            Some(ms) => format!("{ms:.1} ms a step of the built-in model"),
            None if emulated => "no step timed".to_owned(),
            None => bail!("it timed no step"),
        };
        let kernels = match report["check"]["differences"].as_array().map(Vec::len) {
            Some(0) => "every kernel agrees with the CPU, ".to_owned(),
            Some(differ) => format!("{differ} operations differ from the CPU, "),
            None => String::new(),
        };
        Ok(kernels + &speed)
    }

    /// Our first losses beside PyTorch's.
    pub fn trajectory(&mut self, limit: Limit) -> Result<String> {
        let steps = self.plan.trajectory_steps;
        let ours = self.losses("f32", steps, "trajectory-ours", limit)?;
        let mut command = self.rival_script("gpu_trajectory.py");
        command.arg("--model").arg(self.model()).arg("--train-csv").arg(self.texts());
        command.args(["--lr", COMPARISON_LR]);
        command.arg(format!("--steps={steps}"));
        command.arg(format!("--batch-size={}", self.plan.batch_size));
        command.arg(format!("--max-len={MAX_LEN}"));
        let theirs = limited::answer(&self.limited(&mut command, "trajectory-pytorch", limit)?)?;
        let theirs = compare::losses(&theirs)?;
        // Whether a difference grows with the steps or stands out is for people to see.
        self.report.trajectory = ours.iter().copied().zip(theirs.iter().copied()).collect();
        let worst = compare::each_step(&ours, &theirs, TRAJECTORY_TOLERANCE)?;
        Ok(format!(
            "{steps} losses from {:.4} to {:.4}, at most {worst:.1e} from PyTorch's (allowed {TRAJECTORY_TOLERANCE:.0e})",
            ours[0],
            ours[steps - 1]
        ))
    }

    /// Our losses in half precision beside those in f32.
    pub fn curves(&mut self, precision: &str, limit: Limit) -> Result<String> {
        let steps = self.plan.curve_steps;
        let half = self.losses(precision, steps, &format!("curve-{precision}"), limit)?;
        let full = match self.full_curve.take() {
            Some(full) => full,
            None => self.losses("f32", steps, "curve-f32", limit)?,
        };
        let worst =
            compare::curves(&half, self.full_curve.insert(full), CURVE_WINDOW, CURVE_TOLERANCE)?;
        Ok(format!(
            "{steps} losses, means of {CURVE_WINDOW} at most {worst:.1e} from f32's (allowed {CURVE_TOLERANCE:.0e})"
        ))
    }

    fn losses(&self, precision: &str, steps: usize, log: &str, limit: Limit) -> Result<Vec<f64>> {
        let mut command = self.our_bench("losses", precision);
        command.arg(format!("--steps={steps}"));
        command.args(["--dropout=0", "--lr", COMPARISON_LR]);
        let losses =
            compare::losses(&limited::answer(&self.limited(&mut command, log, limit)?)?)?;
        ensure!(losses.len() == steps, "{} losses of {steps} steps", losses.len());
        Ok(losses)
    }
}

/// The tests that Rust's harness says have passed.
pub(super) fn count_passed(said: &str) -> usize {
    let lines = said.lines().filter_map(|line| line.strip_prefix("test result: "));
    let counts = lines.filter_map(|line| line.split_once(" passed")?.0.rsplit(' ').next());
    counts.filter_map(|count| count.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_added_up() {
        let said = "test a ... ok\n\ntest result: ok. 12 passed; 0 failed; 0 ignored\n\
                    test result: ok. 3 passed; 0 failed; 0 ignored\n";
        assert_eq!(count_passed(said), 15);
        assert_eq!(count_passed("nothing"), 0);
    }
}
