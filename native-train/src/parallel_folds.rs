//! Folds trained side by side. Each worker opens the device for itself, which gives it a stream of its
//! own on a GPU, and takes the next fold that is left.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::Result;

use crate::progress::Progress;
use crate::training::{Compute, PhaseTimes};

/// Trains `folds` by `train`, up to `workers` at a time, each with what `open` gives it. Returns how the
/// time that passed divides into training and validation.
///
/// # Errors
/// The first error of a worker. The folds that other workers are training are finished, and no further
/// fold is begun.
pub fn train_all(
    folds: &[usize],
    workers: usize,
    progress: &mut Progress,
    open: impl Fn() -> Result<Compute> + Sync,
    train: impl Fn(usize, &Compute, &mut Progress) -> Result<PhaseTimes> + Sync,
) -> Result<PhaseTimes> {
    let started = Instant::now();
    let left: Mutex<VecDeque<_>> = Mutex::new((1..).zip(folds.iter().copied()).collect());
    let next = || left.lock().expect("no worker panics with it").pop_front();
    let stop = || left.lock().expect("no worker panics with it").clear();
    let work = |progress: &mut Progress| -> Result<PhaseTimes> {
        let compute = open().inspect_err(|_| stop())?;
        let mut times = PhaseTimes::default();
        while let Some((position, fold)) = next() {
            progress.fold(fold, position, folds.len());
            times += train(fold, &compute, progress).inspect_err(|_| stop())?;
        }
        Ok(times)
    };
    match workers.min(folds.len()) {
        0 => return Ok(PhaseTimes::default()),
        1 => return work(progress),
        _ => {}
    }
    let results = thread::scope(|scope| {
        let workers: Vec<_> = progress
            .side_by_side(workers.min(folds.len()))
            .into_iter()
            .map(|mut progress| scope.spawn(move || work(&mut progress)))
            .collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Vec<_>>()
    });
    let mut times = PhaseTimes::default();
    for result in results {
        times += result?;
    }
    // Trainings side by side share the time that passed.
    let busy = (times.train + times.validation).as_secs_f64().max(f64::MIN_POSITIVE);
    let share = (started.elapsed().as_secs_f64() / busy).min(1.0);
    Ok(PhaseTimes {
        train: times.train.mul_f64(share),
        validation: times.validation.mul_f64(share),
    })
}
