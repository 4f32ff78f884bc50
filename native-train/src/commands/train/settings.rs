//! The settings of a training, and the check that the run folder agrees with them.

use anyhow::Result;

use super::{
    context::TrainContext,
    fingerprint::{self, Test},
};
use crate::{
    cli::TrainArgs,
    config::{DeviceChoice, Difference, Places, Settings, TrainConfig, of_config_file},
    device,
    error::UserError,
    progress::Progress,
    run::{
        Run,
        files::{damaged, write_text},
        lease::Holder,
        tables::FoldTable,
    },
};

/// Takes each setting from the flags, else from the config file, else from the run to be resumed, else
/// from the defaults.
///
/// # Errors
/// If the config file cannot be read, a setting is missing or out of range, or the device is not there.
pub fn resolve(args: &TrainArgs, progress: &Progress) -> Result<TrainConfig> {
    let mut given = args.settings.clone();
    if let Some(path) = &args.config {
        given = given.or(of_config_file(path, Settings::read(path)?));
    }
    if args.resume
        && let Some(saved) = saved(&given)?
    {
        given = given.or(saved);
    }
    complete(given, progress)
}

/// Fills in the defaults, and notes why no GPU is used if none was asked for.
///
/// # Errors
/// If a setting is missing or out of range, or the device is not there.
pub fn complete(given: Settings, progress: &Progress) -> Result<TrainConfig> {
    let any_device = given.device.as_ref().is_none_or(|device| *device == DeviceChoice::Auto);
    let config = TrainConfig::resolve(given, device::cards)?;
    if any_device && let Err(reason) = device::cards() {
        progress.note(format_args!("no CUDA device: {reason}; training on the CPU"));
    }
    Ok(config)
}

/// The settings of the run to be resumed, if it has saved them.
///
/// Without `--only-fold`: a resumed training trains all folds that are left.
///
/// # Errors
/// If they cannot be read, or an input is gone.
pub fn saved(given: &Settings) -> Result<Option<Settings>> {
    let Some(run) = given.output.as_ref().and_then(|output| Run::open(output).ok()) else {
        return Ok(None);
    };
    let path = run.config_toml();
    let saved = Settings::read(&path).map_err(|error| damaged(&path, error))?;
    let saved = Places::saved(&run).locate(&run, saved, given)?;
    Ok(Some(Settings { only_fold: None, output: None, ..saved }))
}

/// Opens the run folder: a new one, or with `--resume` one that began with these settings. Where only one fold is wanted, a
/// run with these settings may be there in any case, and other processes may train its other folds.
///
/// # Errors
/// If the folder holds a run or other files, the run began with other settings, or another training is
/// writing there.
pub fn open_run(resume: bool, config: &TrainConfig, progress: &Progress) -> Result<Run> {
    let folder = &config.output;
    let run = match (config.only_fold, resume) {
        (Some(_), _) => Run::join(folder, |holder| tell_waiting(holder, progress))?,
        (None, false) => return Run::create(folder),
        (None, true) => Run::resume(folder)?,
    };
    if run.has_begun() {
        let differences = config.differences(&TrainConfig::load(&run.config_toml())?);
        if !differences.is_empty() {
            return Err(changed(&run, &differences).into());
        }
    } else if resume {
        let folder = folder.display();
        progress.note(format_args!("nothing to resume in `{folder}`: training from the beginning"));
    }
    Ok(run)
}

/// Says which process is writing files of the run.
pub fn tell_waiting(holder: &Holder, progress: &Progress) {
    progress.note(format_args!("waiting for {holder}, which is writing files of the run"));
}

/// Checks that a run was not begun by `distil`, which trains its models otherwise.
///
/// # Errors
/// If it was.
pub fn refuse_distilled(run: &Run) -> Result<(), UserError> {
    if !run.distil_toml().exists() {
        return Ok(());
    }
    let folder = run.folder().display();
    Err(UserError::new(format!("`{folder}` was begun by `distil`"))
        .hint(format!("`{}` continues it", run.resume_command())))
}

/// Saves settings, the inputs' digests and folds, or checks them against the saved ones.
///
/// # Errors
/// If they differ, or a file cannot be read or written.
pub fn begin(run: &Run, context: &TrainContext, test: Test) -> Result<()> {
    if !run.has_begun() {
        // The run is of all folds, whichever process begins it.
        let of_all_folds = TrainConfig { only_fold: None, ..context.config.clone() };
        write_text(&run.config_toml(), &of_all_folds.to_toml())?;
    }
    fingerprint::keep(run, context, test)?;
    let inputs = &context.inputs;
    let (ids, fold_of) = (inputs.dataset.ids.clone(), inputs.folds.fold_of().to_vec());
    let table = FoldTable { ids, fold_of };
    if !run.folds_csv().exists() {
        return table.write(&run.folds_csv());
    }
    if FoldTable::read(&run.folds_csv())? == table {
        return Ok(());
    }
    Err(damaged(&run.folds_csv(), "its folds are not those of these settings"))
}

fn changed(run: &Run, differences: &[Difference]) -> UserError {
    let lines: Vec<String> = differences.iter().map(|change| format!("\n  {change}")).collect();
    let run = run.folder().display();
    UserError::new(format!("`{run}` was begun with other settings:{}", lines.concat()))
        .hint("leave these settings out to continue the run, or train into another `--output`")
}
