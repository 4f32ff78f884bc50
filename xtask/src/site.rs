//! The built page and what it is tested with: where they lie, and the commands that make them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

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

/// Stands for an encoding: a bundle in int8 of a run of the built-in model `small` that `distil` left, with its final model
/// beside the folds.
pub const LIGHT: &str = "light";

/// Stands for an encoding: the final model of that run alone, in int8.
pub const FINAL_ALONE: &str = "final-alone";

/// Every so many rows are those that its models learn from: enough to have different answers, and soon learned.
const ROWS_OF_LIGHT: usize = 15;

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
    /// A run of students with a final model.
    pub light_run: PathBuf,
    /// Pictures of the page, named after what they show.
    pub screenshots: PathBuf,
    /// A folder for each visitor's browser, for as long as it runs.
    pub visitors: PathBuf,
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
            light_run: scratch.join("light-run"),
            screenshots: workspace.target.join("screenshots"),
            visitors: workspace.target.join("visitors"),
            scratch,
        }
    }

    /// The bundle of the small run in `encoding`, in [`DELTAS`] of the related one, the one with [`COLD_ROWS`], or one with a
    /// final model: [`LIGHT`] or [`FINAL_ALONE`].
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
        self.export(workspace, &self.related_run, DELTAS, &["--encoding", DELTAS])?;
        self.distil(workspace)?;
        let int8 = ["--encoding", "int8"];
        self.export(workspace, &self.light_run, LIGHT, &int8)?;
        let alone = [&int8[..], &["--only", "final"]].concat();
        self.export(workspace, &self.light_run, FINAL_ALONE, &alone)
    }

    /// Makes the run with a final model, from a teacher that has learned as little.
    fn distil(&self, workspace: &Workspace) -> Result<()> {
        let data = fs::read_to_string(workspace.root.join(DATA))?;
        let (header, rows) = data.split_once('\n').context("the demo's table has a header")?;
        let rows: Vec<&str> = rows.lines().step_by(ROWS_OF_LIGHT).collect();
        let few = self.scratch.join("few.csv");
        fs::write(&few, format!("{header}\n{}\n", rows.join("\n")))?;
        let teacher = self.scratch.join("teacher");
        let native_train = || Shell::new(workspace).command(workspace.program("native-train"));
        let mut train = native_train();
        train.args(["train", "--quiet", "--model", "mini", "--epochs", "1", "--train-csv"]);
        shell::run(train.arg(&few).arg("--output").arg(&teacher), REMEDY)?;
        let mut distil = native_train();
        distil.args(["distil", "--quiet", "--model", "small", "--epochs", "1", "--run"]);
        shell::run(distil.arg(&teacher).arg("--output").arg(&self.light_run), REMEDY)
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

/// The integrity of the manifest of the bundle in `folder`, as `native-train inspect` tells it.
pub fn integrity(workspace: &Workspace, folder: &Path) -> Result<String> {
    let shell = Shell::new(workspace);
    let mut inspect = shell.command(workspace.program("native-train"));
    let told = shell::answer(inspect.arg("inspect").arg(folder)).unwrap_or_default();
    let integrity = told.split_once("integrity, for pages on other sites: ");
    let integrity = integrity.and_then(|(_, rest)| rest.lines().next());
    Ok(integrity.context("`native-train inspect` tells no integrity")?.to_owned())
}

fn train(workspace: &Workspace, run: &Path, settings: &[&str]) -> Result<()> {
    let mut train = Shell::new(workspace).command(workspace.program("native-train"));
    train.args(["train", "--quiet", "--train-csv", DATA]).args(settings);
    shell::run(train.arg("--output").arg(run), REMEDY)
}

/// The demo's table with its first rows only.
pub fn first_rows(workspace: &Workspace, rows: usize) -> Result<String> {
    let data = fs::read_to_string(workspace.root.join(DATA))?;
    Ok(data.split_inclusive('\n').take(rows + 1).collect())
}

/// `trunk build`: the page and what lies in `static/`, into `dist`.
pub fn build_page(shell: &Shell) -> Result<()> {
    let mut command = shell.command("trunk");
    // Trunk takes NO_COLOR for a flag of its own and refuses every value but true and false.
    command.args(["build", "--release", "--offline", "--locked"]).env_remove("NO_COLOR");
    shell::run(&mut command, "see its message above; `cargo xtask setup` installs it")
}
