//! The threads that this process computes with.

use anyhow::{Context, Result};
use candle_core::Device;
use shared::kernels::cuda;

use crate::config::{check, cores};

/// Sets the number of threads; `None` for one on each core.
///
/// # Errors
/// If `threads` is 0, or the system does not start that many.
pub fn set(threads: Option<usize>) -> Result<()> {
    let threads = threads.unwrap_or_else(cores);
    check("threads", threads, threads >= 1, "1 or more")?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .with_context(|| format!("cannot start {threads} threads"))
}

/// Returns what `work` does, on one of the threads if the CPU's kernels compute on `device`.
///
/// A loop of a kernel that is called from elsewhere has to wake them, and sleep until they have run it; called from one of them it
/// begins at once. A training step on short texts takes a fiftieth less.
///
/// `work` must not wait for another that is computed on these threads.
pub fn compute_on<T: Send>(device: &Device, work: impl FnOnce() -> T + Send) -> T {
    match cuda::runs_on(device) {
        // A GPU's libraries belong to the thread that opened them.
        true => work(),
        false => rayon::scope(|_| work()),
    }
}
