//! The commands that are struck: what stands before each, how it is called, and how it is tried again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use super::contents::{Contents, copy_folder};
use crate::site::DATA;
use crate::workspace::{Workspace, remove_folder};

/// Rows of the training file; three folds, two epochs, four steps each: a second or two in all.
const ROWS: usize = 72;

/// Texts for `predict`, so that it writes for about as long as it loads.
const TEXTS: usize = 400;

const TRAIN: &str = "train --output run --model mini --train-csv train.csv --test-csv test.csv --folds 3 --epochs 2 \
                     --batch-size 12 --max-len 16 --threads 1";
const DISTIL: &str = "distil --run run --model mini --texts new.csv --epochs 2 --batch-size 12 --max-len 16 --threads 1 \
                      --baseline --output student";
const EXPORT: &str = "export --run run --output bundle --threads 1";

/// The command lines of a victim.
pub struct Plan {
    pub name: &'static str,
    pub arguments: String,
    /// For trying again.
    pub again: String,
    /// Beginnings of the paths of what must not be damaged.
    pub stands: &'static [&'static str],
    /// A file that is there once the command has begun to write, and what it says to a second of its kind.
    pub begun: &'static str,
    pub refusal: &'static str,
    /// Whether what stood before is all that stands after an error.
    pub restores: bool,
}

/// A command with what stands before it and what it comes to undisturbed.
pub struct Victim {
    pub plan: Plan,
    pub origin: PathBuf,
    pub before: Contents,
    pub end: Contents,
    pub takes: Duration,
}

/// The folder for all rounds, and the program.
pub struct Stage {
    pub folder: PathBuf,
    program: PathBuf,
}

/// The names of all plans, in the order of the table.
pub const NAMES: [&str; 6] = ["train", "resume", "distil", "predict", "export", "auto"];

impl Stage {
    /// Makes the folder, with a copy of the program in it: another build may replace the original meanwhile.
    pub fn set(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target.join(format!("survive-{}", std::process::id()));
        remove_folder(&folder)?;
        fs::create_dir_all(&folder)?;
        let stage = Self { program: folder.join("native-train"), folder };
        let original = workspace.program("native-train");
        fs::copy(&original, &stage.program)
            .context("native-train is not built: run `cargo build --release --locked`")?;
        let data = fs::read_to_string(workspace.root.join(DATA))?;
        let lines: Vec<&str> = data.lines().collect();
        let (header, rows) = lines.split_first().context("the demo's data is empty")?;
        fs::create_dir_all(stage.origin("data"))?;
        let write = |name: &str, rows: &[&str]| {
            let table = format!("{header}\n{}\n", rows.join("\n"));
            fs::write(stage.origin("data").join(name), table)
        };
        write("train.csv", &rows[..ROWS])?;
        write("test.csv", &rows[ROWS..ROWS + 10])?;
        write("new.csv", &rows.iter().copied().cycle().take(TEXTS).collect::<Vec<_>>())?;
        Ok(stage)
    }

    /// Sets the victim up: what stands before it, and what it comes to undisturbed.
    pub fn victim(&self, name: &'static str) -> Result<Victim> {
        let origin = self.origin(name);
        let plan = plan(name);
        match name {
            "train" => copy_folder(&self.origin("data"), &origin)?,
            "resume" => self.stop_a_training(&origin)?,
            "distil" => copy_folder(&self.trained()?, &origin)?,
            _ => {
                copy_folder(&self.trained()?, &origin)?;
                let earlier = match name {
                    "predict" => format!("{} --probabilities", plan.arguments),
                    _ => format!("{EXPORT} --encoding int8"),
                };
                self.must_run(&origin, &earlier)?;
            }
        }
        if plan.stands.contains(&"bundle/") {
            fs::write(origin.join("bundle/README.md"), "Somebody's.\n")?;
        }
        let before = Contents::of(&origin)?;
        let (end, takes) = self.undisturbed(&origin, &plan)?;
        Ok(Victim { plan, origin, before, end, takes })
    }

    pub fn command(&self, place: &Path, arguments: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(place).args(arguments.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// # Errors
    /// If the command fails, with what it said.
    pub fn must_run(&self, place: &Path, arguments: &str) -> Result<()> {
        let output = self.command(place, arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{arguments}` failed ({}): {said}", output.status);
        Ok(())
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    fn origin(&self, name: &str) -> PathBuf {
        self.folder.join("origins").join(name)
    }

    /// A place with a finished run, which is trained once.
    fn trained(&self) -> Result<PathBuf> {
        let place = self.origin("trained");
        if !place.exists() {
            copy_folder(&self.origin("data"), &place)?;
            self.must_run(&place, TRAIN)?;
        }
        Ok(place)
    }

    /// A place with a run whose first fold is finished and whose second has a checkpoint.
    fn stop_a_training(&self, place: &Path) -> Result<()> {
        copy_folder(&self.origin("data"), place)?;
        self.must_run(place, &format!("{TRAIN} --only-fold 0"))?;
        let mut training = self.command(place, &format!("{TRAIN} --resume")).spawn()?;
        while !place.join("run/fold-1/checkpoint").exists() {
            ensure!(training.try_wait()?.is_none(), "the training ended without a checkpoint");
            thread::sleep(Duration::from_millis(1));
        }
        training.kill()?;
        training.wait()?;
        ensure!(!place.join("run/fold-1/model.safetensors").exists(), "the fold was finished");
        Ok(())
    }

    /// Runs the command twice; returns the end, which must be the same, and the shorter of the times.
    fn undisturbed(&self, origin: &Path, plan: &Plan) -> Result<(Contents, Duration)> {
        let run = || -> Result<(Contents, Duration)> {
            let place = self.place(origin)?;
            let start = Instant::now();
            self.must_run(&place, &plan.arguments)?;
            let takes = start.elapsed();
            Ok((Contents::of(&place)?, takes))
        };
        let (first, second) = (run()?, run()?);
        second.0.must_be(&first.0).context("two undisturbed runs differ")?;
        Ok((first.0, first.1.min(second.1)))
    }

    /// A new place like `origin`.
    pub fn place(&self, origin: &Path) -> Result<PathBuf> {
        let place = self.folder.join("round/place");
        remove_folder(&self.folder.join("round"))?;
        copy_folder(origin, &place)?;
        Ok(place)
    }
}

fn plan(name: &'static str) -> Plan {
    let resume = format!("{TRAIN} --resume");
    let training = Plan {
        name,
        arguments: TRAIN.to_owned(),
        again: resume.clone(),
        stands: &["train.csv", "test.csv"],
        begun: "run/folds.csv",
        refusal: "another training is writing in `run`",
        restores: false,
    };
    let exporting = |settings: &str| {
        let arguments = format!("{EXPORT} {settings}");
        Plan {
            name,
            again: arguments.clone(),
            arguments,
            stands: &["run/", "bundle/"],
            begun: "bundle/.manifest.json.tmp",
            refusal: "another process is writing `bundle/manifest.json`",
            restores: true,
        }
    };
    match name {
        "train" => training,
        "resume" => Plan {
            arguments: resume,
            stands: &[
                "train.csv",
                "test.csv",
                "run/fold-0/",
                "run/config.toml",
                "run/inputs.json",
                "run/folds.csv",
            ],
            ..training
        },
        "distil" => Plan {
            arguments: DISTIL.to_owned(),
            again: format!("{DISTIL} --resume"),
            stands: &["run/", "train.csv", "new.csv"],
            begun: "student/folds.csv",
            refusal: "another training is writing in `student`",
            ..training
        },
        "predict" => {
            let arguments = "predict --run run --input new.csv --output out.csv --threads 1";
            Plan {
                name,
                arguments: arguments.to_owned(),
                again: arguments.to_owned(),
                stands: &["run/", "new.csv", "out.csv"],
                begun: ".out.csv.tmp",
                refusal: "another process is writing `out.csv`",
                restores: true,
            }
        }
        "export" => exporting(""),
        // The folds of so small a run score by chance, so that any loss is allowed.
        _ => exporting("--encoding auto --candidates int16,int12,int4 --max-f1-drop 0.5"),
    }
}
