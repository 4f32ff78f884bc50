//! `gather`: the results of a run whose folds were trained by several processes.

use std::time::Instant;

use anyhow::Result;
use shared::words::joined;

use super::train::{
    self, context::TrainContext, fingerprint::Test, inputs::Inputs, material::Material, results,
    settings,
};
use crate::{
    cli::GatherArgs,
    config::Settings,
    cross_validation,
    error::UserError,
    progress::Progress,
    run::{Run, lease::host},
    threads,
    training::PhaseTimes,
    trust,
};

/// Scores the folds that are trained, writes the results that one training would have left, and prints the closing table.
///
/// # Errors
/// If RUN is no run, no fold is trained, an input has changed, or another process is writing there.
pub fn run(args: &GatherArgs, progress: &mut Progress) -> Result<()> {
    let started = Instant::now();
    progress.name_lines(host());
    Run::open(&args.run)?;
    let run = Run::join(&args.run, |holder| settings::tell_waiting(holder, progress))?;
    settings::refuse_distilled(&run)?;
    let given = Settings {
        output: Some(args.run.clone()),
        test_csv: args.test_csv.clone(),
        threads: args.threads,
        device: args.device.clone(),
        ..Settings::default()
    };
    let saved = settings::saved(&given)?.expect("the run has begun");
    let config = settings::complete(given.or(saved), progress)?;
    threads::set(Some(config.threads))?;
    let inputs = Inputs::read(&config, progress)?;
    let material = Material::prepare(&config, &inputs, progress)?;
    let context = TrainContext { config, inputs, material };
    settings::begin(&run, &context, Test::MayBeNew)?;
    let (trained, missing) = run.split_trained(0..context.config.folds);
    if trained.is_empty() {
        let message = format!("no fold of `{}` is trained yet", run.folder().display());
        return Err(UserError::new(message)
            .hint(format!("`{}` trains them", run.resume_command()))
            .into());
    }
    if !missing.is_empty() {
        progress.warn(format_args!(
            "these of the {} folds are not trained: {}",
            context.config.folds,
            joined(missing)
        ));
    }
    trust::establish_all(&context.config.device, progress)?;
    let hyperparameters = context.config.hyperparameters();
    let lessons = train::labels_alone(&context.inputs);
    let plan = train::plan(&context, &run, &hyperparameters, &lessons)?;
    let setup = started.elapsed();
    let outcome = cross_validation::gather(&plan, &run, PhaseTimes::default(), progress)?;
    progress.clear();
    let summary = results::write(&run, &context, &outcome, None, (started, setup))?;
    train::report(&summary, progress)
}
