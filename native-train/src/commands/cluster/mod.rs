//! `cluster`: prints the jobs that train the folds of a run on a cluster, and a job that gathers them.
//!
//! The scheduler does the scheduling. Every task is an ordinary `train --only-fold`, which joins the run, goes on from its
//! checkpoint if it was stopped before, and ends with the exit code 75 if it wants to be started again.

mod jobs;
mod kubernetes;
mod options;
mod slurm;

use anyhow::Result;
use clap::CommandFactory;

use self::jobs::Jobs;
use self::options::Options;
use super::stdout::print;
use crate::cli::{Cli, ClusterArgs, Scheduler};

/// Prints the script that submits the jobs.
///
/// # Errors
/// If the flags are not those of a training, or an option is unknown.
pub fn run(args: &ClusterArgs) -> Result<()> {
    // Among the flags of `train`, where clap does not look for it.
    if args.train.iter().any(|flag| flag == "--help" || flag == "-h") {
        let mut program = Cli::command();
        let command = program.find_subcommand_mut("cluster").expect("this command");
        return print(&command.render_long_help().to_string());
    }
    let options = Options::read(args.scheduler, &args.set)?;
    let jobs = Jobs::new(options, &args.train)?;
    print(&match args.scheduler {
        Scheduler::Slurm => slurm::script(&jobs),
        Scheduler::Kubernetes => kubernetes::script(&jobs),
    })
}
