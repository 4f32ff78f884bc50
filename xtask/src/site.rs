//! The built page and what it is tested with: where they lie, and the commands that make them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::shell::{self, Shell};
use crate::workspace::{Workspace, remove_folder};

/// Sentences of our own, labelled.
pub const DATA: &str = "native-train/assets/demo.csv";

/// The encodings that the browser tests load; the second is what `export` writes unless told otherwise.
const ENCODINGS: [&str; 5] = ["f32", "int12", "f16", "int16", "int8"];

/// One that the tests load of a run whose folds have an ancestor in common.
pub const DELTAS: &str = "int8+4/4";

/// Stands for an encoding: a bundle in the default encoding with cold rows.
pub const COLD_ROWS: &str = "cold-rows";

/// Its hot rows: a third of the small run's vocabulary of 3,009.
const HOT_ROWS: &str = "1000";

/// The folders of the page and its tests.
pub struct Site {
    /// The folder that trunk writes.
    pub dist: PathBuf,
    /// The folder that `cargo xtask package` writes.
    pub package: PathBuf,
    /// A small run that only the tests know.
    pub run: PathBuf,
    /// A run that begins with a fold of that one.
    pub related_run: PathBuf,
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
            related_run: scratch.join("related-run"),
            screenshots: workspace.target.join("screenshots"),
            scratch,
        }
    }

    /// The bundle of the small run in `encoding`, in [`DELTAS`] of the related one, or the one with [`COLD_ROWS`].
    pub fn bundle(&self, encoding: &str) -> PathBuf {
        self.scratch.join(format!("bundle-{}", encoding.replace('/', "-")))
    }

    /// Makes the small run and its bundles, whatever was there.
    pub fn make_bundles(&self, workspace: &Workspace) -> Result<()> {
        remove_folder(&self.scratch)?;
        train(workspace, &self.run, &["--model", "mini"])?;
        let ancestor = self.run.join("fold-0").display().to_string();
        let near = ["--model", &ancestor, "--epochs", "1", "--lr", "5e-5"];
        train(workspace, &self.related_run, &near)?;
        for encoding in ENCODINGS {
            self.export(workspace, &self.run, encoding, &["--encoding", encoding])?;
        }
        self.export(workspace, &self.run, COLD_ROWS, &["--hot-rows", HOT_ROWS])?;
        self.export(workspace, &self.related_run, DELTAS, &["--encoding", DELTAS])
    }

    fn export(
        &self,
        workspace: &Workspace,
        run: &Path,
        name: &str,
        settings: &[&str],
    ) -> Result<()> {
        let mut export = Shell::new(workspace).command(workspace.program("native-train"));
        export.args(["export", "--quiet", "--run"]).arg(run).args(settings);
        shell::run(export.arg("--output").arg(self.bundle(name)), REMEDY)
    }
}

const REMEDY: &str = "see native-train's message above";

fn train(workspace: &Workspace, run: &Path, settings: &[&str]) -> Result<()> {
    let mut train = Shell::new(workspace).command(workspace.program("native-train"));
    train.args(["train", "--quiet", "--train-csv", DATA]).args(settings);
    shell::run(train.arg("--output").arg(run), REMEDY)
}

/// `trunk build`: the page and what lies in `static/`, into `dist`.
pub fn build_page(shell: &Shell) -> Result<()> {
    let mut command = shell.command("trunk");
    // Trunk takes NO_COLOR for a flag of its own and refuses every value but true and false.
    command.args(["build", "--release", "--offline", "--locked"]).env_remove("NO_COLOR");
    shell::run(&mut command, "see its message above; `cargo xtask setup` installs it")
}
