//! `train`: settings, data and model are read and checked, the folds trained, the results written.
//!
//! ```text
//! flags, TOML -> settings -> inputs (texts, labels, folds) -> material (model, token ids)
//!     -> forecast (--dry-run)
//!     -> cross_validation -> results (scores, thresholds, submission)
//! ```

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

use self::{inputs::Inputs, material::Material};
use super::print;
use crate::{
    cli::TrainArgs,
    config::set_threads,
    cross_validation::{self, Plan},
    evaluation::table::table,
    progress::Progress,
};

/// Trains what `--output` lacks and prints the closing table, or with `--dry-run` the plan.
///
/// # Errors
/// If settings, data or model do not do, or a training or its files fail.
pub fn run(args: &TrainArgs, progress: &mut Progress) -> Result<()> {
    let started = Instant::now();
    let mut config = settings::resolve(args, progress)?;
    set_threads(Some(config.threads))?;
    let inputs = Inputs::read(&config, progress)?;
    config.labels = Some(inputs.dataset.labels.clone());
    if args.dry_run {
        let material = Material::prepare(&config, &inputs, progress)?;
        return print(&forecast::text(&config, &inputs, &material));
    }

    let run = settings::open_run(args, &config, progress)?;
    let material = Material::prepare(&config, &inputs, progress)?;
    settings::begin(&run, &config, &inputs, &material)?;
    if let Some(summary) = results::finished(&run, &config)? {
        progress.note("this run is finished: nothing is left to train");
        return print(&table(&summary));
    }
    say_how_to_go_on_when_interrupted(run.folder())?;
    let setup = started.elapsed();

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
        parallel_folds: forecast::parallel_folds(&config, &inputs, &material)?,
        test: material.test.as_deref(),
    };
    let outcome = cross_validation::run(&plan, &run, progress)?;
    progress.clear();
    let summary = results::write(&run, &config, &inputs, &material, &outcome, (started, setup))?;
    print(&table(&summary))
}

/// All files are written aside and renamed, so that ending at any moment is safe.
#[expect(clippy::exit, reason = "the main thread is deep in a training and cannot be asked")]
fn say_how_to_go_on_when_interrupted(folder: &Path) -> Result<()> {
    let folder = folder.display().to_string();
    ctrlc::set_handler(move || {
        let _ = writeln!(
            std::io::stderr(),
            "\ninterrupted; `native-train train --resume --output {folder}` goes on"
        );
        // What the shell expects of a process that SIGINT ended.
        process::exit(130);
    })
    .context("listening for Ctrl-C")
}
