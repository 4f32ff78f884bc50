//! The place of the CUDA toolkit, and how to come by its compiler where there is none.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::shell::{self, Shell};
use crate::workspace::Workspace;

/// pip's own format: versions and digests.
const WHEELS: &str = include_str!("toolkit.txt");

/// A script in nvcc's place for candle's kernels.
const NVCC: &str = include_str!("nvcc.sh");

/// CUDA's version in [`WHEELS`], as the folder is named and as `cudarc` wants it.
const FETCHED: (&str, &str) = ("cuda-13.0", "13000");

const USUAL: &str = "/usr/local/cuda";

/// PTX of this compute capability runs on an A100 and on all that came later.
const COMPUTE_CAPABILITY: &str = "80";

pub struct Toolkit {
    home: PathBuf,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The environment says so already.
    Environment,
    Found,
    Fetched,
}

impl Toolkit {
    /// CUDA_HOME's or CUDA_PATH's, that of the nvcc on PATH, the usual one, or the one that is fetched.
    pub fn find_or_fetch(workspace: &Workspace) -> Result<Self> {
        if let Some(found) = Self::find(&Shell::new(workspace)) {
            return Ok(found);
        }
        let folder = workspace.tools().join(FETCHED.0);
        let home = folder.join("nvidia/cu13");
        if !is_toolkit(&home) {
            fetch(workspace, &folder)?;
        }
        Ok(Self { home, origin: Origin::Fetched })
    }

    fn find(shell: &Shell) -> Option<Self> {
        let named = ["CUDA_HOME", "CUDA_PATH"].iter().find_map(env::var_os).map(PathBuf::from);
        if let Some(home) = named.filter(|home| is_toolkit(home)) {
            return Some(Self { home, origin: Origin::Environment });
        }
        let on_path = shell.find(&["nvcc"]).and_then(|nvcc| fs::canonicalize(nvcc).ok());
        let on_path = on_path.and_then(|nvcc| Some(nvcc.parent()?.parent()?.to_owned()));
        let home = on_path.into_iter().chain([USUAL.into()]).find(|home| is_toolkit(home))?;
        Some(Self { home, origin: Origin::Found })
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A shell that finds the compiler.
    pub fn shell<'a>(&self, workspace: &'a Workspace) -> Shell<'a> {
        Shell::new(workspace).preferring([self.home.join("bin"), self.home.join("nvvm/bin")])
    }

    /// Tells a cargo command about it, as build scripts want to be told.
    ///
    /// What the environment says already is left alone: a build script that watches a variable runs again when it changes,
    /// and those of the kernels take long.
    ///
    /// # Errors
    /// If the script in nvcc's place cannot be written.
    pub fn pass_to<'a>(
        &self,
        workspace: &Workspace,
        command: &'a mut Command,
    ) -> Result<&'a mut Command> {
        if cfg!(unix) && env::var_os("NVCC").is_none() {
            command.env("NVCC", script(&workspace.target)?);
            command.env("QUINTET_NVCC", self.home.join("bin/nvcc"));
        }
        if env::var_os("CUDA_COMPUTE_CAP").is_none() {
            command.env("CUDA_COMPUTE_CAP", COMPUTE_CAPABILITY);
        }
        if self.origin != Origin::Environment {
            command.env("CUDA_HOME", &self.home);
        }
        if self.origin == Origin::Fetched {
            command.env("CUDARC_CUDA_VERSION", FETCHED.1);
        }
        Ok(command)
    }
}

/// Writes the script in nvcc's place, if it is not there as it should be: build scripts look at its name and time.
fn script(target: &Path) -> Result<PathBuf> {
    let folder = target.join("cuda-nvcc");
    let path = folder.join("nvcc");
    if fs::read(&path).is_ok_and(|there| there == NVCC.as_bytes()) {
        return Ok(path);
    }
    fs::create_dir_all(&folder)?;
    fs::write(&path, NVCC)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

fn is_toolkit(home: &Path) -> bool {
    home.join("bin/nvcc").is_file()
}

/// Has pip fetch the wheels, compare them with their digests and unpack them into `folder`.
fn fetch(workspace: &Workspace, folder: &Path) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "no CUDA toolkit found in CUDA_HOME, on PATH or in {USUAL}: install it \
             (https://developer.nvidia.com/cuda-downloads); only for Linux on x86-64 it can be fetched"
        );
    }
    let shell = Shell::new(workspace);
    let python = python(&shell)?;
    eprintln!("cuda: no toolkit found; fetching the compiler into {}", folder.display());
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)?;
    let list = unfinished.join("wheels.txt");
    fs::write(&list, WHEELS)?;
    let mut pip = shell.command(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]);
    pip.args(["--no-deps", "--require-hashes", "--only-binary=:all:", "--target"]).arg(&unfinished);
    pip.arg("--requirement").arg(&list);
    shell::run(
        &mut pip,
        "pip fetches from https://pypi.org: see that it is reachable, or install the CUDA toolkit",
    )?;
    let home = unfinished.join("nvidia/cu13");
    lib64(&home).with_context(|| format!("cannot finish {}", home.display()))?;
    Ok(fs::rename(&unfinished, folder)?)
}

/// A Python with pip.
pub fn python(shell: &Shell) -> Result<PathBuf> {
    let has_pip = |python: &PathBuf| {
        shell::answer(shell.command(python).args(["-m", "pip", "--version"])).is_some()
    };
    let named = env::var_os("QUINTET_PYTHON").filter(|python| !python.is_empty());
    let candidates = named.map(PathBuf::from).into_iter().chain(shell.find(&["python3"]));
    candidates.into_iter().find(has_pip).context(
        "no Python with pip found to fetch wheels with (Debian: `apt-get install python3-pip`; or name one in QUINTET_PYTHON)",
    )
}

/// Whoever looks for libraries looks in `lib64`, and the wheels have `lib`.
fn lib64(home: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::symlink("lib", home.join("lib64"))?;
    #[cfg(not(unix))]
    let _ = home;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn kernels_for_quantised_models_are_left_out_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = script(folder.path()).expect("it can be written");
        let object = folder.path().join("kernel.o");
        let nvcc = |source: &str, more: &[&str]| {
            let mut command = Command::new(&script);
            command.arg("-c").arg("-o").arg(&object).arg(source).args(more);
            let output = command.env("QUINTET_NVCC", "echo").output().expect("it starts");
            assert!(output.status.success());
            String::from_utf8(output.stdout).expect("text")
        };
        for source in
            ["src/mmq_gguf/mmq_instance_q4_0.cu", "src/moe/moe_wmma.cu", "src/mmvq_gguf.cu"]
        {
            assert_eq!(nvcc(source, &[]), "", "{source}");
            assert_eq!(fs::read(&object).expect("an object"), b"");
            fs::remove_file(&object).expect("it is there");
        }
        assert!(nvcc("src/reduce.cu", &["-O3"]).ends_with("kernel.o src/reduce.cu -O3\n"));
        assert!(!object.exists());
    }

    #[test]
    fn every_wheel_has_a_version_and_a_digest() {
        let lines = WHEELS.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for line in lines {
            let (package, digest) = line.split_once(" --hash=sha256:").expect("a digest");
            let (name, version) = package.split_once("==").expect("a version");
            assert!(name.starts_with("nvidia-") && version.starts_with("13.0."), "{line}");
            assert!(digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{line}");
            count += 1;
        }
        assert_eq!(count, 5);
    }
}
