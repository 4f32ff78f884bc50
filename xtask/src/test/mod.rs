//! `cargo xtask test`: everything that CI runs, cheap steps first, and a table of what took how long.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::workspace::Workspace;

mod steps;

pub use steps::Arguments;
use steps::Outcome;

/// One thing that can pass or fail.
struct Step {
    name: &'static str,
    /// The steps whose failure leaves nothing to run here.
    needs: &'static [&'static str],
    run: fn(&Workspace, &Arguments) -> Result<Outcome>,
}

struct Row {
    name: &'static str,
    verdict: Verdict,
    seconds: f64,
    /// What a step that passed could not run.
    left_out: Vec<String>,
}

enum Verdict {
    Passed,
    /// With what the error says.
    Failed(String),
    Skipped,
}

const STEPS: [Step; 23] = [
    Step { name: "setup", needs: &[], run: steps::set_up },
    Step { name: "format", needs: &[], run: steps::format },
    Step { name: "imports", needs: &[], run: steps::imports },
    Step { name: "dependencies", needs: &["setup"], run: steps::dependencies },
    Step { name: "advisories", needs: &["setup"], run: steps::advisories },
    Step { name: "clippy, native", needs: &[], run: steps::clippy_native },
    Step { name: "clippy, wasm32", needs: &["setup"], run: steps::clippy_wasm },
    Step { name: "rustdoc", needs: &[], run: steps::rustdoc },
    Step { name: "tests", needs: &[], run: steps::tests },
    Step { name: "instructions", needs: &["tests"], run: steps::instructions },
    Step { name: "CUDA kernels", needs: &[], run: steps::cuda_kernels },
    Step { name: "standin", needs: &[], run: steps::standin },
    Step { name: "components", needs: &["setup"], run: steps::components },
    Step { name: "page", needs: &["setup"], run: steps::page },
    Step { name: "payload", needs: &["page"], run: steps::payload },
    Step { name: "package", needs: &["setup"], run: steps::package },
    Step { name: "bundles", needs: &["tests"], run: steps::bundles },
    Step { name: "bundlers", needs: &["package", "bundles"], run: steps::bundlers },
    Step { name: "cluster", needs: &["bundles"], run: steps::cluster },
    Step { name: "tensorboard", needs: &["tests"], run: steps::tensorboard },
    Step { name: "documents", needs: &["tests"], run: steps::documents },
    Step { name: "survive", needs: &["package", "bundles"], run: steps::survive },
    Step { name: "stories", needs: &["page", "package", "bundles"], run: steps::stories },
];

impl Row {
    fn failure(&self) -> Option<String> {
        let Verdict::Failed(why) = &self.verdict else { return None };
        Some(format!("{}: {why}", self.name))
    }
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for step in STEPS.iter().filter(|step| step.name.contains(&arguments.only)) {
        let row = take(step, workspace, arguments, &rows);
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "no step has `{}` in its name", arguments.only);
    print_table(&rows);
    let passed = rows.iter().filter(|row| matches!(row.verdict, Verdict::Passed)).count();
    let failures: Vec<String> = rows.iter().filter_map(Row::failure).collect();
    println!("{passed} passed, {} failed", failures.len());
    ensure!(failures.is_empty(), "not everything passed\n{}", failures.join("\n"));
    Ok(())
}

fn take(step: &Step, workspace: &Workspace, arguments: &Arguments, before: &[Row]) -> Row {
    let name = step.name;
    eprintln!("\n== {name}");
    let fell = |needed: &str| {
        before.iter().any(|row| row.name == needed && !matches!(row.verdict, Verdict::Passed))
    };
    if let Some(needed) = step.needs.iter().find(|needed| fell(needed)) {
        eprintln!("-- {name}: skipped, as `{needed}` did not pass");
        return Row { name, verdict: Verdict::Skipped, seconds: 0.0, left_out: Vec::new() };
    }
    let start = Instant::now();
    let mut left_out = Vec::new();
    let verdict = match (step.run)(workspace, arguments) {
        Ok(Outcome::Passed) => Verdict::Passed,
        Ok(Outcome::InPart(sentences)) => {
            left_out = sentences;
            Verdict::Passed
        }
        Ok(Outcome::Skipped(why)) => {
            eprintln!("-- {name}: skipped, {why}");
            Verdict::Skipped
        }
        Err(error) => {
            eprintln!("-- {name}: FAILED\n{error:#}");
            Verdict::Failed(format!("{error:#}"))
        }
    };
    Row { name, verdict, seconds: start.elapsed().as_secs_f64(), left_out }
}

fn print_table(rows: &[Row]) {
    println!("\n{:<18} {:<8} {:>8}", "step", "", "seconds");
    for Row { name, verdict, seconds, .. } in rows {
        let verdict = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "FAILED",
            Verdict::Skipped => "skipped",
        };
        println!("{name:<18} {verdict:<8} {seconds:>8.1}");
    }
    println!("{:<27} {:>8.1}", "all", rows.iter().map(|row| row.seconds).sum::<f64>());
    for Row { name, left_out, .. } in rows {
        left_out.iter().for_each(|sentence| println!("{name}: {sentence}"));
    }
}
