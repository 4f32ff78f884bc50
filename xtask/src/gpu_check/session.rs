//! A run of the parts on the GPU machine: where things are, when it must be over, what was found so far and how that is written.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::Result;
use fs_err as fs;

use super::limited;
use super::plan::Plan;
use super::report::{Origin, Report};
use crate::bench::machine;

/// The time that packing the logs may take.
const TIME_TO_PACK: Duration = Duration::from_secs(10);

/// The folder within `work` of what each program printed.
pub const LOGS: &str = "logs";

/// A run of the parts, and what was found so far.
pub struct Session<'a> {
    pub plan: &'a Plan,
    pub folder: PathBuf,
    pub results: PathBuf,
    /// A folder for what is large and not to be carried home.
    pub work: PathBuf,
    pub python: PathBuf,
    /// Folders for LD_LIBRARY_PATH.
    pub libraries: OsString,
    pub deadline: Instant,
    /// The most seconds of a part, however many it may have by itself.
    pub part_seconds: u64,
    pub only: &'a str,
    /// The conditions of all timings, in words.
    pub work_done: String,
    /// Our losses in f32, once they are known.
    pub full_curve: Option<Vec<f64>>,
    /// The outcome of making the weights, which goes on beside the first parts.
    pub weights: Option<Receiver<Result<String>>>,
    pub report: Report,
}

impl Session<'_> {
    /// The end of what begins now and may take so many seconds.
    pub fn limit(&self, seconds: u64) -> Limit {
        // A rehearsal may have to share its machine.
        let patience = if self.plan.rehearsal { 5 } else { 1 };
        let seconds = self.part_seconds.min(patience * seconds);
        Limit(self.deadline.min(Instant::now() + Duration::from_secs(seconds)))
    }

    /// Writes all that was found so far. A machine that gives few files back gives these three.
    pub fn write(&self) -> Result<()> {
        let today = machine::today();
        let origin = self.origin(&today);
        let rows: String = self.report.rows(&origin).iter().map(|row| format!("{row}\n")).collect();
        for (name, text) in [("table.txt", self.report.table(&origin)), ("gpu.jsonl", rows)] {
            let path = self.results.join(name);
            fs::write(&path, text)?;
        }
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(self.work.join("logs.tgz")).arg("-C").arg(&self.work).arg(LOGS);
        limited::run(&mut tar, &self.work.join("tar.log"), TIME_TO_PACK)?;
        fs::copy(self.work.join("logs.tgz"), self.results.join("logs.tgz"))?;
        Ok(())
    }

    pub fn origin<'a>(&'a self, today: &'a str) -> Origin<'a> {
        Origin {
            date: today,
            commit: &self.plan.commit,
            work: &self.work_done,
            job_samples: self.plan.job_samples(),
        }
    }
}

/// When a part must be over.
#[derive(Clone, Copy)]
pub struct Limit(pub Instant);
