//! `train`: reads and checks settings, data and model, trains the folds and writes the results.
//!
//! ```text
//! flags, TOML -> settings -> inputs (texts, labels, folds) -> material (model, token ids) = context
//!     -> forecast (--dry-run)
//!     -> cross_validation -> results (scores, thresholds, submission)
//! ```

pub mod context;
pub mod fingerprint;
pub mod forecast;
pub mod inputs;
pub mod material;
pub mod results;
pub mod settings;

use std::{
    io::Write,
    process, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use self::{context::TrainContext, fingerprint::Test, inputs::Inputs, material::Material};
use super::stdout::print;
use crate::{
    cli::TrainArgs,
    cross_validation::{self, Lesson, Plan},
    evaluation::{report::Summary, table::table},
    progress::Progress,
    run::{
        Run,
        lease::{LISTEN_AGAIN, Lease, host},
    },
    threads,
    training::Hyperparameters,
    trust,
};

/// Trains the folds that `--output` lacks and prints the closing table, or with `--dry-run` the plan.
///
/// # Errors
/// If settings, data or model cannot be used, or a training or its files fail.
pub fn run(args: &TrainArgs, progress: &mut Progress) -> Result<()> {
    let started = Instant::now();
    if !args.dry_run {
        progress.name_lines(host());
    }
    let mut config = settings::resolve(args, progress)?;
    threads::set(Some(config.threads))?;
    let inputs = Inputs::read(&config, progress)?;
    config.labels = Some(inputs.dataset.labels.clone());
    if args.dry_run {
        let material = Material::prepare(&config, &inputs, progress)?;
        // A training would read the tensors next, and may refuse what it finds in them.
        material.pretrained.check(inputs.dataset.labels.len())?;
        return print(&forecast::text(&TrainContext { config, inputs, material }));
    }

    let mut run = settings::open_run(args.resume, &config, progress)?;
    settings::refuse_distilled(&run)?;
    let material = Material::prepare(&config, &inputs, progress)?;
    let context = TrainContext { config, inputs, material };
    settings::begin(&run, &context, Test::AsBegun)?;
    if let Some(summary) = results::finished(&run, &context.config)? {
        progress.note("this run is finished: nothing is left to train");
        return report(&summary, progress);
    }
    explain_interrupts(format!("`{}`", run.resume_command()))?;
    trust::establish_all(&context.config.device, progress)?;
    let setup = started.elapsed();
    let hyperparameters = context.config.hyperparameters();
    let lessons = labels_alone(&context.inputs);
    let mut plan = plan(&context, &run, &hyperparameters, &lessons)?;
    if let Some(fold) = plan.only_fold {
        // From now on other processes may train the others. The plan must let go of the run, too.
        plan.lease = None;
        plan.lease = Some(lease_fold(&mut run, fold, progress)?.into());
        run.share();
    }
    let times = cross_validation::train(&plan, &run, progress)?;
    run.write(|holder| settings::tell_waiting(holder, progress))?;
    let outcome = cross_validation::gather(&plan, &run, times, progress)?;
    progress.clear();
    let summary = results::write(&run, &context, &outcome, None, (started, setup))?;
    report(&summary, progress)
}

/// Leases a fold of a run that is held, and shares the run while a process is listened for that holds the fold and may be dead.
fn lease_fold(run: &mut Run, fold: usize, progress: &Progress) -> Result<Lease> {
    let mut is_told = false;
    run.fold(fold).lease(|holder| {
        if !std::mem::replace(&mut is_told, true) {
            progress.note(format_args!(
                "fold {fold} is claimed by {holder}: listening for a sign of life, for two minutes at most"
            ));
        }
        run.share();
        thread::sleep(LISTEN_AGAIN);
        run.write(|holder| settings::tell_waiting(holder, progress))
    })
}

/// The cross-validation of a training in which each fold's model learns its lesson.
///
/// # Errors
/// If the GPU does not report its memory.
pub fn plan<'a>(
    context: &'a TrainContext,
    run: &Run,
    hyperparameters: &'a Hyperparameters,
    lessons: &'a [Lesson],
) -> Result<Plan<'a>> {
    let TrainContext { config, inputs, material } = context;
    Ok(Plan {
        pretrained: &material.pretrained,
        tokenizer: &material.tokenizer,
        labels: &inputs.dataset.labels,
        examples: &material.examples,
        folds: &inputs.folds,
        lessons,
        only_fold: config.only_fold,
        hyperparameters,
        devices: &config.device,
        precision: config.precision,
        checkpoint_interval: Duration::from_secs(config.checkpoint_seconds),
        workers: forecast::workers(context)?,
        test: material.test.as_deref(),
        lease: run.lease(),
        events: config.events(),
    })
}

/// Each fold learns the labels of its rows.
pub fn labels_alone(inputs: &Inputs) -> Vec<Lesson> {
    let lesson = |fold| Lesson { rows: inputs.folds.train_rows(fold), teacher: None };
    (0..inputs.folds.count()).map(lesson).collect()
}

/// Prints the closing table, and warns of the figures in it that mean little.
///
/// # Errors
/// If stdout is closed.
pub fn report(summary: &Summary, progress: &Progress) -> Result<()> {
    summary.doubts().iter().for_each(|doubt| progress.warn(doubt));
    print(&table(summary))
}

/// Lets Ctrl-C end the program with a line on how to continue. All files are written aside and renamed,
/// so that this is safe at any moment.
///
/// # Errors
/// If the system does not allow it.
#[expect(clippy::exit, reason = "the main thread is deep in a training and cannot be asked")]
pub fn explain_interrupts(how: String) -> Result<()> {
    ctrlc::set_handler(move || {
        let _ = writeln!(std::io::stderr(), "\ninterrupted; {how} continues");
        // The exit code that a shell expects after SIGINT.
        process::exit(130);
    })
    .context("cannot handle Ctrl-C")
}
