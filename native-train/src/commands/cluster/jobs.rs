//! The jobs of a training: what `train` is told, and how its folds and seeds become tasks.

use anyhow::Result;
use clap::Parser;
use shared::words::counted;

use super::options::Options;
use crate::cli::{Cli, Command, TrainArgs};
use crate::config::{DEFAULT_FOLDS, Settings, of_config_file};
use crate::data::shell::quoted;
use crate::error::UserError;

/// The jobs of a training.
pub struct Jobs {
    pub options: Options,
    /// The flags of `train`, quoted for a shell, without `--output` and `--seed` where there are several seeds.
    train_flags: String,
    output: String,
    folds: usize,
}

impl Jobs {
    pub fn new(options: Options, flags: &[String]) -> Result<Self> {
        let TrainArgs { settings, config, resume, dry_run } = parse(flags)?;
        let settings = match &config {
            Some(path) => settings.or(of_config_file(path, Settings::read(path)?)),
            None => settings,
        };
        let refuse = |flag: &str, hint: &str| {
            UserError::new(format!("`{flag}` is not for `cluster`")).hint(hint.to_owned())
        };
        if settings.only_fold.is_some() {
            return Err(refuse("--only-fold", "each task trains one fold").into());
        }
        if resume || dry_run {
            let flag = if resume { "--resume" } else { "--dry-run" };
            return Err(refuse(flag, "submit the same job again to continue a run").into());
        }
        let missing = |flag: &str| {
            UserError::new(format!("`--{flag}` is missing"))
                .hint("give `cluster` the flags of `train`")
        };
        let output = settings.output.as_ref().ok_or_else(|| missing("output"))?;
        if settings.train_csv.is_none() {
            return Err(missing("train-csv").into());
        }
        if settings.seed.is_some() && !options.seeds.is_empty() {
            return Err(refuse("--seed", "`--set seeds=...` has the seeds").into());
        }
        let mut kept = without(flags, "--output");
        if settings.threads.is_none() {
            // All tasks must have the same number, whatever their nodes have.
            kept.extend(["--threads".to_owned(), options.cpus.to_string()]);
        }
        Ok(Self {
            train_flags: kept.iter().map(|flag| quoted(flag)).collect::<Vec<_>>().join(" "),
            output: output.display().to_string(),
            folds: settings.folds.unwrap_or(DEFAULT_FOLDS),
            options,
        })
    }

    /// The number of trainings: a fold of a seed each.
    pub fn tasks(&self) -> usize {
        self.folds * self.options.seeds.len().max(1)
    }

    /// How the tasks are laid out, in a sentence.
    pub fn layout(&self) -> String {
        let Self { folds, options, .. } = self;
        let tasks = self.tasks();
        let rounds = counted(tasks.div_ceil(self.at_once()), "round");
        let of_what = match options.seeds.len() {
            0 => format!("{folds} tasks"),
            seeds => format!("{} x {folds} folds = {tasks} tasks", counted(seeds, "seed")),
        };
        format!("{of_what}, {} at once: {rounds} of trainings", self.at_once())
    }

    /// The most tasks that run at once.
    pub fn at_once(&self) -> usize {
        self.options.at_once.unwrap_or(usize::MAX).min(self.tasks())
    }

    /// Shell lines that set `fold` and `output` (and `seed`) from the task's number, which is in the shell variable `index`.
    pub fn task_variables(&self, index: &str) -> String {
        let output = quoted(&self.output);
        if self.options.seeds.is_empty() {
            return format!("fold=${index}\noutput={output}\n");
        }
        let (folds, seeds) = (self.folds, self.options.seeds.join(" "));
        format!(
            "seeds=({seeds})\nfold=$(({index} % {folds}))\nseed=${{seeds[{index} / {folds}]}}\noutput={output}-$seed\n"
        )
    }

    /// The command of one task.
    pub fn train(&self) -> String {
        let seed = if self.options.seeds.is_empty() { "" } else { " --seed \"$seed\"" };
        let Self { options: Options { program, .. }, train_flags, .. } = self;
        format!("{program} train {train_flags}{seed} --output \"$output\" --only-fold \"$fold\"")
    }

    /// The commands that gather the results.
    pub fn gather(&self) -> String {
        let program = &self.options.program;
        let output = quoted(&self.output);
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
        Err(error) => {
            let message = error.to_string();
            let reason = message.lines().next().unwrap_or_default();
            Err(UserError::new(reason.trim_start_matches("error: ")).hint(
                "give `cluster` the flags of `train`; `native-train train --help` lists them",
            ))
        }
    }
}

/// The words without a flag and its value.
fn without(words: &[String], flag: &str) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == flag {
            words.next();
        } else if !word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')) {
            kept.push(word.clone());
        }
    }
    kept
}
