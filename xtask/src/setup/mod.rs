//! `cargo xtask setup`: installs what the workspace needs and only what is missing.
//!
//! Programs that are fetched or built go to `TARGET/tools`; the Rust components and Chromium have one home each.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{self, Shell};
use crate::workspace::Workspace;
use tool::Tool;

mod tool;

pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// 0.22 asks for a newer Rust than this workspace does.
const TRUNK_VERSION: &str = "0.21.14";

const CARGO_DENY_VERSION: &str = "0.20.2";

const TENSORBOARD_VERSION: &str = "2.20.0";

/// Any that is on PATH will do; this is the one that is built.
const GECKODRIVER_VERSION: &str = "0.37.1";

const CHROMIUM_NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Installs all that the tests need.
pub fn run(workspace: &Workspace) -> Result<()> {
    let shell = Shell::new(workspace);
    for_native(workspace)?;
    trunk(workspace, &shell)?;
    for_wasm(workspace)?;
    cpp_compiler(&shell)?;
    rust_component(&shell, "rustfmt", "fmt")?;
    rust_component(&shell, "clippy", "clippy")?;
    cargo_deny(workspace, &shell)?;
    chromium(&shell)?;
    let others = [("Firefox", firefox(workspace, &shell)), ("WebKitGTK", webkit(&shell))];
    let missing = others.map(|(name, outcome)| Some((name, outcome.err()?)));
    for (name, error) in missing.iter().flatten() {
        eprintln!("setup: no {name} to test the page in: {error:#}");
    }
    match missing.iter().flatten().map(|(name, _)| *name).collect::<Vec<_>>().join(" and ") {
        names if names.is_empty() => eprintln!("setup: everything is there"),
        names => eprintln!("setup: everything is there but for {names}, which can be done without"),
    }
    Ok(())
}

/// Installs what building the page needs, and no more.
pub fn for_the_page(workspace: &Workspace) -> Result<()> {
    trunk(workspace, &Shell::new(workspace))?;
    for_wasm(workspace)
}

/// Installs what building for the browser needs, without trunk and a browser.
pub fn for_wasm(workspace: &Workspace) -> Result<()> {
    let shell = Shell::new(workspace);
    wasm_target(&shell)?;
    wasm_bindgen(workspace, &shell)
}

/// Checks what the native programs need and cargo cannot bring: a C compiler, which links them and compiles an allocator.
pub fn for_native(workspace: &Workspace) -> Result<()> {
    if Shell::new(workspace).find(&["cc", "gcc", "clang", "cl"]).is_none() {
        bail!("no C compiler found: install one (Debian: `apt-get install gcc libc6-dev`)");
    }
    Ok(())
}

/// Tests compile the CUDA kernels' sources by it, to run them on the CPU.
fn cpp_compiler(shell: &Shell) -> Result<()> {
    if shell.find(&["c++", "g++", "clang++", "cl"]).is_some() {
        return Ok(());
    }
    let Some(apt_get) = apt_get(shell) else {
        bail!("no C++ compiler found: install one (Debian, as root: `apt-get install g++`)");
    };
    install(shell, apt_get, &["g++"])
}

/// The browser that the page is tried in: `QUINTET_CHROMIUM`, else the first on PATH.
pub fn find_chromium(shell: &Shell) -> Option<PathBuf> {
    std::env::var_os("QUINTET_CHROMIUM").map(PathBuf::from).or_else(|| shell.find(&CHROMIUM_NAMES))
}

/// The program that drives that browser: `CHROMEDRIVER`, as wasm-bindgen's test runner has it, else the one on PATH.
pub fn find_chromedriver(shell: &Shell) -> Option<PathBuf> {
    std::env::var_os("CHROMEDRIVER").map(PathBuf::from).or_else(|| shell.find(&["chromedriver"]))
}

/// Firefox: `QUINTET_FIREFOX`, else the first on PATH.
pub fn find_firefox(shell: &Shell) -> Option<PathBuf> {
    let named = std::env::var_os("QUINTET_FIREFOX").map(PathBuf::from);
    named.or_else(|| shell.find(&["firefox-esr", "firefox"]))
}

pub fn find_geckodriver(shell: &Shell) -> Option<PathBuf> {
    shell.find(&["geckodriver"])
}

pub fn find_webkit_driver(shell: &Shell) -> Option<PathBuf> {
    shell.find(&["WebKitWebDriver"])
}

pub fn find_xvfb(shell: &Shell) -> Option<PathBuf> {
    shell.find(&["Xvfb"])
}

fn rust_component(shell: &Shell, component: &str, subcommand: &str) -> Result<()> {
    if shell::answer(shell.command("cargo").args([subcommand, "--version"])).is_some() {
        return Ok(());
    }
    with_rustup(shell, component, &["component", "add", component])
}

fn wasm_target(shell: &Shell) -> Result<()> {
    let folder = shell::answer(shell.command("rustc").args([
        "--print",
        "target-libdir",
        "--target",
        WASM_TARGET,
    ]))
    .context("`rustc --print target-libdir` gives no answer: is Rust installed whole?")?;
    let has_core = std::fs::read_dir(folder).is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
        })
    });
    if has_core {
        return Ok(());
    }
    with_rustup(shell, WASM_TARGET, &["target", "add", WASM_TARGET])
}

fn with_rustup(shell: &Shell, what: &str, arguments: &[&str]) -> Result<()> {
    if shell.find(&["rustup"]).is_none() {
        bail!(
            "Rust has no {what}, and there is no rustup to add it: install Rust from https://rustup.rs, \
             or {what} the way this Rust was installed"
        );
    }
    eprintln!("setup: installing {what} by rustup");
    shell::run(
        shell.command("rustup").args(arguments),
        "rustup fetches from https://static.rust-lang.org (or RUSTUP_DIST_SERVER): see that it is reachable",
    )
}

fn trunk(workspace: &Workspace, shell: &Shell) -> Result<()> {
    let trunk = Tool {
        package: "trunk",
        programs: &["trunk"],
        version: TRUNK_VERSION,
        // Without its default features: no TLS and no update check, as it must fetch nothing here.
        build_flags: &["--locked", "--no-default-features"],
        build_time: "2 minutes",
    };
    trunk.install(workspace, shell)
}

/// Installs the version of the library that the page links, as another cannot read its modules.
fn wasm_bindgen(workspace: &Workspace, shell: &Shell) -> Result<()> {
    let wasm_bindgen = Tool {
        package: "wasm-bindgen-cli",
        // The second runs the tests of `web` in Chromium.
        programs: &["wasm-bindgen", "wasm-bindgen-test-runner"],
        version: &workspace.locked_version("wasm-bindgen")?,
        // Not --locked: the published lock file names a dependency version that was withdrawn.
        build_flags: &[],
        build_time: "a minute",
    };
    wasm_bindgen.install(workspace, shell)
}

fn cargo_deny(workspace: &Workspace, shell: &Shell) -> Result<()> {
    let cargo_deny = Tool {
        package: "cargo-deny",
        programs: &["cargo-deny"],
        version: CARGO_DENY_VERSION,
        build_flags: &["--locked"],
        build_time: "a minute",
    };
    cargo_deny.install(workspace, shell)
}

fn chromium(shell: &Shell) -> Result<()> {
    const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
    if find_chromium(shell).is_some() && find_chromedriver(shell).is_some() {
        return Ok(());
    }
    let Some(apt_get) = apt_get(shell) else {
        bail!(
            "no Chromium or Chrome with its chromedriver found: install them (Debian, as root: \
             `apt-get install {}`), or name the programs in QUINTET_CHROMIUM and CHROMEDRIVER",
            PACKAGES.join(" ")
        );
    };
    install(shell, apt_get, &PACKAGES)
}

/// Installs Firefox from Debian, and its driver, which Debian does not have.
///
/// # Errors
/// If they cannot be had here.
pub fn firefox(workspace: &Workspace, shell: &Shell) -> Result<()> {
    const PACKAGES: [&str; 1] = ["firefox-esr"];
    if find_firefox(shell).is_none() {
        let apt_get = apt_get(shell).with_context(|| missing("Firefox", &PACKAGES))?;
        install(shell, apt_get, &PACKAGES)?;
    }
    if find_geckodriver(shell).is_some() {
        return Ok(());
    }
    let geckodriver = Tool {
        package: "geckodriver",
        programs: &["geckodriver"],
        version: GECKODRIVER_VERSION,
        build_flags: &["--locked"],
        build_time: "2 minutes",
    };
    geckodriver.install(workspace, shell)
}

/// Installs WebKitGTK's driver, which brings its browser, and the screen that this needs.
///
/// # Errors
/// If they cannot be had here.
pub fn webkit(shell: &Shell) -> Result<()> {
    const PACKAGES: [&str; 2] = ["webkit2gtk-driver", "xvfb"];
    if find_webkit_driver(shell).is_some() && find_xvfb(shell).is_some() {
        return Ok(());
    }
    let apt_get = apt_get(shell).with_context(|| missing("WebKitWebDriver or Xvfb", &PACKAGES))?;
    install(shell, apt_get, &PACKAGES)
}

fn missing(what: &str, packages: &[&str]) -> String {
    format!(
        "{what} is not found, and there is no apt-get to install it (Debian, as root: `apt-get install {}`)",
        packages.join(" ")
    )
}

/// Installs Slurm's daemons, as root only: they run as root. `Err(reason)` inside: it cannot be had here.
///
/// # Errors
/// If apt-get fails.
pub fn slurm(shell: &Shell) -> Result<Result<(), &'static str>> {
    const PACKAGES: [&str; 4] = ["slurmctld", "slurmd", "slurm-client", "munge"];
    if shell::answer(shell.command("id").arg("-u")).as_deref() != Some("0") {
        return Ok(Err("Slurm's daemons run as root"));
    }
    let programs = ["slurmctld", "slurmd", "sbatch", "munged"];
    if programs.iter().all(|program| shell.find(&[program]).is_some()) {
        return Ok(Ok(()));
    }
    let Some(apt_get) = apt_get(shell) else {
        return Ok(Err("there is neither Slurm nor apt-get to install it"));
    };
    install(shell, apt_get, &PACKAGES)?;
    Ok(Ok(()))
}

/// Makes a Python in the tools' folder that has TensorBoard, and returns it. `Err(reason)` inside: it cannot be had here.
///
/// # Errors
/// If apt-get fails.
pub fn tensorboard(workspace: &Workspace, shell: &Shell) -> Result<Result<PathBuf, &'static str>> {
    let folder = workspace.tools().join(format!("tensorboard-{TENSORBOARD_VERSION}"));
    let python = folder.join("bin/python");
    let imports = |python: &Path, module: &str| {
        shell::answer(shell.command(python).args(["-c", &format!("import {module}")])).is_some()
    };
    if imports(&python, "tensorboard.backend.event_processing.event_accumulator") {
        return Ok(Ok(python));
    }
    let Some(system) = shell.find(&["python3"]) else { return Ok(Err("there is no python3 here")) };
    if !imports(&system, "ensurepip") {
        let Some(apt_get) = apt_get(shell) else {
            return Ok(Err("Python has no venv here, and there is no apt-get to install it"));
        };
        install(shell, apt_get, &["python3-venv"])?;
    }
    eprintln!("setup: installing TensorBoard {TENSORBOARD_VERSION} from PyPI");
    let mut venv = shell.command(system);
    shell::run(venv.args(["-m", "venv"]).arg(&folder), "see Python's message above")?;
    let packages = [&format!("tensorboard=={TENSORBOARD_VERSION}")[..], "setuptools<81"];
    let mut pip = shell.command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    match shell::run(&mut pip, "is PyPI reachable?") {
        Ok(()) => Ok(Ok(python)),
        Err(_) => Ok(Err("TensorBoard cannot be fetched from PyPI")),
    }
}

/// Starts munge, by which Slurm's daemons know each other, if it does not run.
///
/// # Errors
/// If it cannot be started.
pub fn munge(shell: &Shell) -> Result<()> {
    const START: &str = "set -e; pgrep -x munged >/dev/null && exit; mkdir -p /run/munge /var/log/munge; \
        chown munge:munge /run/munge /var/log/munge /var/lib/munge; \
        if [ ! -f /etc/munge/munge.key ]; then \
            head -c 1024 /dev/urandom >/etc/munge/munge.key; \
            chown munge:munge /etc/munge/munge.key; chmod 400 /etc/munge/munge.key; \
        fi; runuser -u munge -- munged";
    shell::run(shell.command("bash").args(["-c", START]), "see munged's message above")
}

fn install(shell: &Shell, apt_get: &[&str], packages: &[&str]) -> Result<()> {
    eprintln!("setup: installing {} by apt-get", packages.join(" and "));
    let apt = |arguments: &[&str]| {
        let mut command = shell.command(apt_get[0]);
        command.args(&apt_get[1..]).args(arguments);
        shell::run(&mut command, "see apt's message above, or install them another way")
    };
    apt(&["update", "-qq"])?;
    let options = ["install", "-qq", "--yes", "--no-install-recommends"];
    apt(&[&options[..], packages].concat())
}

/// The words that call apt-get with the rights to install; None where there is no way.
fn apt_get(shell: &Shell) -> Option<&'static [&'static str]> {
    // `env`, as sudo passes no variable on.
    const AS_ROOT: [&str; 3] = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    const BY_SUDO: [&str; 4] = ["sudo", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    shell.find(&["apt-get"])?;
    let is_root = shell::answer(shell.command("id").arg("-u")).as_deref() == Some("0");
    if is_root { Some(&AS_ROOT) } else { shell.find(&["sudo"]).map(|_| &BY_SUDO[..]) }
}
