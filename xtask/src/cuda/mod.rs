//! `cargo xtask cuda`: building for NVIDIA GPUs on a machine that need not have one.
//!
//! Where the CUDA toolkit is installed, `cargo build --release --features cuda` is all it takes. Where it is not, the
//! compiler is fetched into the target folder first. Either way the program loads CUDA's libraries when it needs
//! them (the crate `autoload-cuda`), so nothing of NVIDIA's has to be there to link it or to start it.

use anyhow::Result;

use crate::shell;
use crate::workspace::Workspace;

mod fatbin;
mod kernels;
pub mod standin;
mod toolkit;

pub use kernels::check as check_kernels;
pub use toolkit::{Toolkit, python};

/// The Cargo feature.
pub const FEATURE: &str = "cuda";

/// The feature of tests, which runs the kernels' sources on the CPU.
pub const EMULATOR: &str = "native-train/cuda-emulator";

#[derive(clap::Subcommand)]
pub enum Command {
    /// Says where the CUDA toolkit is; fetches its compiler into TARGET/tools if there is none
    ///
    /// It is looked for in CUDA_HOME, CUDA_PATH, on PATH and in /usr/local/cuda. Fetching takes a Python with pip and
    /// 100 MB from PyPI (Linux on x86-64).
    Toolkit,
    /// Builds the workspace with the feature `cuda`, fetching the compiler if there is none
    ///
    /// Candle's kernels for quantised models, which would take most of an hour, are left out: no program here is linked
    /// with them. The program starts on a machine without CUDA as well. CUDA_COMPUTE_CAP says which cards it is for: 80,
    /// the default, runs on A100 and all later ones.
    Build,
    /// Compiles our kernels, lists what each takes and for which cards there is code, fails where one spills registers
    Kernels(kernels::Arguments),
}

pub fn run(workspace: &Workspace, command: &Command) -> Result<()> {
    match command {
        Command::Toolkit => {
            let toolkit = Toolkit::find_or_fetch(workspace)?;
            println!("{}", toolkit.home().display());
            Ok(())
        }
        Command::Build => {
            let toolkit = Toolkit::find_or_fetch(workspace)?;
            let shell = toolkit.shell(workspace);
            let mut command = shell.cargo("build");
            // The whole workspace, as everywhere: another choice of packages would be another build.
            command.args(["--workspace", "--features", FEATURE]);
            shell::run(toolkit.pass_to(workspace, &mut command)?, "see the error above")
        }
        Command::Kernels(arguments) => kernels::run(workspace, arguments),
    }
}
