//! Checks of ranges, and the number of cores.

use std::{env, fmt, thread};

use crate::error::UserError;
use crate::training::Hyperparameters;

/// # Errors
/// If the value of a setting is not valid; `rule` says which values are.
pub fn check(
    key: &str,
    value: impl fmt::Display,
    valid: bool,
    rule: &str,
) -> Result<(), UserError> {
    if valid {
        return Ok(());
    }
    Err(UserError::new(format!("`{key}` is {value}, but must be {rule}")))
}

/// # Errors
/// If a setting of a training is out of range.
pub fn check_hyperparameters(given: &Hyperparameters) -> Result<(), UserError> {
    check("epochs", given.epochs, given.epochs >= 1, "1 or more")?;
    check("batch-size", given.batch_size, given.batch_size >= 1, "1 or more")?;
    let rule = format!("1 or more and at most the batch size, {}", given.batch_size);
    let fits = (1..=given.batch_size).contains(&given.grad_accumulation);
    check("grad-accumulation", given.grad_accumulation, fits, &rule)?;
    let rate = given.learning_rate;
    check("lr", rate, rate > 0.0 && rate.is_finite(), "above 0")?;
    let ratio = given.warmup_ratio;
    check("warmup-ratio", ratio, (0.0..=1.0).contains(&ratio), "between 0 and 1")?;
    let decay = given.weight_decay;
    check("weight-decay", decay, decay >= 0.0 && decay.is_finite(), "0 or more")?;
    let norm = given.max_grad_norm;
    check("max-grad-norm", norm, norm > 0.0 && norm.is_finite(), "above 0")
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
