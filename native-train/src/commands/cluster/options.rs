//! The options of the jobs: `--set KEY=VALUE`.

use shared::words::joined;

use crate::cli::Scheduler;
use crate::error::UserError;

/// The resources and names that the jobs ask a cluster for.
#[derive(Debug)]
pub struct Options {
    pub name: String,
    /// The command that starts this program there.
    pub program: String,
    pub gpus: usize,
    pub cpus: usize,
    /// In gigabytes.
    pub memory: usize,
    /// `None`: as many as there is room for.
    pub at_once: Option<usize>,
    /// The seconds between SIGTERM and the end of a task.
    pub grace: usize,
    /// None: the one of `train`'s flags.
    pub seeds: Vec<String>,
    /// The tasks that share a file that is labelled.
    pub parts: Option<usize>,
    pub slurm: Slurm,
    pub kubernetes: Kubernetes,
}

/// The options that only Slurm has.
#[derive(Debug)]
pub struct Slurm {
    pub time: String,
    pub partition: Option<String>,
    pub account: Option<String>,
    /// A line that is run before the program.
    pub setup: Option<String>,
}

/// The options that only Kubernetes has.
#[derive(Debug)]
pub struct Kubernetes {
    pub image: String,
    pub claim: String,
}

/// The keys of `--set`, and the scheduler whose they are, if not of both.
const KEYS: [(&str, Option<Scheduler>); 15] = [
    ("name", None),
    ("program", None),
    ("gpus", None),
    ("cpus", None),
    ("memory", None),
    ("at-once", None),
    ("grace", None),
    ("seeds", None),
    ("parts", None),
    ("time", Some(Scheduler::Slurm)),
    ("partition", Some(Scheduler::Slurm)),
    ("account", Some(Scheduler::Slurm)),
    ("setup", Some(Scheduler::Slurm)),
    ("image", Some(Scheduler::Kubernetes)),
    ("claim", Some(Scheduler::Kubernetes)),
];

impl Options {
    /// Reads `KEY=VALUE` for each of `set`.
    ///
    /// # Errors
    /// If a key is unknown, is another scheduler's, or has a value that it cannot have.
    pub fn read(scheduler: Scheduler, set: &[String]) -> Result<Self, UserError> {
        let mut options = Self {
            name: "quintet".to_owned(),
            program: "native-train".to_owned(),
            gpus: 1,
            cpus: 4,
            memory: 16,
            at_once: None,
            grace: 120,
            seeds: Vec::new(),
            parts: None,
            slurm: Slurm {
                time: "12:00:00".to_owned(),
                partition: None,
                account: None,
                setup: None,
            },
            kubernetes: Kubernetes { image: "quintet:latest".to_owned(), claim: String::new() },
        };
        for assignment in set {
            let Some((key, value)) = assignment.split_once('=') else {
                return Err(UserError::new(format!("`--set {assignment}` has no `=`"))
                    .hint("write it as `--set KEY=VALUE`"));
            };
            options.set(scheduler, key, value)?;
        }
        if scheduler == Scheduler::Kubernetes && options.kubernetes.claim.is_empty() {
            return Err(UserError::new("`--set claim=NAME` is missing")
                .hint("name the PersistentVolumeClaim that holds the data and takes the run"));
        }
        Ok(options)
    }

    fn set(&mut self, scheduler: Scheduler, key: &str, value: &str) -> Result<(), UserError> {
        let wrong = |rule: &str| UserError::new(format!("`--set {key}={value}`: {rule}"));
        if value.is_empty() || value.contains(['\n', '\'']) {
            return Err(wrong("the value must be a line without quotes"));
        }
        let number = || value.parse::<usize>().map_err(|_| wrong("it must be a number"));
        let positive = || {
            number().and_then(|number| match number {
                0 => Err(wrong("it must be 1 or more")),
                number => Ok(number),
            })
        };
        let text = || value.to_owned();
        match (key, scheduler) {
            ("name", Scheduler::Kubernetes) => {
                let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if !value.chars().all(is_plain) || value.starts_with('-') || value.ends_with('-') {
                    return Err(wrong("it must have small letters, digits, and `-` between them"));
                }
                self.name = text();
            }
            ("name", Scheduler::Slurm) => {
                if value.contains(char::is_whitespace) {
                    return Err(wrong("it must be one word"));
                }
                self.name = text();
            }
            ("program", _) => self.program = text(),
            ("gpus", _) => {
                self.gpus = number()?;
                if self.gpus > 1 {
                    return Err(wrong("a task takes one GPU at most"));
                }
            }
            ("cpus", _) => self.cpus = positive()?,
            ("memory", _) => self.memory = positive()?,
            ("at-once", _) => self.at_once = Some(positive()?),
            ("grace", _) => self.grace = positive()?,
            ("seeds", _) => {
                self.seeds = value.split(',').map(str::to_owned).collect();
                if self.seeds.iter().any(|seed| seed.parse::<u32>().is_err()) {
                    return Err(wrong(
                        "seeds are numbers from 0 to 4294967295, with commas between them",
                    ));
                }
                if (1..self.seeds.len())
                    .any(|place| self.seeds[..place].contains(&self.seeds[place]))
                {
                    return Err(wrong("a seed is named twice"));
                }
            }
            ("parts", _) => self.parts = Some(positive()?),
            ("time", Scheduler::Slurm) => self.slurm.time = text(),
            ("partition", Scheduler::Slurm) => self.slurm.partition = Some(text()),
            ("account", Scheduler::Slurm) => self.slurm.account = Some(text()),
            ("setup", Scheduler::Slurm) => self.slurm.setup = Some(text()),
            ("image", Scheduler::Kubernetes) => self.kubernetes.image = text(),
            ("claim", Scheduler::Kubernetes) => self.kubernetes.claim = text(),
            _ => {
                let is_of = |of: Option<Scheduler>| of.is_none_or(|of| of == scheduler);
                let keys = KEYS.into_iter().filter(|(_, of)| is_of(*of)).map(|(key, _)| key);
                return Err(UserError::new(format!("`--set {key}={value}`: unknown key"))
                    .hint(format!("the keys are {}", joined(keys))));
            }
        }
        Ok(())
    }
}
