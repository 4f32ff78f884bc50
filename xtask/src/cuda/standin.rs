//! Tests on the stand-in for NVIDIA's driver (`shared/autoload-cuda/standin`): the programs are built with CUDA, and run
//! on a machine without a card.
//!
//! Neither the toolkit nor its minutes of compiling are needed: nothing of the kernels' machine code runs. A script in
//! nvcc's place writes names instead. What is built this way lies apart: its packages are compiled with other options than
//! those of a real build, and its programs are linked into a folder of their own.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::shell::{self, Shell};
use crate::workspace::Workspace;

const CRATE: &str = "shared/autoload-cuda/standin";

/// The version of CUDA that the stand-in's libraries have in their names, as `cudarc` wants it.
const VERSION: &str = "13000";

/// Turing, the oldest card that is stood in for.
const COMPUTE_CAPABILITY: &str = "75";

/// The packages that depend on CUDA, and how far they are optimised: as little as tests can bear, so that the compiler
/// is soon done. Any value but the profile's also keeps what is built here apart from a real build.
const OPTIMISED: [(&str, u32); 8] = [
    ("autoload-cuda", 0),
    ("candle-core", 0),
    ("candle-kernels", 0),
    ("cudarc", 0),
    ("native-train", 0),
    ("shared", 1),
    ("web", 0),
    ("xtask", 0),
];

/// Whether there is a stand-in for this system.
pub fn is_possible() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

/// What was built.
#[derive(Debug, Default)]
struct Built {
    /// The tests of the stand-in itself.
    of_standin: PathBuf,
    /// Those that start programs on the stand-in.
    on_standin: PathBuf,
    /// Those with tests that need a card.
    of_units: Vec<PathBuf>,
    /// Our side of the GPU bench.
    bench: PathBuf,
}

/// Lints, builds and runs the tests, which no other feature compiles.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut clippy = cargo(workspace, "clippy")?;
    shell::run(clippy.args(["--", "--deny", "warnings"]), "mend what clippy names above")?;
    let built = build(workspace)?;
    let shell = Shell::new(workspace);
    let remedy = "each failed test is named above, each violation in what it prints";
    shell::run(&mut shell.command(&built.of_standin), remedy)?;
    let mut command = shell.command(&built.on_standin);
    command.env("QUINTET_CUDA_TESTS", env::join_paths(&built.of_units)?);
    command.env("QUINTET_GPU_BENCH", &built.bench);
    // What runs on a GPU machine is this program. Its file may be another by now, as cargo built tests since it was started.
    command.env("QUINTET_XTASK", format!("/proc/{}/exe", process::id()));
    shell::run(&mut command, remedy)
}

fn build(workspace: &Workspace) -> Result<Built> {
    let mut command = cargo(workspace, "test")?;
    command.args(["--no-run", "--message-format=json-render-diagnostics"]);
    eprintln!("standin: building");
    let output = output(&mut command)?;
    among(output.lines().filter_map(|line| serde_json::from_str(line).ok()))
}

/// A cargo command on all that is built with CUDA.
fn cargo(workspace: &Workspace, subcommand: &str) -> Result<Command> {
    let folder = workspace.target.join("standin");
    let toolkit = folder.join("toolkit");
    make_toolkit(&workspace.root.join(CRATE), &toolkit)?;
    let mut command = Shell::new(workspace).preferring([toolkit.join("bin")]).cargo(subcommand);
    for (package, level) in OPTIMISED {
        command.arg("--config").arg(format!("profile.release.package.{package}.opt-level={level}"));
    }
    // The whole workspace, as everywhere: another choice of packages would compile all dependencies again.
    command.args(["--workspace", "--features", "native-train/cuda,cuda-standin/libraries"]);
    command.args(["--lib", "--test", "standin", "--test", "mistakes", "--bench", "gpu"]);
    command
        .env("CARGO_BUILD_BUILD_DIR", &workspace.target)
        .env("CARGO_TARGET_DIR", &folder)
        .env("CUDA_HOME", &toolkit)
        .env("NVCC", toolkit.join("bin/nvcc"))
        .env("CUDARC_CUDA_VERSION", VERSION)
        .env("CUDA_COMPUTE_CAP", COMPUTE_CAPABILITY);
    Ok(command)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the tests do not build: see above");
    Ok(String::from_utf8(output.stdout)?)
}

/// A toolkit's folder with the stand-in's compiler, and an empty archive for the runtime, which no kernel calls.
fn make_toolkit(sources: &Path, toolkit: &Path) -> Result<()> {
    for folder in ["bin", "lib64", "include"] {
        fs::create_dir_all(toolkit.join(folder))?;
    }
    let nvcc = toolkit.join("bin/nvcc");
    let script = fs::read(sources.join("nvcc"))?;
    // Written only when it changes, as build scripts look at the time.
    if fs::read(&nvcc).ok().as_ref() != Some(&script) {
        fs::copy(sources.join("nvcc"), &nvcc)?;
    }
    Ok(fs::write(toolkit.join("lib64/libcudart_static.a"), "!<arch>\n")?)
}

/// Finds what was built among cargo's messages.
fn among(messages: impl Iterator<Item = Value>) -> Result<Built> {
    let mut built = Built::default();
    for message in messages {
        let Some(executable) = message["executable"].as_str().map(PathBuf::from) else { continue };
        let (kind, name) = (&message["target"]["kind"][0], &message["target"]["name"]);
        match (kind.as_str(), name.as_str()) {
            (Some("test"), Some("mistakes")) => built.of_standin = executable,
            (Some("test"), Some("standin")) => built.on_standin = executable,
            (Some("lib"), Some("shared" | "native_train")) => built.of_units.push(executable),
            (Some("bench"), Some("gpu")) => built.bench = executable,
            _ => {}
        }
    }
    built.of_units.sort();
    let found = [&built.of_standin, &built.on_standin, &built.bench].iter().all(|it| it.is_file());
    ensure!(found && built.of_units.len() == 2, "cargo names other programs: {built:?}");
    Ok(built)
}
