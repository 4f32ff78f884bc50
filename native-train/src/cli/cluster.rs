//! The flags of `gather` and `cluster`: a run that several processes train.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::examples::{CLUSTER_EXAMPLES, GATHER_EXAMPLES};
use crate::config::DeviceChoice;

/// Score a run whose folds were trained by several processes
///
/// Where `train --only-fold` trains the folds of one run, on one machine or on many that share its folder, this
/// writes what one training would have left: out-of-fold predictions, thresholds, scores, and predictions for the
/// test file. It says which folds are missing, and leaves them out.
#[derive(Debug, Args)]
#[command(after_help = GATHER_EXAMPLES)]
pub struct GatherArgs {
    /// Folder of the run
    #[arg(long, value_name = "RUN", display_order = 0)]
    pub run: PathBuf,

    /// File with texts to label, if the run began without one [default: the run's setting]
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub test_csv: Option<PathBuf>,

    /// Device: auto, cpu, cuda or cuda:N (the N-th GPU) [default: the run's setting]
    #[arg(long, value_name = "DEVICE", display_order = 2)]
    pub device: Option<DeviceChoice>,

    /// CPU threads [default: the run's setting]
    #[arg(long, value_name = "N", display_order = 3)]
    pub threads: Option<usize>,
}

/// Print the jobs that train a run, or label a large file, on a cluster
///
/// Given the flags of `train`, it prints a shell script that submits two jobs: one with a task for each fold, of
/// which each runs `train --only-fold`, and one that gathers the results (`gather`) when all folds are trained.
/// Tasks that are stopped save their state and are started again. Given the word `predict` and its flags, the tasks
/// label a part of the file each (`predict --part`), and the last job puts the parts together. Nothing is submitted
/// by this command.
#[derive(Debug, Args)]
#[command(after_help = CLUSTER_EXAMPLES)]
pub struct ClusterArgs {
    /// Scheduler of the cluster
    #[arg(value_name = "SCHEDULER")]
    pub scheduler: Scheduler,

    /// Option of the jobs, before the flags of `train` or the word `predict`
    ///
    /// For both: name [default: quintet], program (command that starts this program there) [default:
    /// native-train], gpus (0 or 1 for each task) [default: 1], cpus [default: 4], memory (gigabytes) [default: 16],
    /// at-once (the most tasks at once) [default: all], grace (seconds from SIGTERM to the end) [default: 120],
    /// seeds (such as 1,2,3: a run for each, whose folder has the seed at its end), parts (tasks that share a file
    /// which `predict` labels) [default: 8]. For slurm: time [default: 12:00:00], partition, account, setup (a line
    /// to run before the program). For kubernetes: image [default: quintet:latest], claim (the
    /// PersistentVolumeClaim with the data; required).
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// The flags of `train`, or the word `predict` and its flags
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub job: Vec<String>,
}

/// A cluster's scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    Slurm,
    Kubernetes,
}
