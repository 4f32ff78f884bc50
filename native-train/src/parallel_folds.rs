//! Folds trained side by side, on one device or several. Each worker opens its device for itself, which gives it a stream
//! of its own on a GPU, and takes the next fold that is left.
//!
//! **A GPU that fails** among several ends its own workers alone. The folds that they were training go back to those that
//! are left, each of them once; another GPU continues them from their checkpoints.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use anyhow::{Error, Result};

use crate::device::{self, Device};
use crate::progress::Progress;
use crate::training::{Compute, PhaseTimes};

/// Trains `folds` by `train`, each worker with what `open` gives it for its device of `workers`. Returns how the
/// time that passed divides into training and validation.
///
/// # Errors
/// The first error of a worker that is not made up for by another device. The folds that other workers are training are
/// finished, and no further fold is begun.
pub fn train_all(
    folds: &[usize],
    workers: &[Device],
    progress: &mut Progress,
    open: impl Fn(Device) -> Result<Compute> + Sync,
    train: impl Fn(usize, &Compute, &mut Progress) -> Result<PhaseTimes> + Sync,
) -> Result<PhaseTimes> {
    let started = Instant::now();
    let workers = &workers[..workers.len().min(folds.len())];
    let queue = Queue::new(folds, workers);
    let work = |device: Device, progress: &mut Progress| -> Result<PhaseTimes> {
        let compute = match open(device) {
            Ok(compute) => compute,
            Err(error) => {
                queue.failed(device, None, error, progress)?;
                return Ok(PhaseTimes::default());
            }
        };
        let mut times = PhaseTimes::default();
        while let Some(job) = queue.next(device) {
            let _ending = Ending(&queue);
            progress.fold(job.fold, job.position, folds.len());
            match train(job.fold, &compute, progress) {
                Ok(of_fold) => times += of_fold,
                Err(error) => queue.failed(device, Some(job), error, progress)?,
            }
        }
        Ok(times)
    };
    match *workers {
        [] => return Ok(PhaseTimes::default()),
        [device] => return work(device, progress),
        _ => {}
    }
    let work = &work;
    let results = thread::scope(|scope| {
        let running: Vec<_> = progress
            .side_by_side(workers.len())
            .into_iter()
            .zip(workers)
            .map(|(mut progress, &device)| scope.spawn(move || work(device, &mut progress)))
            .collect();
        let joined = running.into_iter().map(|worker| match worker.join() {
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

/// A fold to train, the `position`-th.
#[derive(Debug, Clone, Copy)]
struct Job {
    position: usize,
    fold: usize,
    /// Whether a device has given it back.
    again: bool,
}

/// Says that a fold is no longer being trained, however its training ended. After a panic the folds that are left are not begun.
struct Ending<'a>(&'a Queue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.state().left.clear();
        }
        self.0.done();
    }
}

/// The folds that are left, for workers of several devices.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    left: VecDeque<Job>,
    /// Folds that are being trained, and may come back.
    in_training: usize,
    devices: BTreeSet<Device>,
    failed: BTreeSet<Device>,
}

impl State {
    fn one_is_left(&self) -> bool {
        self.devices.len() > self.failed.len()
    }
}

impl Queue {
    fn new(folds: &[usize], devices: &[Device]) -> Self {
        let jobs = (1..).zip(folds).map(|(position, &fold)| Job { position, fold, again: false });
        let state = State {
            left: jobs.collect(),
            in_training: 0,
            devices: devices.iter().copied().collect(),
            failed: BTreeSet::new(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no worker panics with it")
    }

    /// The next fold for a worker of `device`; `None` when all are trained, or the device has failed. Waits while a fold
    /// that another device is training may come back.
    fn next(&self, device: Device) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.failed.contains(&device) {
                return None;
            }
            if let Some(job) = state.left.pop_front() {
                state.in_training += 1;
                return Some(job);
            }
            if state.in_training == 0 || state.devices.len() == 1 {
                return None;
            }
            state = self.changed.wait(state).expect("no worker panics with it");
        }
    }

    /// A fold is no longer being trained.
    fn done(&self) {
        self.state().in_training -= 1;
        self.changed.notify_all();
    }

    /// Gives a fold back, if the error is its device's and another device is left, and the fold was not given back before.
    /// Else returns the error, and leaves no fold to be begun.
    fn failed(
        &self,
        device: Device,
        job: Option<Job>,
        error: Error,
        progress: &Progress,
    ) -> Result<()> {
        let mut state = self.state();
        if device::is_of_gpu(&error) {
            state.failed.insert(device);
        }
        let may_go_on = state.failed.contains(&device)
            && state.one_is_left()
            && job.is_none_or(|job| !job.again);
        if !may_go_on {
            state.left.clear();
            drop(state);
            self.changed.notify_all();
            return Err(error);
        }
        let to_others = match job {
            Some(job) => {
                state.left.push_front(Job { again: true, ..job });
                format!("another GPU trains fold {}", job.fold)
            }
            None => "the other GPUs train the folds".to_owned(),
        };
        drop(state);
        self.changed.notify_all();
        progress
            .warn(format_args!("`{device}` is left out, as it failed, and {to_others}: {error:#}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::training::Precision;

    const CARDS: [Device; 3] = [Device::Cuda(0), Device::Cuda(1), Device::Cuda(2)];

    thread_local! {
        static DEVICE: std::cell::Cell<Device> = const { std::cell::Cell::new(Device::Cpu) };
    }

    /// Trains five folds, where `train` says how each ends on a device. Returns the folds that were trained, ascending.
    fn run(
        workers: &[Device],
        train: impl Fn(usize, Device) -> Result<()> + Sync,
    ) -> (Result<PhaseTimes>, Vec<usize>) {
        let trained = Mutex::new(Vec::new());
        let open = |device| {
            DEVICE.set(device);
            Ok(Compute { device: candle_core::Device::Cpu, precision: Precision::F32 })
        };
        let one = |fold, _: &Compute, _: &mut Progress| {
            thread::sleep(Duration::from_millis(2));
            train(fold, DEVICE.get())?;
            trained.lock().unwrap().push(fold);
            Ok(PhaseTimes::default())
        };
        let result = train_all(&[0, 1, 2, 3, 4], workers, &mut Progress::quiet(), open, one);
        let mut trained = trained.into_inner().unwrap();
        trained.sort_unstable();
        (result, trained)
    }

    fn broken() -> Error {
        anyhow::anyhow!("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)")
    }

    #[test]
    fn folds_of_a_gpu_that_fails_are_trained_by_the_others() {
        for workers in [&CARDS[..], &[CARDS[0], CARDS[1], CARDS[0], CARDS[1]]] {
            let (result, trained) =
                run(workers, |_, device| if device == CARDS[1] { Err(broken()) } else { Ok(()) });
            assert!(result.is_ok(), "{result:?}");
            assert_eq!(trained, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_fold_that_two_gpus_fail_at_ends_the_training() {
        let tried = AtomicUsize::new(0);
        let (result, trained) = run(&CARDS, |fold, _| {
            if fold != 2 {
                return Ok(());
            }
            tried.fetch_add(1, Ordering::Relaxed);
            Err(broken())
        });
        assert!(result.unwrap_err().to_string().contains("ILLEGAL_ADDRESS"));
        assert_eq!(tried.into_inner(), 2);
        assert!(!trained.contains(&2));
    }

    #[test]
    fn the_last_gpu_ends_the_training_with_its_error() {
        let (result, trained) = run(&CARDS, |_, _| Err(broken()));
        assert!(result.unwrap_err().to_string().contains("ILLEGAL_ADDRESS"));
        assert_eq!(trained, [0; 0]);
    }

    #[test]
    fn a_panic_ends_the_training() {
        let training = || {
            run(&CARDS, |fold, _| {
                assert_ne!(fold, 0, "a bug");
                Ok(())
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(training)).is_err());
    }

    #[test]
    fn an_error_that_is_no_gpus_is_not_tried_elsewhere() {
        let tried = AtomicUsize::new(0);
        for workers in [&CARDS[..], &CARDS[..1]] {
            let (result, _) = run(workers, |fold, _| {
                tried.fetch_add(usize::from(fold == 0), Ordering::Relaxed);
                if fold == 0 { Err(anyhow::anyhow!("the disk is full")) } else { Ok(()) }
            });
            assert_eq!(result.unwrap_err().to_string(), "the disk is full");
        }
        assert_eq!(tried.into_inner(), 2);
    }
}
