//! A program that the workspace needs: the one on PATH if its version is right, else a released one whose sha256 is known,
//! else one built from crates.io.

use std::env::consts::{ARCH, EXE_EXTENSION, OS};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::shell::{self, Shell};
use crate::workspace::{Workspace, remove_folder};

/// A line for each package and system: `package version system sha256 address`.
const RELEASES: &str = include_str!("releases.txt");

/// The longest that a host may take to answer: one that cannot be reached costs seconds, not a time-out of minutes.
const CONNECT_SECONDS: &str = "5";
const DOWNLOAD_SECONDS: &str = "120";

/// A package of crates.io and the programs in it.
pub struct Tool<'a> {
    pub package: &'a str,
    pub programs: &'a [&'a str],
    pub version: &'a str,
    /// Flags of `cargo install` besides.
    pub build_flags: &'a [&'a str],
    /// The time that building it takes two cores, in words.
    pub build_time: &'a str,
}

impl Tool<'_> {
    /// Finds the tool on PATH, or puts it into `TARGET/tools/bin`.
    pub fn install(&self, workspace: &Workspace, shell: &Shell) -> Result<()> {
        if self.is_there(shell) {
            return Ok(());
        }
        let Err(error) = self.fetch(workspace, shell) else { return Ok(()) };
        eprintln!("setup: no released {} can be had: {error:#}", self.package);
        self.build(workspace, shell)
    }

    fn is_there(&self, shell: &Shell) -> bool {
        self.programs.iter().all(|program| {
            let found = shell::answer(shell.command(program).arg("--version"));
            found.is_some_and(|found| found == format!("{program} {}", self.version))
        })
    }

    fn fetch(&self, workspace: &Workspace, shell: &Shell) -> Result<()> {
        let Self { package, version, .. } = self;
        let release = Release::of(package, version).with_context(|| {
            format!("no sha256 is known of {package} {version} for {ARCH}-{OS}")
        })?;
        eprintln!("setup: fetching {package} {version} from {}", release.address);
        let scratch = workspace.tools().join("download");
        remove_folder(&scratch)?;
        fs::create_dir_all(&scratch)?;
        let outcome = release.unpack(shell, &scratch).and_then(|()| {
            let bin = workspace.tools().join("bin");
            self.programs.iter().try_for_each(|program| take_program(&scratch, program, &bin))
        });
        remove_folder(&scratch)?;
        outcome?;
        ensure!(self.is_there(shell), "the released program does not run here");
        Ok(())
    }

    fn build(&self, workspace: &Workspace, shell: &Shell) -> Result<()> {
        let Self { package, version, build_time, .. } = self;
        let tools = workspace.tools();
        eprintln!("setup: building {package} {version}, once (about {build_time} on two cores)");
        let build = tools.join("build");
        let mut command = shell.command("cargo");
        command
            .args(["install", package, "--version", version])
            .args(["--force", "--debug", "--quiet", "--root"])
            .arg(&tools)
            .args(self.build_flags)
            // It runs for seconds: what it takes to build matters, its speed does not.
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_PROFILE_DEV_INCREMENTAL", "false")
            .env("CARGO_TARGET_DIR", &build);
        shell::run(
            &mut command,
            "see the error above; cargo needs crates.io and a C compiler for this",
        )?;
        remove_folder(&build)
    }
}

struct Release {
    sha256: &'static str,
    address: &'static str,
}

impl Release {
    /// Finds the release of `package` for this system.
    fn of(package: &str, version: &str) -> Option<Self> {
        let start = format!("{package} {version} {ARCH}-{OS} ");
        let line = RELEASES.lines().find_map(|line| line.strip_prefix(&start))?;
        let (sha256, address) = line.split_once(' ')?;
        Some(Self { sha256, address })
    }

    /// Downloads the archive, compares its digest and unpacks it into `folder`.
    fn unpack(&self, shell: &Shell, folder: &Path) -> Result<()> {
        let archive = folder.join("archive");
        let mut curl = shell.command("curl");
        curl.args(["--fail", "--silent", "--location", "--proto", "=https"]);
        curl.args([
            "--connect-timeout",
            CONNECT_SECONDS,
            "--max-time",
            DOWNLOAD_SECONDS,
            "--output",
        ]);
        shell::answer(curl.arg(&archive).arg(self.address))
            .context("its host cannot be reached from here, or there is no `curl`")?;
        let bytes = fs::read(&archive)?;
        let found = hex(&Sha256::digest(&bytes));
        if found != self.sha256 {
            bail!("{} has the sha256 {found}, not {}: it is not used", self.address, self.sha256);
        }
        let mut tar = shell.command("tar");
        shell::answer(tar.arg("-xf").arg(&archive).arg("-C").arg(folder))
            .context("`tar` cannot unpack it")?;
        Ok(())
    }
}

/// Moves `program` from wherever in `folder` it lies to `bin`.
fn take_program(folder: &Path, program: &str, bin: &Path) -> Result<()> {
    let file = Path::new(program).with_extension(EXE_EXTENSION);
    let entries = fs::read_dir(folder)?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    let found = folders
        .chain([folder.to_owned()])
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
        .with_context(|| format!("the archive holds no {program}"))?;
    fs::create_dir_all(bin)?;
    Ok(fs::rename(&found, bin.join(&file))?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_release_for_every_system() {
        let lock = Workspace::find().locked_version("wasm-bindgen").unwrap();
        let tools = [
            ("trunk", super::super::TRUNK_VERSION),
            ("cargo-deny", super::super::CARGO_DENY_VERSION),
            ("wasm-bindgen-cli", &lock),
        ];
        for (package, version) in tools {
            for system in
                ["x86_64-linux", "aarch64-linux", "x86_64-macos", "aarch64-macos", "x86_64-windows"]
            {
                let start = format!("{package} {version} {system} ");
                let line = RELEASES.lines().find(|line| line.starts_with(&start));
                let line = line.unwrap_or_else(|| panic!("releases.txt has no line `{start}...`"));
                let (digest, address) = line[start.len()..].split_once(' ').unwrap();
                assert!(
                    digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()),
                    "{line}"
                );
                assert!(address.starts_with("https://") && address.contains(version), "{line}");
            }
        }
    }

    #[test]
    fn digests_are_written_as_sha256sum_does() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&Sha256::digest(b"")), of_nothing);
    }
}
