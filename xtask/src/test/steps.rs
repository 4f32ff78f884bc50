//! The steps of `cargo xtask test`.

use std::num::NonZeroUsize;
use std::process::Command;

use anyhow::Result;

use crate::bundlers;
use crate::chromium;
use crate::cuda::{self, EMULATOR, Toolkit};
use crate::docs;
use crate::engines::Engine;
use crate::imports;
use crate::package;
use crate::payload;
use crate::setup::{self, WASM_TARGET};
use crate::shell::{self, Shell};
use crate::site::{self, Site};
use crate::slurm;
use crate::stories::{self, Choice};
use crate::survive;
use crate::tensorboard;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only the steps whose name contains this, `clippy` say.
    #[arg(long, default_value = "")]
    pub only: String,

    /// Of the stories in browsers, only those whose name contains this.
    #[arg(long, default_value = "")]
    pub story: String,

    /// The engine in which the stories are played: chromium, firefox, webkit or all.
    #[arg(long, default_value = "all", value_parser = engines)]
    pub engine: Engines,

    /// Runs the stories so many times, whichever fail, and prints how often each passed.
    #[arg(long, default_value = "1", value_name = "TIMES")]
    pub repeat: NonZeroUsize,
}

/// The engine that is asked for; `None` for all.
#[derive(Clone, Copy)]
pub struct Engines(Option<Engine>);

fn engines(name: &str) -> Result<Engines> {
    Ok(Engines(if name == "all" { None } else { Some(Engine::named(name)?) }))
}

/// The outcome of a step that did not fail.
pub enum Outcome {
    Passed,
    /// What could be run has passed; each sentence names something that could not.
    InPart(Vec<String>),
    Skipped(&'static str),
}

pub fn set_up(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    setup::run(workspace)?;
    Ok(Outcome::Passed)
}

pub fn format(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    let mut command = Shell::new(workspace).command("cargo");
    passed(command.args(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

/// The arrows between the files of each crate, against the maps in ARCHITECTURE.md.
pub fn imports(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    imports::run(workspace)?;
    Ok(Outcome::Passed)
}

/// Licences, sources and banned crates: all that needs no network.
pub fn dependencies(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
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

pub fn advisories(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    let shell = Shell::new(workspace);
    if shell::answer(shell.command("cargo").args(["deny", "fetch", "db"])).is_none() {
        return Ok(Outcome::Skipped("the advisory database (on github.com) cannot be fetched"));
    }
    let mut command = shell.command("cargo");
    command.args(["deny", "--locked", "check", "--disable-fetch", "advisories"]);
    passed(&mut command, "update or replace the dependency named above")
}

pub fn clippy_native(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("clippy");
    command.args(["--workspace", "--features", EMULATOR, "--all-targets"]);
    command.args(["--", "--deny", "warnings"]);
    passed(&mut command, "mend what clippy names above")
}

pub fn clippy_wasm(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    // The tests of `web` alone: those of `shared` run natively. Its library is looked at on the way.
    let mut command = Shell::new(workspace).cargo("clippy");
    command.args(["--package", "web", "--all-targets", "--target", WASM_TARGET]);
    passed(command.args(["--", "--deny", "warnings"]), "mend what clippy names above")
}

/// The documentation of the code, of private items too: no link that leads nowhere.
pub fn rustdoc(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("doc");
    command.args(["--workspace", "--features", EMULATOR, "--no-deps", "--document-private-items"]);
    passed(command.env("RUSTDOCFLAGS", "--deny warnings"), "mend the comments that are named above")
}

pub fn tests(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    let mut command = Shell::new(workspace).cargo("test");
    command.args(["--workspace", "--features", EMULATOR, "--no-fail-fast"]);
    passed(&mut command, "each failed test is named above")
}

/// The tests of the kernels and of the model once more in each lesser instruction set, as other machines run them.
pub fn instructions(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(Outcome::Skipped("this architecture has one instruction set that kernels use"));
    }
    for (name, tests) in INSTRUCTIONS {
        eprintln!("instructions: {name}");
        let mut command = Shell::new(workspace).cargo("test");
        // The whole workspace's build serves here, too; the filter leaves the tests of the numbers.
        command.args(["--workspace", "--features", EMULATOR, "--lib", "--no-fail-fast", "--"]);
        command.args(tests).env("QUINTET_INSTRUCTIONS", name);
        passed(&mut command, "each failed test is named above")?;
    }
    Ok(Outcome::Passed)
}

/// The instruction sets of x86-64 below the best, and which tests of the libraries run in them.
const INSTRUCTIONS: [(&str, &[&str]); 3] = [
    ("portable", &["kernels::", "model::", "nn::", "bundle::tests::earlier"]),
    ("avx2", &["kernels::", "model::", "nn::", "training::"]),
    ("avx512", &["kernels::", "model::", "nn::"]),
];

/// The tests run the kernels' sources as C++; that they are CUDA is seen here.
pub fn cuda_kernels(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    if let Err(error) = Toolkit::find_or_fetch(workspace) {
        eprintln!("{error:#}");
        return Ok(Outcome::Skipped("no CUDA compiler is here, and none can be fetched"));
    }
    cuda::check_kernels(workspace)?;
    Ok(Outcome::Passed)
}

/// The programs with CUDA on a stand-in for its driver: whole jobs on a card that is not there.
pub fn standin(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    if !cuda::standin::is_possible() {
        return Ok(Outcome::Skipped("the stand-in for CUDA's driver is for Linux on x86-64"));
    }
    cuda::standin::check(workspace)?;
    Ok(Outcome::Passed)
}

/// The tests of `web` that need a document, by wasm-bindgen's runner in Chromium.
pub fn components(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    let mut command = chromium::tests(workspace)?;
    // They look at elements and ids, not at speed: compiled this way they are there minutes earlier.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    passed(&mut command, "each failed test is named above")
}

pub fn page(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    site::build_page(&Shell::new(workspace))?;
    Ok(Outcome::Passed)
}

pub fn payload(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    payload::check(&Site::of(workspace).dist)?;
    Ok(Outcome::Passed)
}

pub fn package(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    package::run(workspace)?;
    Ok(Outcome::Passed)
}

/// A small run and its bundles, for the stories.
pub fn bundles(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    Site::of(workspace).make_bundles(workspace)?;
    Ok(Outcome::Passed)
}

/// The jobs of `native-train cluster slurm`, on a real Slurm of this machine.
pub fn cluster(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    match slurm::check(workspace)? {
        Ok(()) => Ok(Outcome::Passed),
        Err(reason) => Ok(Outcome::Skipped(reason)),
    }
}

/// The JavaScript package as bundlers and Node take it from its tarball.
pub fn bundlers(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    match bundlers::check(workspace)? {
        Ok(()) => Ok(Outcome::Passed),
        Err(reason) => Ok(Outcome::Skipped(reason)),
    }
}

/// TensorBoard's reader on the event files of a training.
pub fn tensorboard(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    match tensorboard::check(workspace)? {
        Ok(()) => Ok(Outcome::Passed),
        Err(reason) => Ok(Outcome::Skipped(reason)),
    }
}

/// The documents: their commands, output, flags and links.
pub fn documents(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    docs::check(workspace)?;
    Ok(Outcome::Passed)
}

/// Commands that are killed at random moments, a few times each.
pub fn survive(workspace: &Workspace, _: &Arguments) -> Result<Outcome> {
    survive::check(workspace)?;
    Ok(Outcome::Passed)
}

pub fn stories(workspace: &Workspace, arguments: &Arguments) -> Result<Outcome> {
    let Arguments { story, engine, repeat, .. } = arguments;
    let choice = Choice { story, engine: engine.0, times: repeat.get() };
    let absent = stories::run(workspace, &choice)?;
    Ok(if absent.is_empty() { Outcome::Passed } else { Outcome::InPart(absent) })
}

fn passed(command: &mut Command, remedy: &str) -> Result<Outcome> {
    shell::run(command, remedy)?;
    Ok(Outcome::Passed)
}
