//! The jobs of a training: what `train` is told, and how its folds and seeds become tasks.

use anyhow::Result;
use clap::Parser;
use shared::words::counted;

use super::jobs::{Jobs, missing, not_for_cluster, refused, rounds, without};
use super::options::Options;
use crate::cli::{Cli, Command, TrainArgs};
use crate::config::{DEFAULT_FOLDS, Settings, of_config_file};
use crate::error::{UserError, check};
use crate::shell;

/// The trainings of one run, or of one for each seed.
pub struct Trainings {
    options: Options,
    /// The flags of `train`, quoted for a shell, without `--output` and `--seed` where there are several seeds.
    flags: String,
    output: String,
    folds: usize,
}

impl Trainings {
    pub fn new(options: Options, flags: &[String]) -> Result<Self> {
        let TrainArgs { settings, config, resume, dry_run } = parse(flags)?;
        let settings = match &config {
            Some(path) => settings.or(of_config_file(path, Settings::read(path)?)),
            None => settings,
        };
        if settings.only_fold.is_some() {
            return Err(not_for_cluster("--only-fold", "each task trains one fold").into());
        }
        if resume || dry_run {
            let flag = if resume { "--resume" } else { "--dry-run" };
            let hint = "submit the same job again to continue a run";
            return Err(not_for_cluster(flag, hint).into());
        }
        let output = settings.output.as_ref().ok_or_else(|| missing("output", "train"))?;
        if settings.train_csv.is_none() {
            return Err(missing("train-csv", "train").into());
        }
        if settings.seed.is_some() && !options.seeds.is_empty() {
            return Err(not_for_cluster("--seed", "`--set seeds=...` has the seeds").into());
        }
        if options.parts.is_some() {
            return Err(UserError::new("`--set parts` is not for trainings")
                .hint("a training has a task for each fold; `cluster SCHEDULER predict` has parts")
                .into());
        }
        let folds = settings.folds.unwrap_or(DEFAULT_FOLDS);
        check("folds", folds, folds >= 2, "2 or more")?;
        let mut kept = without(flags, "--output");
        if settings.threads.is_none() {
            // All tasks must have the same number, whatever their nodes have.
            kept.extend(["--threads".to_owned(), options.cpus.to_string()]);
        }
        Ok(Self {
            flags: shell::words(&kept),
            output: output.display().to_string(),
            folds,
            options,
        })
    }

    pub fn jobs(self) -> Jobs {
        let tasks = self.folds * self.options.seeds.len().max(1);
        let of_what = match self.options.seeds.len() {
            0 => format!("{tasks} tasks"),
            seeds => {
                let seeds = counted(seeds, "seed");
                format!("{seeds} x {} folds = {tasks} tasks", self.folds)
            }
        };
        Jobs {
            purpose: "Trains the folds of a run on {} and gathers the results",
            again: "To continue a run that was stopped, submit it again: what is trained is not trained again.",
            each: "fold",
            tasks,
            layout: format!("{of_what}, {} of trainings", rounds(&self.options, tasks)),
            variables: self.variables(),
            task: self.task(),
            train: true,
            last: "gather",
            last_does: "The results, once every fold is trained.",
            last_commands: self.gather(),
            options: self.options,
        }
    }

    /// Shell lines that set `fold` and `output` (and `seed`).
    fn variables(&self) -> String {
        let output = shell::quoted(&self.output);
        if self.options.seeds.is_empty() {
            return format!("fold=$task\noutput={output}\n");
        }
        let (folds, seeds) = (self.folds, self.options.seeds.join(" "));
        format!(
            "seeds=({seeds})\nfold=$((task % {folds}))\nseed=${{seeds[task / {folds}]}}\noutput={output}-$seed\n"
        )
    }

    fn task(&self) -> String {
        let seed = if self.options.seeds.is_empty() { "" } else { " --seed \"$seed\"" };
        let Self { options: Options { program, .. }, flags, .. } = self;
        format!("{program} train {flags}{seed} --output \"$output\" --only-fold \"$fold\"")
    }

    fn gather(&self) -> String {
        let program = &self.options.program;
        let output = shell::quoted(&self.output);
        if self.options.seeds.is_empty() {
            return format!("{program} gather --run {output}\n");
        }
        let seeds = self.options.seeds.join(" ");
        format!("for seed in {seeds}; do {program} gather --run {output}-$seed; done\n")
    }
}

/// The flags as `train` reads them.
fn parse(flags: &[String]) -> Result<TrainArgs, UserError> {
    let line = ["native-train", "train"].into_iter().chain(flags.iter().map(String::as_str));
    match Cli::try_parse_from(line) {
        Ok(Cli { command: Command::Train(args), .. }) => Ok(*args),
        Ok(_) => Err(UserError::new("these are not the flags of `train`")),
        Err(error) => Err(refused(&error, "train")),
    }
}
