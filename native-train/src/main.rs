//! The program: parses the command line, runs the command and reports errors. The exit code is 2 for a
//! user's mistake, 75 for a training that was asked to stop and can be continued, and 1 for a failure.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use native_train::{
    cli::{Cli, Command},
    commands, device,
    error::UserError,
    memory,
    progress::Progress,
    training::stop::{self, Stopped},
};
use shared::kernels::isa;

fn main() -> ExitCode {
    memory::keep_freed_pages();
    let cli = Cli::parse();
    let mut progress = if cli.quiet { Progress::quiet() } else { Progress::on_stderr() };
    let outcome = check_variables().and_then(|()| match cli.command {
        Command::Train(args) => commands::train::run(&args, &mut progress),
        Command::Cluster(args) => commands::cluster::run(&args),
        Command::Gather(args) => commands::gather::run(&args, &mut progress),
        Command::Distil(args) => commands::distil::run(&args, &mut progress),
        Command::Predict(args) => commands::predict::run(&args, &mut progress),
        Command::Evaluate(args) => commands::evaluate::run(&args, &mut progress),
        Command::Audit(args) => commands::audit::run(&args, &mut progress),
        Command::Compare(args) => commands::compare::run(&args, &mut progress),
        Command::Report(args) => commands::report::run(&args, &mut progress),
        Command::Export(args) => commands::export::run(&args, &mut progress),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Shrink(args) => commands::shrink::run(&args, &mut progress),
        Command::Doctor(args) => commands::doctor::run(&args, &mut progress),
        Command::Pack(args) => native_train::pretrained::pack(&args.model, &args.output),
    });
    progress.clear();
    match outcome.map_err(device::explain) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let was_stopped = error.chain().any(<dyn std::error::Error>::is::<Stopped>);
            let mistake = error.chain().find_map(|cause| cause.downcast_ref::<UserError>());
            // A closed stderr is no reason to panic.
            let _ = io::stderr().write_all(report(&error, mistake).as_bytes());
            ExitCode::from(match mistake {
                _ if was_stopped => stop::EXIT_CODE,
                Some(_) => 2,
                None => 1,
            })
        }
    }
}

fn report(error: &anyhow::Error, mistake: Option<&UserError>) -> String {
    let mut report = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        report.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(hint) = mistake.and_then(UserError::remedy) {
        report.push_str(&format!("hint: {hint}\n"));
    }
    report
}

/// Checks the environment variables that kernels read, before one does.
fn check_variables() -> anyhow::Result<()> {
    isa::check_variable().map_err(|reason| UserError::new(reason).into())
}
