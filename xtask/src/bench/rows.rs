//! The common ground of the benches: how their programs are built and where their rows go.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use fs_err::OpenOptions;
use serde_json::Value;

use crate::shell::Shell;

/// Builds a bench of native-train's and gives its path, which only cargo knows.
pub fn build_bench(shell: &Shell, name: &str) -> Result<PathBuf> {
    let mut command = shell.cargo("build");
    // The whole workspace's features, so that the tests' build of the dependencies serves here too.
    command.args(["--workspace", "--bench", name]);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "native-train's bench `{name}` does not build: see above");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["kind"][0] == "bench")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo names no executable for native-train's bench `{name}`"))
}

/// Appends rows to a file of them.
pub fn append(path: &Path, rows: impl Iterator<Item = Value>) -> Result<()> {
    // All are made before the first is written: a row tells whether files differ from the commit, and this file may be one.
    let rows: Vec<Value> = rows.collect();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    eprintln!("bench: {} rows for {}", rows.len(), path.display());
    for row in rows {
        writeln!(file, "{row}")?;
    }
    Ok(())
}
