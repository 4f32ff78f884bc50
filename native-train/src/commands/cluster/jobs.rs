//! The jobs of a cluster: an array of equal tasks, and a last job that needs them all.

use shared::words::counted;

use super::options::Options;
use crate::error::UserError;

/// The jobs of a training or of a labelling, whose commands are quoted for a shell.
pub struct Jobs {
    pub options: Options,
    /// The purpose of the jobs, for the first line of the script: `{}` stands for the cluster.
    pub purpose: &'static str,
    /// How a submission that was stopped is continued, in a sentence for the script.
    pub again: &'static str,
    /// The share of a task: a fold or a part.
    pub each: &'static str,
    /// The number of tasks, and how they are laid out.
    pub tasks: usize,
    pub layout: String,
    /// Shell lines that set what [`Jobs::task`] needs from the task's number, which is in the variable `task`.
    pub variables: String,
    /// The command of one task.
    pub task: String,
    /// Whether the jobs train. Then a task that is asked to stop saves its state and exits with 75, and the last job computes
    /// as well.
    pub train: bool,
    /// The name of the last job, after that of the array, and what it does.
    pub last: &'static str,
    pub last_does: &'static str,
    /// The commands of the last job.
    pub last_commands: String,
}

impl Jobs {
    /// The most tasks that run at once.
    pub fn at_once(&self) -> usize {
        at_once(&self.options, self.tasks)
    }
}

/// Returns how many of the tasks run at once.
pub fn at_once(options: &Options, tasks: usize) -> usize {
    options.at_once.unwrap_or(usize::MAX).min(tasks)
}

/// Returns how many tasks there are at once, and how often: "2 at once: 3 rounds".
pub fn rounds(options: &Options, tasks: usize) -> String {
    let at_once = at_once(options, tasks);
    format!("{at_once} at once: {}", counted(tasks.div_ceil(at_once), "round"))
}

/// The error of a flag that has no place here.
pub fn not_for_cluster(flag: &str, hint: &str) -> UserError {
    UserError::new(format!("`{flag}` is not for `cluster`")).hint(hint.to_owned())
}

/// The error of a flag that is needed, of `train` or `predict`.
pub fn missing(flag: &str, command: &str) -> UserError {
    UserError::new(format!("`--{flag}` is missing"))
        .hint(format!("give `cluster` the flags of `{command}`"))
}

/// The error of flags that clap refuses.
pub fn refused(error: &clap::Error, command: &str) -> UserError {
    let message = error.to_string();
    // The reason ends with the first empty line; usage follows.
    let reason: Vec<&str> =
        message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    UserError::new(reason.join(" ").trim_start_matches("error: ")).hint(format!(
        "give `cluster` the flags of `{command}`; `native-train {command} --help` lists them"
    ))
}

/// Returns the words without a flag and its value.
pub fn without(words: &[String], flag: &str) -> Vec<String> {
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
