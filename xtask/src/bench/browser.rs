//! `cargo xtask bench browser`: our JavaScript package beside onnxruntime-web and transformers.js, in one headless
//! Chromium, on the same random weights.
//!
//! Here is what must be there before: the rival's models and modules, our bundles of the same weights, our package. The
//! measuring is `bench/browser.mjs`'s, in Node, for the rival's browser driver is a Node module.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use super::machine;
use super::rows::{append, build_bench};
use crate::chromium::Programs;
use crate::package;
use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::{Workspace, remove_folder};

const ROWS: &str = "bench/browser.jsonl";
const MEASURE: &str = "bench/browser.mjs";
const MODEL: &str = "bench/browser_model.py";

/// The rival's recipe within the shared folder.
const RECIPE: &str = "peer/browser";

/// Name, encoding and folds of our bundles.
const BUNDLES: [(&str, &str, usize); 4] =
    [("int8", "int8", 1), ("int12", "int12", 1), ("f32", "f32", 1), ("five", "int8", 5)];

#[derive(clap::Args)]
pub struct Arguments {
    /// Turns of each side at each length.
    #[arg(long, default_value = "7")]
    turns: NonZeroUsize,

    /// Only sides whose name contains this, `int8` say.
    #[arg(long, default_value = "")]
    only: String,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let shell = Shell::new(workspace);
    let turns = arguments.turns.to_string();
    let rows =
        Sides::prepare(workspace, &shell)?.measure(&shell, MEASURE, &[&turns, &arguments.only])?;
    ensure!(!rows.is_empty(), "no side has `{}` in its name", arguments.only);
    print_table(&rows);
    print_ratios(&rows);
    append_described(workspace, &shell, "browser", &rows)
}

/// The folders of both sides.
pub(super) struct Sides {
    /// The rival's models and modules.
    pub rival: PathBuf,
    /// Our JavaScript package.
    package: PathBuf,
    /// Our bundles of the same weights.
    bundles: PathBuf,
}

impl Sides {
    /// Sets up or builds what is missing.
    pub fn prepare(workspace: &Workspace, shell: &Shell) -> Result<Self> {
        let recipe = workspace.shared_data().join(RECIPE);
        ensure!(
            recipe.is_dir(),
            "no recipe for the rival at {}: QUINTET_SHARED names the folder that has `{RECIPE}`",
            recipe.display()
        );
        let rival = workspace.target.join("bench-browser");
        prepare_rival(shell, &recipe, &rival)?;
        let bundles = rival.join("bundles");
        prepare_bundles(shell, &rival, &bundles)?;
        package::run(workspace)?;
        Ok(Self { rival, package: Site::of(workspace).package, bundles })
    }

    /// The rows that a script for Node prints; the folders are its first arguments, `more` follow.
    pub fn measure(&self, shell: &Shell, script: &str, more: &[&str]) -> Result<Vec<Value>> {
        machine::warn_if_busy();
        let mut command = shell.command("node");
        command.arg(script).arg(&self.rival).arg(&self.package).arg(&self.bundles).args(more);
        command.env("CHROMIUM", Programs::find(shell)?.chromium).stderr(Stdio::inherit());
        let output = command.output().context("cannot start node: it is needed for the rival")?;
        ensure!(output.status.success(), "{script} failed: see its message above");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .context("what the measuring printed is no JSON")
    }
}

/// Appends rows to the file of browsers' rows, with where and when they were measured.
pub(super) fn append_described(
    workspace: &Workspace,
    shell: &Shell,
    bench: &str,
    rows: &[Value],
) -> Result<()> {
    let described = rows.iter().map(|row| described(shell, bench, row));
    append(&workspace.root.join(ROWS), described)
}

/// The rival's own set-up, in a copy of its recipe, which is left for the next time; and the weights as we take them.
fn prepare_rival(shell: &Shell, recipe: &Path, rival: &Path) -> Result<()> {
    if !rival.join("setup.sh").exists() {
        copy_folder(recipe, rival)?;
    }
    if rival.join("ours/texts.json").exists() {
        return Ok(());
    }
    eprintln!("bench: setting the rival up in {}: some minutes, once", rival.display());
    let mut command = shell.command("bash");
    shell::run(command.arg(rival.join("setup.sh")), "see its message above")?;
    let mut command = shell.command(rival.join("venv/bin/python"));
    shell::run(command.arg(MODEL).arg(rival), "see its message above")
}

fn prepare_bundles(shell: &Shell, rival: &Path, bundles: &Path) -> Result<()> {
    let program = build_bench(shell, "browser")?;
    for (name, encoding, folds) in BUNDLES {
        let output = bundles.join(name);
        // The format may have changed since.
        remove_folder(&output)?;
        let mut command = shell.command(&program);
        command.arg("--model").arg(rival.join("ours")).arg("--output").arg(&output);
        command.args(["--encoding", encoding, "--folds", &folds.to_string()]);
        shell::run(&mut command, "see its message above")?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            // Not `fs::copy`, which would keep a read-only file read-only.
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn print_table(rows: &[Value]) {
    println!(
        "{:<24} {:>7} {:>6} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "side",
        "threads",
        "tokens",
        "ms",
        "CPU ms",
        "first ms",
        "load ms",
        "MiB",
        "peak",
        "MB",
        "error"
    );
    for row in rows {
        println!(
            "{:<24} {:>7} {:>6} {:>9.1} {:>9.1} {:>9.0} {:>9.0} {:>8.0} {:>8.0} {:>9.1} {:>9.1e}",
            row["side"].as_str().unwrap_or_default(),
            row["threads"],
            row["length"],
            number(row, "ms"),
            number(row, "cpu_ms"),
            number(row, "first_answer_ms"),
            number(row, "load_ms"),
            number(row, "mem_mib"),
            number(row, "peak_mib"),
            number(row, "download_mb"),
            number(row, "logit_error"),
        );
    }
}

/// A side and its threads.
type Side = (&'static str, u64);

const ORT_Q8: Side = ("ort-web q8", 1);
const ORT_F32: Side = ("ort-web f32", 1);
const TRANSFORMERS_Q8: Side = ("transformers.js q8", 1);

/// Ours, the rival, what of them.
const RATIOS: [(Side, Side, &str); 8] = [
    (("ours int8", 1), ORT_Q8, "cpu_ms"),
    (("ours int8", 1), ORT_Q8, "logit_error"),
    (("ours int12", 1), ORT_Q8, "cpu_ms"),
    (("ours int12", 1), ORT_Q8, "logit_error"),
    (("ours f32", 1), ORT_F32, "cpu_ms"),
    (("ours int8", 1), TRANSFORMERS_Q8, "ms"),
    (("ours int12", 1), TRANSFORMERS_Q8, "ms"),
    (("ours int8, five folds", 2), TRANSFORMERS_Q8, "ms"),
];

/// Ours as a share of the rival's, at each length: below 1 is better.
fn print_ratios(rows: &[Value]) {
    println!();
    for (ours, rival, field) in RATIOS {
        let name = format!("{} / {}, {field}", ours.0, rival.0);
        let of = |(side, threads): Side, length: &Value| {
            let found = rows.iter().find(|row| {
                row["side"] == side && row["threads"] == threads && row["length"] == *length
            });
            found.and_then(|row| row[field].as_f64())
        };
        let mut lengths: Vec<&Value> = rows.iter().map(|row| &row["length"]).collect();
        lengths.dedup();
        let ratios = lengths.iter().filter_map(|length| {
            Some(format!("{length}: {:.3}", of(ours, length)? / of(rival, length)?))
        });
        let ratios: Vec<String> = ratios.collect();
        if !ratios.is_empty() {
            println!("{name:<52} {}", ratios.join("   "));
        }
    }
}

pub(super) fn number(row: &Value, field: &str) -> f64 {
    row[field].as_f64().unwrap_or(f64::NAN)
}

fn described(shell: &Shell, bench: &str, row: &Value) -> Value {
    let mut described = json!({
        "date": machine::today(),
        "commit": machine::commit(shell),
        "machine": machine::description(),
        "bench": bench,
        "load": machine::load(),
    });
    let (Some(all), Some(row)) = (described.as_object_mut(), row.as_object()) else {
        return described;
    };
    all.extend(row.clone());
    described
}
