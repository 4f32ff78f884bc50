//! Which settings a training runs with, and whether the run folder agrees with them.

use anyhow::Result;

use super::{fingerprint, inputs::Inputs, material::Material};
use crate::{
    cli::TrainArgs,
    config::{DeviceChoice, Difference, Settings, TrainConfig},
    error::UserError,
    progress::Progress,
    run::{
        Run,
        files::{damaged, write_text},
        tables::FoldTable,
    },
};

/// Flags, then the config file, then what the run to be resumed was begun with, then defaults.
///
/// # Errors
/// If the config file cannot be read, or a setting is missing or out of range.
pub fn resolve(args: &TrainArgs, progress: &Progress) -> Result<TrainConfig> {
    let mut given = args.settings.clone();
    if let Some(path) = &args.config {
        given = given.or(Settings::read(path)?);
    }
    if args.resume
        && let Some(saved) = saved(&given)?
    {
        given = given.or(saved);
    }
    let device = given.device.unwrap_or(DeviceChoice::Auto);
    let config = TrainConfig::resolve(given)?;
    if let Some(reason) = device.why_cpu() {
        progress.note(format_args!("no CUDA device: {reason}; training on the CPU"));
    }
    Ok(config)
}

/// The settings of the run to be resumed, if it has got so far.
///
/// Not which folds: `--resume` without `--only-fold` trains all that are left.
fn saved(given: &Settings) -> Result<Option<Settings>> {
    let Some(run) = given.output.as_ref().and_then(|output| Run::open(output).ok()) else {
        return Ok(None);
    };
    let path = run.config_toml();
    let saved = Settings::read(&path).map_err(|error| damaged(&path, error))?;
    Ok(Some(Settings { only_fold: None, output: None, ..saved }))
}

/// The run folder, locked: a new one, or with `--resume` one begun with these settings.
///
/// # Errors
/// If the folder is not new, or was begun with other settings, or another training writes there.
pub fn open_run(args: &TrainArgs, config: &TrainConfig, progress: &Progress) -> Result<Run> {
    let folder = &config.output;
    if !args.resume {
        return Run::create(folder);
    }
    let run = Run::resume(folder)?;
    if run.has_begun() {
        let differences = config.differences(&TrainConfig::load(&run.config_toml())?);
        if !differences.is_empty() {
            return Err(changed(&run, &differences).into());
        }
    } else {
        let folder = folder.display();
        progress.note(format_args!("nothing to resume in `{folder}`: training from the beginning"));
    }
    Ok(run)
}

/// Saves settings, inputs' digests and folds, or makes sure that the saved ones are these.
///
/// # Errors
/// If they differ, or a file fails.
pub fn begin(run: &Run, config: &TrainConfig, inputs: &Inputs, material: &Material) -> Result<()> {
    if !run.has_begun() {
        write_text(&run.config_toml(), &config.to_toml())?;
    }
    fingerprint::keep(run, config, inputs, material)?;
    let (ids, fold_of) = (inputs.dataset.ids.clone(), inputs.folds.fold_of().to_vec());
    let table = FoldTable { ids, fold_of };
    if !run.folds_csv().exists() {
        return table.write(&run.folds_csv());
    }
    if FoldTable::read(&run.folds_csv())? == table {
        return Ok(());
    }
    Err(damaged(&run.folds_csv(), "it does not deal the rows as these settings do"))
}

fn changed(run: &Run, differences: &[Difference]) -> UserError {
    let lines: Vec<String> = differences.iter().map(|change| format!("\n  {change}")).collect();
    let run = run.folder().display();
    UserError::new(format!("`{run}` was begun with other settings:{}", lines.concat()))
        .hint("leave these out to go on as it was begun, or train into another `--output`")
}
