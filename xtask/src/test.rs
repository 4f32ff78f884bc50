//! `cargo xtask test`: everything that CI runs, cheap steps first, and a table of what took how long.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::browser;
use crate::setup::{self, WASM_TARGET};
use crate::shell::{self, Shell};
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only the steps whose name contains this, `clippy` say.
    #[arg(long, default_value = "")]
    only: String,
}

/// One thing that can pass or fail.
struct Step {
    name: &'static str,
    /// The step whose failure leaves nothing to run here.
    needs: Option<&'static str>,
    run: fn(&Workspace) -> Result<Outcome>,
}

enum Outcome {
    Passed,
    Skipped(&'static str),
}

struct Row {
    name: &'static str,
    verdict: Verdict,
    seconds: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

const STEPS: [Step; 10] = [
    Step { name: "setup", needs: None, run: set_up },
    Step { name: "format", needs: None, run: format },
    Step { name: "dependencies", needs: Some("setup"), run: dependencies },
    Step { name: "advisories", needs: Some("setup"), run: advisories },
    Step { name: "clippy, native", needs: None, run: clippy_native },
    Step { name: "clippy, wasm32", needs: Some("setup"), run: clippy_wasm },
    Step { name: "tests", needs: None, run: tests },
    Step { name: "build, wasm32", needs: Some("setup"), run: build_wasm },
    Step { name: "page", needs: Some("build, wasm32"), run: page },
    Step { name: "page in Chromium", needs: Some("page"), run: page_in_chromium },
];

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for step in STEPS.iter().filter(|step| step.name.contains(&arguments.only)) {
        let row = take(step, workspace, &rows);
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "no step has `{}` in its name", arguments.only);
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (passed, failed) = (count(Verdict::Passed), count(Verdict::Failed));
    print_table(&rows);
    println!("{passed} passed, {failed} failed");
    ensure!(failed == 0, "not everything passed: each failed step says why above");
    Ok(())
}

fn take(step: &Step, workspace: &Workspace, before: &[Row]) -> Row {
    let name = step.name;
    eprintln!("\n== {name}");
    let fell =
        |needed| before.iter().any(|row| row.name == needed && row.verdict != Verdict::Passed);
    if let Some(needed) = step.needs.filter(|needed| fell(*needed)) {
        eprintln!("-- {name}: skipped, as `{needed}` did not pass");
        return Row { name, verdict: Verdict::Skipped, seconds: 0.0 };
    }
    let start = Instant::now();
    let verdict = match (step.run)(workspace) {
        Ok(Outcome::Passed) => Verdict::Passed,
        Ok(Outcome::Skipped(why)) => {
            eprintln!("-- {name}: skipped, {why}");
            Verdict::Skipped
        }
        Err(error) => {
            eprintln!("-- {name}: FAILED\n{error:#}");
            Verdict::Failed
        }
    };
    Row { name, verdict, seconds: start.elapsed().as_secs_f64() }
}

fn print_table(rows: &[Row]) {
    println!("\n{:<18} {:<8} {:>8}", "step", "", "seconds");
    for Row { name, verdict, seconds } in rows {
        let verdict = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        println!("{name:<18} {verdict:<8} {seconds:>8.1}");
    }
    println!("{:<27} {:>8.1}", "all", rows.iter().map(|row| row.seconds).sum::<f64>());
}

fn set_up(workspace: &Workspace) -> Result<Outcome> {
    setup::run(workspace)?;
    Ok(Outcome::Passed)
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).command("cargo");
    passed(command.args(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

/// Licences, sources and banned crates: all that needs no network.
fn dependencies(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).command("cargo");
    command.args([
        "deny",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    passed(&mut command, "mend deny.toml or the dependency named above")
}

fn advisories(workspace: &Workspace) -> Result<Outcome> {
    let shell = Shell::new(workspace);
    if shell::answer(shell.command("cargo").args(["deny", "fetch", "db"])).is_none() {
        return Ok(Outcome::Skipped("the advisory database (on github.com) cannot be fetched"));
    }
    let mut command = shell.command("cargo");
    command.args(["deny", "--locked", "check", "--disable-fetch", "advisories"]);
    passed(&mut command, "update or replace the dependency named above")
}

fn clippy_native(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("clippy");
    command.args(["--workspace", "--exclude", "web", "--all-targets", "--", "--deny", "warnings"]);
    passed(&mut command, "mend what clippy names above")
}

fn clippy_wasm(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("clippy");
    command.args(["--package", "shared", "--package", "web", "--target", WASM_TARGET]);
    passed(command.args(["--", "--deny", "warnings"]), "mend what clippy names above")
}

fn tests(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("test");
    command.args(["--workspace", "--exclude", "web", "--no-fail-fast"]);
    passed(&mut command, "each failed test is named above")
}

fn build_wasm(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("build");
    command.args(["--package", "shared", "--package", "web", "--target", WASM_TARGET]);
    passed(&mut command, "`shared` and `web` must compile for the browser: see the error above")
}

fn page(workspace: &Workspace) -> Result<Outcome> {
    let mut command = Shell::new(workspace).command("trunk");
    // Trunk takes NO_COLOR for a flag of its own and refuses every value but true and false.
    command.args(["build", "--release", "--offline", "--locked"]).env_remove("NO_COLOR");
    passed(&mut command, "see its message above; `cargo xtask setup` installs it")
}

fn page_in_chromium(workspace: &Workspace) -> Result<Outcome> {
    browser::open_page(workspace, &workspace.root.join("dist"))?;
    Ok(Outcome::Passed)
}

fn passed(command: &mut std::process::Command, remedy: &str) -> Result<Outcome> {
    shell::run(command, remedy)?;
    Ok(Outcome::Passed)
}
