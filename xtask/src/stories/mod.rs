//! The stories: what visitors do, each a test in `tests/browser` that drives a browser.
//!
//! Each is played in every engine, in a process of its own, so that one which ends in a crash takes no other along. As many
//! are played at once as there are cores, at most one for each engine. An engine that is not here and cannot be installed, or
//! does not start, is left out, and the table of what was played says so; Chromium must be there.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cuda::EMULATOR;
use crate::engines::{Engine, Group};
use crate::setup;
use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::{Workspace, remove_folder};
use table::{Column, Played, Table, Verdict};

mod table;

/// The variable in which a story finds the name of its engine.
pub const ENGINE_VARIABLE: &str = "QUINTET_ENGINE";

/// The variable that is set where no other engine is played, so that there is time for all stories.
pub const ALONE_VARIABLE: &str = "QUINTET_ENGINE_ALONE";

/// What a story prints before the reason why it is not played in its engine.
pub const SKIPPED: &str = "skipped: ";

/// What the first story prints before the version of its engine.
pub const VERSION: &str = "version: ";

/// What the first story prints before the reason why its engine cannot be driven here.
pub const ABSENT: &str = "absent: ";

/// The story that tells whether an engine is there, played before all others.
const FIRST: &str = "browser::the_browser_starts_and_says_its_version";

/// The name of the test program, which is that of its folder.
const PROGRAM: &str = "browser";

/// The stories that are played, and how.
pub struct Choice<'a> {
    /// Only those whose names contain this.
    pub story: &'a str,
    /// Only in this engine.
    pub engine: Option<Engine>,
    pub times: usize,
}

/// Plays stories, whichever fail. Returns a sentence for each engine that is not here.
///
/// # Errors
/// If one fails, or what they need is not built.
pub fn run(workspace: &Workspace, choice: &Choice) -> Result<Vec<String>> {
    let shell = Shell::new(workspace);
    let site = Site::of(workspace);
    remove_folder(&site.screenshots)?;
    // Stories that were killed have left theirs.
    remove_folder(&site.visitors)?;
    let is_alone = choice.engine.is_some();
    let theatre = Theatre { program: build(&shell)?, workspace, shell, is_alone };
    let mut stories = theatre.stories(choice.story)?;
    stories.retain(|story| story != FIRST);
    ensure!(!stories.is_empty(), "no story has `{}` in its name", choice.story);
    let engines = Engine::ALL.into_iter();
    let engines = engines.filter(|engine| choice.engine.is_none_or(|chosen| chosen == *engine));
    let columns: Vec<Column> = engines.map(|engine| theatre.open(engine, stories.len())).collect();
    for column in &columns {
        let is_wanted = choice.engine.is_some() || column.engine == Engine::Chromium;
        if let (true, Err(reason)) = (is_wanted, &column.version) {
            bail!("the stories need {}: {reason}", column.engine);
        }
    }
    let table = theatre.play_all(Table { stories, columns }, choice.times);
    table.print();
    eprintln!("stories: screenshots are in {}", site.screenshots.display());
    let failed = table.failed();
    ensure!(failed.is_empty(), "these stories failed, see above: {}", failed.join(", "));
    Ok(table.absent())
}

/// What stories run with.
struct Theatre<'a> {
    workspace: &'a Workspace,
    shell: Shell<'a>,
    program: PathBuf,
    /// Whether one engine was chosen.
    is_alone: bool,
}

impl Theatre<'_> {
    fn command(&self) -> Command {
        let mut command = self.shell.command(&self.program);
        // As `cargo test` would set it.
        command.env("CARGO_MANIFEST_DIR", self.workspace.root.join("xtask"));
        command
    }

    /// The stories whose names contain `name`, in the order of the alphabet.
    fn stories(&self, name: &str) -> Result<Vec<String>> {
        let mut command = self.command();
        command.args(["--ignored", "--list", "--format", "terse", name]);
        let listed = shell::answer(&mut command).context("the stories cannot be listed")?;
        Ok(listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect())
    }

    /// Installs an engine if it is missing, and starts it once, to see that it can be driven.
    fn open(&self, engine: Engine, stories: usize) -> Column {
        let installed = match engine {
            Engine::Chromium => Ok(()),
            Engine::Firefox => setup::firefox(self.workspace, &self.shell),
            Engine::WebKit => setup::webkit(&self.shell),
        };
        let version = match installed.and_then(|()| self.play(FIRST, engine)) {
            Ok((Played { verdict: Verdict::Passed, .. }, told)) => {
                Ok(after(VERSION, &told).unwrap_or_default())
            }
            Ok((Played { words, .. }, told)) => Err(after(ABSENT, &told).unwrap_or(words)),
            Err(error) => Err(format!("{error:#}")),
        };
        match &version {
            Ok(version) => eprintln!("stories: {engine} {version}"),
            Err(reason) => eprintln!("stories: no {engine}: {reason}"),
        }
        Column::new(engine, version, stories)
    }

    /// Plays every story so many times in each engine that is there.
    fn play_all(&self, table: Table, times: usize) -> Table {
        let here = |column: &usize| table.columns[*column].version.is_ok();
        let columns: Vec<usize> = (0..table.columns.len()).filter(here).collect();
        let rounds = 0..times;
        let stories = || 0..table.stories.len();
        let jobs: Vec<(usize, usize)> = rounds
            .flat_map(|_| stories())
            .flat_map(|story| columns.iter().map(move |column| (story, *column)))
            .collect();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let lanes = cores.min(columns.len());
        let jobs = Mutex::new(jobs.into_iter());
        let table = Mutex::new(table);
        let next = || jobs.lock().expect("no thread panics holding it").next();
        thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| {
                    while let Some((story, column)) = next() {
                        let (name, engine) = {
                            let table = table.lock().expect("no thread panics holding it");
                            (table.stories[story].clone(), table.columns[column].engine)
                        };
                        let played = self.play(&name, engine).map(|(played, _)| played);
                        let played = played.unwrap_or_else(|error| Played {
                            verdict: Verdict::Failed,
                            seconds: 0.0,
                            words: format!("{error:#}"),
                        });
                        let mut table = table.lock().expect("no thread panics holding it");
                        tell(&name, engine, &played);
                        table.columns[column].cells[story].take(played);
                    }
                });
            }
        });
        table.into_inner().expect("no thread panics holding it")
    }

    /// Plays a story; also returns what it printed on stdout.
    fn play(&self, story: &str, engine: Engine) -> Result<(Played, String)> {
        let start = Instant::now();
        let mut command = self.command();
        // Some stories print figures.
        command.args(["--ignored", "--exact", "--nocapture", story]);
        command.env(ENGINE_VARIABLE, engine.name()).stdin(Stdio::null());
        if self.is_alone {
            command.env(ALONE_VARIABLE, "1");
        }
        let group = Group::new()?;
        let output = group.enter(&mut command).output().context("the story cannot be started")?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = match after(SKIPPED, &told) {
            Some(reason) if output.status.success() => Verdict::Skipped(reason),
            _ if output.status.success() => Verdict::Passed,
            _ => Verdict::Failed,
        };
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok((Played { verdict, seconds: start.elapsed().as_secs_f64(), words }, told))
    }
}

/// What follows `words` on a line that has them. The test program may have begun the line.
fn after(words: &str, told: &str) -> Option<String> {
    let found = told.lines().find_map(|line| line.split_once(words))?;
    Some(found.1.to_owned())
}

fn tell(name: &str, engine: Engine, Played { verdict, seconds, words }: &Played) {
    let verdict = match verdict {
        Verdict::Passed => format!("passed, {seconds:.1} s"),
        Verdict::Failed => format!("FAILED, {seconds:.1} s"),
        Verdict::Skipped(reason) => format!("skipped, {reason}"),
    };
    let words = if words.is_empty() { String::new() } else { format!("\n{words}") };
    eprintln!("story {name}, {engine}: {verdict}{words}");
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
