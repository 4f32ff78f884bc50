//! `cargo xtask gpu-check`: packs what a GPU machine needs that has neither Rust nor a network, and what runs there.
//!
//! ```text
//! here:   build -> pack (programs, tests, texts, tokenizer, the rival) -> a folder, and the same as one file
//! there:  ./run -> parts, each with a time limit: sanitizer, tests, comparisons with PyTorch, bench -> results/
//! ```
//!
//! What runs there is this program again (`gpu-run`), so that its tables and limits are tested here. `--rehearse` does
//! both here, on the CPU with a tiny model.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::shell;
use crate::workspace::Workspace;

mod checks;
mod commands;
mod compare;
mod libraries;
mod limited;
mod pack;
mod parts;
mod plan;
mod report;
mod roofline;
mod sanitizer;
mod session;
mod timings;

pub use parts::{ThereArguments, run as run_there};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where to pack [default: TARGET/gpu-check].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Pack a tiny model's job for the CPU and run it here, in the build of `cargo xtask test`, which needs no CUDA compiler.
    /// QUINTET_PYTHON names a Python with PyTorch.
    #[arg(long)]
    rehearse: bool,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let name = if arguments.rehearse { "gpu-check-rehearsal" } else { "gpu-check" };
    let folder = arguments.output.clone().unwrap_or_else(|| workspace.target.join(name));
    let packed = pack::pack(workspace, &folder, arguments.rehearse)?;
    println!("packed into {}: {}", folder.display(), megabytes(packed.bytes));
    println!("the same as one file, {}: {}", packed.file.display(), megabytes(packed.file_bytes));
    if !arguments.rehearse {
        println!(
            "carry either to a machine with a GPU and start `run` there; README.txt in it says more"
        );
        return Ok(());
    }
    let mut script = Command::new(folder.join(pack::SCRIPT));
    script.arg(format!("--seconds={}", 60 * 60)); // it may have to share its machine
    shell::run(&mut script, "each part that failed says why in the folder's results/")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
