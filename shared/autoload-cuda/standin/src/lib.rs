//! A stand-in for NVIDIA's driver and libraries, for tests: a program built with CUDA runs its real path on a machine
//! without a card, and all that it asks of the driver is checked. README.md, beside this crate's sources, says what
//! is checked and what cannot be seen.
//!
//! Here is what a test needs: a [`Machine`] to run a command on, and the [`Account`] of what it did there. Nothing of
//! it is part of any program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// The names of the libraries' files, for CUDA 13.
pub const LIBRARIES: [&str; 5] =
    ["libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10", "libnvrtc.so.13"];

/// The exit code of a program that did something wrong: each violation stands on stderr.
pub const VIOLATED: i32 = 97;

/// Returns the shared object, if it was compiled (feature `libraries`).
pub fn library() -> Option<&'static Path> {
    option_env!("QUINTET_STANDIN").map(Path::new)
}

/// A machine with some cards and some faults.
#[derive(Debug, Clone)]
pub struct Machine {
    folder: PathBuf,
    missing: Option<&'static str>,
    variables: BTreeMap<&'static str, String>,
}

/// The account of a run.
#[derive(Debug, Default, Deserialize)]
pub struct Account {
    /// Mistakes of the program, each a sentence.
    pub violations: Vec<String>,
    /// Faults that were injected, each a sentence.
    pub faults: Vec<String>,
    /// The most bytes that tensors held at a time, by card.
    pub peak_bytes: BTreeMap<usize, u64>,
    /// Launches by kernel; `a product` is any by cuBLAS.
    pub kernels: BTreeMap<String, u64>,
    /// Calls from one update of the weights to the next.
    pub steps: Vec<Counts>,
}

/// Calls of the driver by one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Counts {
    /// Kernels.
    pub launches: u64,
    /// Products by cuBLAS.
    pub products: u64,
    /// `cuMemset*` and copies on the card.
    pub fills_and_copies: u64,
    /// Copies from the host.
    pub uploads: u64,
    /// Copies to the host, which waits for them.
    pub reads: u64,
    /// Waits of the host for a stream, an event or a context.
    pub waits: u64,
    pub allocations: u64,
}

impl Machine {
    /// A machine with one H100. `folder`, of which there is one for each machine, gets the libraries.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), missing: None, variables: BTreeMap::new() }
    }

    /// With these cards: their compute capabilities, without a dot, each with a colon and its bytes of memory if they
    /// are not 80 GiB (16 GiB before Ampere). `90,75` are an H100 and a T4.
    #[must_use]
    pub fn cards(self, cards: &str) -> Self {
        self.set("CARDS", cards)
    }

    /// With a driver for this version of CUDA, 12040 for 12.4.
    #[must_use]
    pub fn driver(self, version: u32) -> Self {
        self.set("DRIVER", version)
    }

    /// With images compiled for this compute capability, whatever they say.
    #[must_use]
    pub fn images(self, capability: u32) -> Self {
        self.set("IMAGES", capability)
    }

    /// With cards that are full when tensors hold so many bytes, whatever the driver has said is free.
    #[must_use]
    pub fn full_at(self, bytes: u64) -> Self {
        self.set("FULL_AT", bytes)
    }

    /// With an illegal address in the launch or product of this number on a card: it and all calls after it fail.
    #[must_use]
    pub fn illegal_after(self, card: usize, launches: u64) -> Self {
        self.set("ILLEGAL_AFTER", format!("{card}:{launches}"))
    }

    /// With an illegal address on this card while it is opened for this time, after cuBLAS's handle was made: all calls from
    /// there on fail.
    #[must_use]
    pub fn illegal_opening(self, card: usize, time: u64) -> Self {
        self.set("ILLEGAL_OPENING", format!("{card}:{time}"))
    }

    /// Without one of [`LIBRARIES`].
    #[must_use]
    pub fn without(self, library: &'static str) -> Self {
        Self { missing: Some(library), ..self }
    }

    /// The kernel that ends a training step, for [`Account::steps`].
    #[must_use]
    pub fn step(self, kernel: &str) -> Self {
        self.set("STEP", kernel)
    }

    fn set(mut self, name: &'static str, value: impl ToString) -> Self {
        self.variables.insert(name, value.to_string());
        self
    }

    /// Has `command` run on this machine.
    ///
    /// # Errors
    /// If the stand-in was not compiled, or the folder cannot be written.
    pub fn run<'a>(&self, command: &'a mut Command) -> io::Result<&'a mut Command> {
        let libraries = self.folder.join("lib");
        install(&libraries, self.missing)?;
        drop(fs::remove_file(self.account_path()));
        let mut paths = OsString::from(libraries);
        if let Some(others) = std::env::var_os("LD_LIBRARY_PATH") {
            paths.push(":");
            paths.push(others);
        }
        command.env("LD_LIBRARY_PATH", paths).env("QUINTET_STANDIN_ACCOUNT", self.account_path());
        for (name, value) in &self.variables {
            command.env(format!("QUINTET_STANDIN_{name}"), value);
        }
        Ok(command)
    }

    /// Reads the account of the last run.
    ///
    /// # Errors
    /// If it wrote none, because it called no function of the libraries or was killed.
    pub fn account(&self) -> io::Result<Account> {
        Ok(serde_json::from_str(&fs::read_to_string(self.account_path())?)?)
    }

    fn account_path(&self) -> PathBuf {
        self.folder.join("account.json")
    }
}

/// Puts the libraries into `folder`, all but `missing`.
fn install(folder: &Path, missing: Option<&str>) -> io::Result<()> {
    let library = library().ok_or_else(|| {
        io::Error::other("the stand-in was not compiled: pass `--features cuda-standin/libraries`")
    })?;
    fs::create_dir_all(folder)?;
    for name in LIBRARIES {
        let link = folder.join(name);
        drop(fs::remove_file(&link));
        if missing != Some(name) {
            #[cfg(unix)]
            std::os::unix::fs::symlink(library, &link)?;
            #[cfg(not(unix))]
            fs::copy(library, &link)?;
        }
    }
    Ok(())
}
