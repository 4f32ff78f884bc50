//! The stories: what visitors do, each a test in `tests/browser` that drives a Chromium.
//!
//! Each runs in a process of its own with a driver of its own, so that one which ends in a crash takes no other along. They
//! run one after the other, as each has workers that want the cores for themselves.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::chromium::{Driver, Programs};
use crate::cuda::EMULATOR;
use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::{Workspace, remove_folder};

/// The variable in which a story finds chromedriver's address.
pub const DRIVER_VARIABLE: &str = "QUINTET_CHROMEDRIVER_URL";

/// The name of the test program, which is that of its folder.
const PROGRAM: &str = "browser";

/// How often a story passed, and how long it took each time.
struct Tally {
    story: String,
    passed: usize,
    seconds: Vec<f64>,
}

/// Runs the stories whose names contain `name` so many times, whichever fail.
///
/// # Errors
/// If one fails, or what they need is not built.
pub fn run(workspace: &Workspace, name: &str, times: usize) -> Result<()> {
    let shell = Shell::new(workspace);
    let site = Site::of(workspace);
    remove_folder(&site.screenshots)?;
    let theatre = Theatre {
        chromedriver: Programs::find(&shell)?.chromedriver,
        program: build(&shell)?,
        workspace,
        shell,
    };
    let mut tallies = theatre.stories(name)?;
    ensure!(!tallies.is_empty(), "no story has `{name}` in its name");
    for round in 1..=times {
        let of = if times > 1 { format!(", {round} of {times}") } else { String::new() };
        for tally in &mut tallies {
            eprintln!("\nstory {}{of}", tally.story);
            tally.play(&theatre);
        }
    }
    if times > 1 {
        print_table(&tallies, times);
    }
    eprintln!("stories: screenshots are in {}", site.screenshots.display());
    let failed = tallies.iter().filter(|tally| tally.passed < times);
    let failed: Vec<&str> = failed.map(|tally| &tally.story[..]).collect();
    ensure!(failed.is_empty(), "these stories failed, see above: {}", failed.join(", "));
    Ok(())
}

/// What stories run with.
struct Theatre<'a> {
    workspace: &'a Workspace,
    shell: Shell<'a>,
    program: PathBuf,
    chromedriver: PathBuf,
}

impl Theatre<'_> {
    fn command(&self) -> Command {
        let mut command = self.shell.command(&self.program);
        // As `cargo test` would set it.
        command.env("CARGO_MANIFEST_DIR", self.workspace.root.join("xtask"));
        command
    }

    /// The stories whose names contain `name`, in the order of the alphabet.
    fn stories(&self, name: &str) -> Result<Vec<Tally>> {
        let mut command = self.command();
        command.args(["--ignored", "--list", "--format", "terse", name]);
        let listed = shell::answer(&mut command).context("the stories cannot be listed")?;
        let stories = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        let tally = |story: &str| Tally { story: story.into(), passed: 0, seconds: Vec::new() };
        Ok(stories.map(tally).collect())
    }

    fn play(&self, story: &str) -> Result<()> {
        let driver = Driver::start(&self.shell, &self.chromedriver)?;
        let mut command = self.command();
        // Some stories print figures.
        command.args(["--ignored", "--exact", "--nocapture", story]);
        command.env(DRIVER_VARIABLE, driver.url()).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().context("the story cannot be started")?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Tally {
    fn play(&mut self, theatre: &Theatre) {
        let start = Instant::now();
        let outcome = theatre.play(&self.story);
        let seconds = start.elapsed().as_secs_f64();
        self.seconds.push(seconds);
        match outcome {
            Ok(()) => {
                self.passed += 1;
                eprintln!("passed, {seconds:.1} s");
            }
            Err(error) => eprintln!("FAILED, {seconds:.1} s: {error:#}"),
        }
    }
}

/// Builds the test program.
fn build(shell: &Shell) -> Result<PathBuf> {
    let mut command = shell.cargo("test");
    // The whole workspace, as in the step `tests`: another choice of packages would be another build.
    command.args(["--workspace", "--features", EMULATOR, "--test", PROGRAM, "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    ensure!(output.status.success(), "the stories are not built: see the compiler's message above");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|message: &Value| message["target"]["name"] == PROGRAM)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo does not say where it has built the stories")
}

fn print_table(tallies: &[Tally], times: usize) {
    let width = tallies.iter().map(|tally| tally.story.len()).max().unwrap_or(0);
    println!("\n{:<width$}  {:>10}  {:>7}  {:>7}", "story", "passed", "median", "longest");
    for Tally { story, passed, seconds } in tallies {
        let mark = if *passed < times { "  FAILED" } else { "" };
        let passed = format!("{passed} of {times}");
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let longest = sorted.last().copied().unwrap_or(0.0);
        println!("{story:<width$}  {passed:>10}  {median:>6.1}s  {longest:>6.1}s{mark}");
    }
    let whole = tallies.iter().filter(|tally| tally.passed == times).count();
    println!("{whole} of {} stories passed {times} of {times} times", tallies.len());
}
