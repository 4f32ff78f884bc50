//! `train`: reads and checks settings, data and model, trains the folds and writes the results.
//!
//! ```text
//! flags, TOML -> settings -> inputs (texts, labels, folds) -> material (model, token ids) = context
//!     -> forecast (--dry-run)
//!     -> cross_validation -> results (scores, thresholds, submission)
//! ```

mod context;
mod fingerprint;
mod forecast;
mod inputs;
mod material;
mod results;
mod settings;

use std::{
    io::Write,
    path::Path,
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use self::{context::TrainContext, inputs::Inputs, material::Material};
use super::stdout::print;
use crate::{
    cli::TrainArgs,
    config::set_threads,
    cross_validation::{self, Plan},
    evaluation::{report::Summary, table::table},
    progress::Progress,
};

/// Trains the folds that `--output` lacks and prints the closing table, or with `--dry-run` the plan.
///
/// # Errors
/// If settings, data or model cannot be used, or a training or its files fail.
pub fn run(args: &TrainArgs, progress: &mut Progress) -> Result<()> {
    let started = Instant::now();
    let mut config = settings::resolve(args, progress)?;
    set_threads(Some(config.threads))?;
    let inputs = Inputs::read(&config, progress)?;
    config.labels = Some(inputs.dataset.labels.clone());
    if args.dry_run {
        let material = Material::prepare(&config, &inputs, progress)?;
        // A training would read the tensors next, and may refuse what it finds in them.
        material.pretrained.check(inputs.dataset.labels.len())?;
        return print(&forecast::text(&TrainContext { config, inputs, material }));
    }

    let run = settings::open_run(args, &config, progress)?;
    let material = Material::prepare(&config, &inputs, progress)?;
    let context = TrainContext { config, inputs, material };
    settings::begin(&run, &context)?;
    if let Some(summary) = results::finished(&run, &context.config)? {
        progress.note("this run is finished: nothing is left to train");
        return report(&summary, progress);
    }
    explain_interrupts(run.folder())?;
    let setup = started.elapsed();

    let TrainContext { config, inputs, material } = &context;
    let hyperparameters = config.hyperparameters();
    let plan = Plan {
        pretrained: &material.pretrained,
        tokenizer: &material.tokenizer,
        labels: &inputs.dataset.labels,
        examples: &material.examples,
        folds: &inputs.folds,
        only_fold: config.only_fold,
        hyperparameters: &hyperparameters,
        device: config.device,
        precision: config.precision,
        checkpoint_interval: Duration::from_secs(config.checkpoint_seconds),
        parallel_folds: forecast::parallel_folds(&context)?,
        test: material.test.as_deref(),
    };
    let outcome = cross_validation::run(&plan, &run, progress)?;
    progress.clear();
    let summary = results::write(&run, &context, &outcome, (started, setup))?;
    report(&summary, progress)
}

/// Prints the closing table, and warns of the figures in it that mean little.
fn report(summary: &Summary, progress: &Progress) -> Result<()> {
    summary.doubts().iter().for_each(|doubt| progress.warn(doubt));
    print(&table(summary))
}

/// Lets Ctrl-C end the program with a line on how to continue. All files are written aside and renamed,
/// so that this is safe at any moment.
#[expect(clippy::exit, reason = "the main thread is deep in a training and cannot be asked")]
fn explain_interrupts(folder: &Path) -> Result<()> {
    let folder = folder.display().to_string();
    ctrlc::set_handler(move || {
        let _ = writeln!(
            std::io::stderr(),
            "\ninterrupted; `native-train train --resume --output {folder}` continues"
        );
        // The exit code that a shell expects after SIGINT.
        process::exit(130);
    })
    .context("cannot handle Ctrl-C")
}
