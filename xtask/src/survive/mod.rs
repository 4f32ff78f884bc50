//! `cargo xtask survive`: commands are killed at random moments, starved of room and run in pairs. What stood before must be
//! whole afterwards, and trying again must come to the end that an undisturbed command comes to.
//!
//! `native-train/tests/survive` strikes a training at chosen moments; here they are random, and all commands have their turn.

use std::time::SystemTime;

use anyhow::{Result, bail, ensure};

use crate::workspace::{Workspace, remove_folder};

mod blow;
mod contents;
mod loader;
mod random;
mod rounds;
mod tally;
mod together;
mod victim;
mod visits;

pub use contents::Contents;
use loader::{LOADER, Loader};
use rounds::Series;
use tally::{Tally, table};
use victim::{NAMES, Stage};

/// Rounds of each command in the step of `cargo xtask test`.
const ROUNDS_OF_STEP: usize = 2;

#[derive(clap::Args)]
pub struct Arguments {
    /// Rounds of each command.
    #[arg(long, default_value = "100")]
    rounds: usize,

    /// The seed of moments and sizes [default: the clock's].
    #[arg(long)]
    seed: Option<u64>,

    /// Only this command: train, resume, distil, predict, export, auto (`export --encoding auto`) or loader (the JavaScript package's).
    #[arg(long)]
    only: Option<String>,
}

/// Some rounds of each command, as a step of `cargo xtask test`.
///
/// # Errors
/// If one is not survived.
pub fn check(workspace: &Workspace) -> Result<()> {
    run(workspace, &Arguments { rounds: ROUNDS_OF_STEP, seed: None, only: None })
}

/// # Errors
/// If a round is not survived, or what the commands need is not built.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let wanted = wanted(arguments.only.as_deref())?;
    let seed = arguments.seed.unwrap_or_else(of_the_clock);
    eprintln!("survive: seed {seed}");
    let may_mount = blow::may_mount();
    if !may_mount {
        eprintln!(
            "skipped: small disks, as this system lets us mount none; files of limited size instead"
        );
    }
    let stage = Stage::set(workspace)?;
    let series = Series { rounds: arguments.rounds, seed, may_mount };
    let outcome = wanted.iter().map(|name| play(workspace, &stage, &series, name));
    let outcomes: Result<Vec<(Tally, bool)>> = outcome.collect();
    remove_folder(&stage.folder)?;
    let (tallies, pairs): (Vec<Tally>, Vec<bool>) = outcomes?.into_iter().unzip();
    println!("{}", table(&tallies));
    let all = tallies.iter().all(|tally| tally.survived == tally.rounds);
    ensure!(
        all && pairs.iter().all(|survived| *survived),
        "not everything was survived: see above; `--seed {seed}` strikes at the same moments again"
    );
    Ok(())
}

/// The rounds of one command, and whether two at once were survived.
fn play(
    workspace: &Workspace,
    stage: &Stage,
    series: &Series,
    name: &'static str,
) -> Result<(Tally, bool)> {
    if name == LOADER {
        return Loader::set(workspace, &stage.folder)?.play(series);
    }
    let victim = stage.victim(name)?;
    let pair = match name {
        // The same files as those of `train` and `export`.
        "resume" | "auto" => Ok(()),
        _ => together::refused(stage, &victim),
    };
    if let Err(error) = &pair {
        eprintln!("{name}, two at once: FAILED: {error:#}");
    }
    Ok((series.strike(stage, &victim)?, pair.is_ok()))
}

fn wanted(only: Option<&str>) -> Result<Vec<&'static str>> {
    let all = NAMES.into_iter().chain([LOADER]);
    let Some(only) = only else { return Ok(all.collect()) };
    match all.clone().find(|name| *name == only) {
        Some(name) => Ok(vec![name]),
        None => bail!("`{only}` is none of {}", all.collect::<Vec<_>>().join(", ")),
    }
}

fn of_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // Short enough to be typed.
    since.map_or(0, |time| time.as_millis() as u64 % 1_000_000)
}
