//! The built page and what it is tested with: where they lie, and the commands that make them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{self, Shell};
use crate::workspace::Workspace;

/// Sentences of our own, labelled.
pub const DATA: &str = "native-train/assets/demo.csv";

/// The encodings that the browser tests load; the second is what `export` writes unless told otherwise.
const ENCODINGS: [&str; 4] = ["f32", "int16", "f16", "int8"];

/// The folders of the page and its tests.
pub struct Site {
    /// What trunk leaves.
    pub dist: PathBuf,
    /// What `cargo xtask package` leaves.
    pub package: PathBuf,
    /// A small run that only the tests know.
    pub run: PathBuf,
    /// Pictures of the page, named after what they show.
    pub screenshots: PathBuf,
    scratch: PathBuf,
}

impl Site {
    pub fn of(workspace: &Workspace) -> Self {
        let scratch = workspace.target.join("site");
        Self {
            dist: workspace.root.join("dist"),
            package: workspace.target.join("package"),
            run: scratch.join("run"),
            screenshots: workspace.target.join("screenshots"),
            scratch,
        }
    }

    /// The bundle of the small run in `encoding`.
    pub fn bundle(&self, encoding: &str) -> PathBuf {
        self.scratch.join(format!("bundle-{encoding}"))
    }

    /// Makes the small run and its bundles, whatever was there.
    pub fn make_bundles(&self, workspace: &Workspace) -> Result<()> {
        const REMEDY: &str = "see native-train's message above";
        let shell = Shell::new(workspace);
        let program = workspace.program("native-train");
        remove(&self.scratch)?;
        let mut train = shell.command(&program);
        train.args(["train", "--quiet", "--model", "mini", "--train-csv", DATA]);
        shell::run(train.arg("--output").arg(&self.run), REMEDY)?;
        for encoding in ENCODINGS {
            let mut export = shell.command(&program);
            export.args(["export", "--quiet", "--encoding", encoding, "--run"]).arg(&self.run);
            shell::run(export.arg("--output").arg(self.bundle(encoding)), REMEDY)?;
        }
        Ok(())
    }
}

/// `trunk build`: the page and what lies in `static/`, into `dist`.
pub fn build_page(shell: &Shell) -> Result<()> {
    let mut command = shell.command("trunk");
    // Trunk takes NO_COLOR for a flag of its own and refuses every value but true and false.
    command.args(["build", "--release", "--offline", "--locked"]).env_remove("NO_COLOR");
    shell::run(&mut command, "see its message above; `cargo xtask setup` installs it")
}

/// Removes a folder with all that is in it, if it is there.
pub fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
