//! Running programs: each is printed as it would be typed, and a failure says what to do about it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Variables that `cargo run` sets for xtask itself. Passed on, they would make build scripts that
/// watch them run again in every other call.
const OF_CARGO_RUN: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];

/// Makes commands that start in the workspace's root and find the installed tools first on PATH.
pub struct Shell<'a> {
    workspace: &'a Workspace,
    path: OsString,
}

impl<'a> Shell<'a> {
    pub fn new(workspace: &'a Workspace) -> Self {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let folders =
            std::iter::once(workspace.tools().join("bin")).chain(env::split_paths(&inherited));
        let path = env::join_paths(folders).expect("the folders come from a PATH");
        Self { workspace, path }
    }

    /// The same, finding programs in `folders` before all others.
    pub fn preferring(self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        let path = env::join_paths(folders.into_iter().chain(env::split_paths(&self.path)))
            .expect("folders of programs have no separator in their names");
        Self { path, ..self }
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.workspace.root)
            .env("PATH", &self.path)
            .env("CARGO_TARGET_DIR", &self.workspace.target);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| OF_CARGO_RUN.iter().any(|of| name.starts_with(of)))
            {
                command.env_remove(name);
            }
        }
        command
    }

    /// `cargo SUBCOMMAND --release --locked`, arguments to be added.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.command("cargo");
        command.args([subcommand, "--release", "--locked"]);
        command
    }

    /// The first of `programs` that PATH knows.
    pub fn find(&self, programs: &[&str]) -> Option<PathBuf> {
        programs.iter().find_map(|program| {
            env::split_paths(&self.path)
                .map(|folder| folder.join(program).with_extension(env::consts::EXE_EXTENSION))
                .find(|file| file.is_file())
        })
    }
}

/// A process that is killed when this is dropped.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Prints and runs `command`. `remedy` says what to do when it fails.
pub fn run(command: &mut Command, remedy: &str) -> Result<()> {
    let typed = typed(command);
    eprintln!("$ {typed}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{typed}`: {remedy}"))?;
    if !status.success() {
        bail!("`{typed}` failed ({status}): {remedy}");
    }
    Ok(())
}

/// What `command` prints on stdout; None where it cannot start or fails. Silent: for questions.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(said)
}

/// The command line, short enough to read: the program without its folder.
fn typed(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_a_line_that_can_be_pasted() {
        let mut command = Command::new("/usr/bin/echo");
        command.args(["--flag=1", "I can't", ""]);
        assert_eq!(typed(&command), r"echo --flag=1 'I can'\''t' ''");
    }

    #[test]
    fn a_failure_names_the_command_the_status_and_the_remedy() {
        let error =
            run(Command::new("cargo").arg("no-such-subcommand"), "try another").unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("`cargo no-such-subcommand` failed (exit status: 101)"),
            "{message}"
        );
        assert!(message.ends_with(": try another"), "{message}");
    }

    #[test]
    fn a_program_that_is_not_there_gives_no_answer() {
        assert_eq!(answer(&mut Command::new("quintet-no-such-program")), None);
    }
}
