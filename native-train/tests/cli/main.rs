//! The real binary as a user meets it: exit code, stdout and stderr of each command.
//!
//! Every case runs in an empty folder of its own, so that paths in messages are relative and the
//! same everywhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod distil;
mod doctor;
mod export;
mod files;
mod folders;
mod formats;
mod help;
mod inspect;
mod mistakes;
mod reliability;
mod review;
#[path = "../common/sentences.rs"]
mod sentences;
mod shrink;
mod soft_labels;
mod training;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use sentences::sentences;

/// An empty folder to run the binary in.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Exit code, stdout and stderr of a command line, split at spaces.
    fn run(&self, line: &str) -> String {
        told(&self.command(line).output().unwrap())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-train"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env_remove("RUST_BACKTRACE")
            // No case may reach for the network or a model of this machine's owner.
            .env("HF_HOME", self.path().join("hub"))
            .env("HF_ENDPOINT", "http://127.0.0.1:9");
        for other in
            ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
        {
            command.env_remove(other);
        }
        command
    }
}

/// What was told, without the host at the beginning of a training's lines.
fn without_host(told: &str) -> String {
    told.replace(&format!("[{}] ", native_train::run::lease::host()), "")
}

fn told(output: &Output) -> String {
    let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    let mut told = format!("exit code: {code}\n");
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            told += &format!("--- {name}\n{}", String::from_utf8_lossy(bytes));
        }
    }
    told
}
