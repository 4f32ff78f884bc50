//! The real binary, built with CUDA, on the stand-in for NVIDIA's driver: whole jobs on a card beside the CPU's, what a
//! step asks of the driver, and what is said where a card fails.
//!
//! `cargo xtask test --only standin` builds what these tests need. Without it each says `skipped:` and passes.

#![cfg(feature = "cuda")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cards;
mod counts;
mod faults;
mod gpu_check;
mod jobs;
mod model;
#[path = "../common/sentences.rs"]
mod sentences;
mod units;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use cuda_standin::{Account, Machine};
use sentences::sentences;

/// Runs a test unless the stand-in was not compiled.
fn with_standin(test: impl FnOnce()) {
    match cuda_standin::library() {
        Some(_) => test(),
        None => eprintln!("skipped: the stand-in was not compiled"),
    }
}

/// A folder with texts, for commands on one machine.
struct Place {
    folder: tempfile::TempDir,
    machine: Machine,
}

/// How a command ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    /// A machine with an H100, a tiny model, and forty texts to train it on.
    fn new() -> Self {
        Self::on(|machine| machine)
    }

    fn on(set: impl FnOnce(Machine) -> Machine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let texts = sentences(40);
        fs::write(folder.path().join("train.csv"), &texts).unwrap();
        model::write(&folder.path().join("tiny"), &texts);
        fs::write(folder.path().join("new.csv"), "id,text\nx,a cake\ny,a dark shadow\nz,\n")
            .unwrap();
        let machine = Machine::new(folder.path().join("machine"));
        fs::create_dir(folder.path().join("machine")).unwrap();
        Self { machine: set(machine.step("unscale_and_clip")), folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Runs a command line, split at spaces, on the machine.
    fn run(&self, line: &str) -> Ended {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-train"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env_remove("RUST_BACKTRACE")
            .envs(variables.iter().copied())
            .env("HF_HOME", self.path().join("hub"))
            .env("XDG_CACHE_HOME", checked_cards())
            .env("HF_ENDPOINT", "http://127.0.0.1:9");
        let Output { status, stdout, stderr } =
            self.machine.run(&mut command).unwrap().output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs a command that succeeds and breaks no rule of the driver's.
    fn runs(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "{line}\n{}", ended.stderr);
        ended
    }

    /// The account of the last command.
    fn account(&self) -> Account {
        self.machine.account().unwrap()
    }
}

/// A cache that remembers the check of each type of card, so that runs begin with their own work.
fn checked_cards() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let checked = CACHE.get_or_init(|| {
        let cache = tempfile::tempdir().unwrap();
        let place = Place::on(|machine| machine.cards("75,80,86,90"));
        for card in 0..4 {
            let line = format!(
                "train --model tiny --epochs 1 --folds 2 --only-fold 0 --batch-size 8 --threads 2 --train-csv train.csv \
                 --device cuda:{card} --output run-{card} --quiet"
            );
            let mut command = Command::new(env!("CARGO_BIN_EXE_native-train"));
            command.args(line.split_whitespace()).current_dir(place.path());
            command.env("XDG_CACHE_HOME", cache.path());
            let ended = place.machine.run(&mut command).unwrap().output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        cache
    });
    checked.path()
}
