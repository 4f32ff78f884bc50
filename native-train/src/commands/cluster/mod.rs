//! `cluster`: prints the jobs that train a run or label a file on a cluster.
//!
//! The scheduler does the scheduling. A task of a training is an ordinary `train --only-fold`, which joins the run, goes on from its
//! checkpoint if it was stopped before, and ends with the exit code 75 if it wants to be started again. A task of a labelling
//! is an ordinary `predict --part`.

mod jobs;
mod kubernetes;
mod labelling;
mod options;
mod slurm;
mod trainings;

use anyhow::Result;
use clap::CommandFactory;

use self::jobs::Jobs;
use self::labelling::Labelling;
use self::options::Options;
use self::trainings::Trainings;
use super::stdout::print;
use crate::cli::{Cli, ClusterArgs, Scheduler};

/// Prints the script that submits the jobs.
///
/// # Errors
/// If the flags are not those of a training or a labelling, or an option is unknown.
pub fn run(args: &ClusterArgs) -> Result<()> {
    // Among the flags of `train`, where clap does not look for it.
    if args.job.iter().any(|flag| flag == "--help" || flag == "-h") {
        let mut program = Cli::command();
        let command = program.find_subcommand_mut("cluster").expect("this command");
        return print(&command.render_long_help().to_string());
    }
    let options = Options::read(args.scheduler, &args.set)?;
    let jobs = jobs(options, &args.job)?;
    print(&match args.scheduler {
        Scheduler::Slurm => slurm::script(&jobs),
        Scheduler::Kubernetes => kubernetes::script(&jobs),
    })
}

/// The jobs that the flags of `train` ask for, or the word `predict` and its flags.
fn jobs(options: Options, words: &[String]) -> Result<Jobs> {
    match words.split_first() {
        Some((word, flags)) if word == "predict" => Ok(Labelling::new(options, flags)?.jobs()),
        Some((word, flags)) if word == "train" => Ok(Trainings::new(options, flags)?.jobs()),
        _ => Ok(Trainings::new(options, words)?.jobs()),
    }
}
