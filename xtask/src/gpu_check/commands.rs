//! The commands of the parts: our programs, the rival's scripts, and where their output goes.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use super::plan::MAX_LEN;
use super::session::{LOGS, Limit, Session};
use super::{limited, pack};

impl Session<'_> {
    /// Our bench on the packed texts.
    pub fn our_bench(&self, case: &str, precision: &str) -> Command {
        let mut command = self.program("bin/bench-gpu");
        command.args(["--case", case, "--device", &self.plan.device, "--precision", precision]);
        command.arg("--model").arg(self.model()).arg("--train-csv").arg(self.texts());
        command.arg(format!("--batch-size={}", self.plan.batch_size));
        command.arg(format!("--max-len={MAX_LEN}"));
        if self.plan.rehearsal {
            command.arg("--small-limits");
        }
        command
    }

    /// A packed program of tests: those that need a GPU, or in a rehearsal their emulation.
    pub fn test(&self, name: &str) -> Command {
        let mut command = self.program(&format!("tests/{name}"));
        if self.plan.device != "cpu" {
            command.arg("--ignored");
        }
        command
    }

    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.current_dir(&self.work).env("LD_LIBRARY_PATH", &self.libraries);
        command.env("RUST_BACKTRACE", "0").env("XDG_CACHE_HOME", self.work.join("cache"));
        command
    }

    pub fn rival_script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.work).arg(self.folder.join("rival").join(name));
        // Its own packages, of which the machine has none; and what the hub has is not to be asked for.
        let path = env::var_os("PYTHONPATH").unwrap_or_default();
        let folders = [self.folder.join(pack::PACKAGES)].into_iter().chain(env::split_paths(&path));
        command.env("PYTHONPATH", env::join_paths(folders).unwrap_or_default());
        command.env("HF_HUB_OFFLINE", "1").env("TOKENIZERS_PARALLELISM", "false");
        if self.plan.rehearsal {
            // A rehearsal's times mean nothing, and threads that wait for each other on a busy machine take for ever.
            command.env("OMP_NUM_THREADS", "1");
        }
        command
    }

    pub fn limited(&self, command: &mut Command, log: &str, limit: Limit) -> Result<String> {
        let left = limit.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no time was left");
        }
        limited::run(command, &self.log(log), left)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.work.join(LOGS).join(format!("{name}.log"))
    }

    pub fn model(&self) -> PathBuf {
        self.work.join("model")
    }

    pub fn texts(&self) -> PathBuf {
        self.folder.join(pack::TEXTS)
    }

    pub fn tokenizer(&self) -> PathBuf {
        self.folder.join(pack::TOKENIZER)
    }
}
