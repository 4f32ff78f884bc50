//! The threads that this process computes with.

use std::{env, thread};

use anyhow::{Context, Result};
use candle_core::Device;
use shared::kernels::cuda;

use crate::error::check;

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

/// The number of cores that this process may use: those of its affinity, or fewer if its cgroup has less time or Slurm gave it
/// fewer.
pub fn cores() -> usize {
    let available = thread::available_parallelism().map_or(1, usize::from);
    slurm_cores().map_or(available, |cores| cores.min(available))
}

/// The cores that Slurm gave this task.
///
/// A cluster need not bind tasks to their cores; without this, each of several tasks of a node would take all of them.
pub fn slurm_cores() -> Option<usize> {
    told_by_slurm(|variable| env::var(variable).ok())
}

fn told_by_slurm(value: impl Fn(&str) -> Option<String>) -> Option<usize> {
    // The second is of all tasks of the node. Slurm leaves the first out where `--cpus-per-task` was not given.
    ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"].into_iter().find_map(|variable| {
        let cores: usize = value(variable)?.trim().parse().ok()?;
        (cores > 0).then_some(cores)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurm_tells_the_cores_of_a_task() {
        let told = |variables: &'static [(&str, &str)]| {
            told_by_slurm(|name| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(told(&[]), None);
        let both = &[("SLURM_CPUS_PER_TASK", "4"), ("SLURM_CPUS_ON_NODE", "16")];
        assert_eq!(told(both), Some(4));
        assert_eq!(told(&[("SLURM_CPUS_ON_NODE", "16")]), Some(16));
        // What is no number of cores says nothing.
        let odd = &[("SLURM_CPUS_PER_TASK", ""), ("SLURM_CPUS_ON_NODE", "0")];
        assert_eq!(told(odd), None);
    }
}
