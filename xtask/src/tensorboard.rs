//! TensorBoard's own reader on the event files of a training that was interrupted and resumed.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use crate::setup;
use crate::shell::{self, Shell};
use crate::site;
use crate::workspace::{Workspace, remove_folder};

/// A training of two folds, each with some dozens of steps.
const TRAIN: &str = "train --model mini --train-csv train.csv --folds 2 --epochs 3 --batch-size 8 --max-len 32 --output run \
    --tensorboard --quiet";

/// The rows of the demo's file that are trained on.
const ROWS: usize = 200;

const PATIENCE: Duration = Duration::from_secs(120);

/// Trains, asks the training to stop after its first checkpoint, resumes it and has the files read. `Err(reason)` inside: there
/// can be no TensorBoard here.
///
/// # Errors
/// If the files do not say what the logs say.
pub fn check(workspace: &Workspace) -> Result<Result<(), &'static str>> {
    let shell = Shell::new(workspace);
    let python = match setup::tensorboard(workspace, &shell)? {
        Ok(python) => python,
        Err(reason) => return Ok(Err(reason)),
    };
    let folder = workspace.target.join("tensorboard");
    remove_folder(&folder)?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("train.csv"), site::first_rows(workspace, ROWS)?)?;

    let train = || {
        let mut command = shell.command(workspace.program("native-train"));
        command.current_dir(&folder).args(TRAIN.split_whitespace()).stdout(Stdio::null());
        command
    };
    let training = train().spawn().context("cannot start native-train")?;
    let started = Instant::now();
    while !folder.join("run/fold-0/checkpoint").exists() {
        ensure!(started.elapsed() < PATIENCE, "no checkpoint came");
        thread::sleep(Duration::from_millis(5));
    }
    stop(&shell, training)?;
    shell::run(train().arg("--resume"), "the training cannot be resumed")?;

    let mut read = shell.command(python);
    read.arg(workspace.root.join("xtask/src/tensorboard/read.py")).arg(folder.join("run"));
    shell::run(&mut read, "TensorBoard reads something else than the log")?;
    Ok(Ok(()))
}

/// Asks a training to stop, which it does after its step.
fn stop(shell: &Shell, mut training: Child) -> Result<()> {
    let mut kill: Command = shell.command("kill");
    shell::run(kill.args(["-TERM", &training.id().to_string()]), "the training has ended already")?;
    let status = training.wait()?;
    ensure!(!status.success(), "the training has ended before it could be interrupted");
    Ok(())
}
