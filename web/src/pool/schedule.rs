//! What the pool does next, as a pure state machine: workers' messages and the page's wishes in,
//! things to do out. No browser here, so all of it is tested natively.
//!
//! - Folds are loaded in their order, one download at a time, so that the first can answer while the
//!   others load, and a shard that several folds use is downloaded once and then found in the cache.
//!   A fold whose shards are all cached does not wait for its turn.
//! - Where a bundle has word embeddings for later, a fold's are loaded when it answers without. A text that needs
//!   them waits; the worker finds that out and says so.
//! - A worker has at most one request in flight, of a few texts, so that what is cancelled does not
//!   hold up what comes next for long.
//! - Not more workers work than there are cores, so that the first answers come early; but when a worker for each fold
//!   that is left can work, all do, so that no core idles in the end.
//! - A worker that may not hold all of its folds drops one that has nothing left to answer for one
//!   that has.

use super::PoolEvent;
use super::plan::Share;
use crate::failure::Failure;
use crate::protocol::{FromWorker, ToWorker};

mod cold;
mod jobs;
mod loading;
mod parts;
mod shards;
#[cfg(test)]
mod tests;

use jobs::Jobs;
pub use parts::ShardsOfFold;
use parts::{Cold, Fold, Phase, Status, Worker};
use shards::Shards;

/// Something for the runtime to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start this worker, or start it anew.
    Spawn {
        worker: usize,
    },
    /// Tell it where the bundle is.
    Open {
        worker: usize,
    },
    Send {
        worker: usize,
        message: ToWorker,
    },
    Terminate {
        worker: usize,
    },
    Report(PoolEvent),
}

/// The state of all folds, workers and requests.
pub struct Scheduler {
    folds: Vec<Fold>,
    workers: Vec<Worker>,
    cores: usize,
    shards: Shards,
    jobs: Jobs,
    /// The shards are not kept, which was reported; so folds cannot be taken in turn.
    is_uncached: bool,
    actions: Vec<Action>,
}

impl Scheduler {
    pub fn new(
        shares: Vec<Share>,
        cores: usize,
        shards_of: Vec<ShardsOfFold>,
        shard_bytes: &[u64],
    ) -> Self {
        let owner = |fold| {
            let owner = shares.iter().position(|share| share.folds.contains(&fold));
            owner.expect("the plan gives every fold a worker")
        };
        let folds = shards_of.into_iter().enumerate().map(|(fold, shards)| Fold {
            worker: owner(fold),
            cold: if shards.cold.is_empty() { Cold::Here } else { Cold::Waiting },
            shards: shards.hot,
            cold_shards: shards.cold,
            status: Status::Waiting,
            was_whole: false,
            is_announced: false,
        });
        let folds: Vec<Fold> = folds.collect();
        let workers = shares.into_iter().map(|Share { folds, resident }| Worker {
            folds,
            resident,
            phase: Phase::Down,
            loading: None,
            completing: None,
            busy: None,
            was_restarted: false,
        });
        Self {
            jobs: Jobs::new(folds.len()),
            folds,
            workers: workers.collect(),
            cores: cores.max(1),
            shards: Shards::new(shard_bytes),
            is_uncached: false,
            actions: Vec::new(),
        }
    }

    /// Begins, given which shards the cache has.
    pub fn start(&mut self, cached: Vec<bool>) -> Vec<Action> {
        for shard in (0..cached.len()).filter(|&shard| cached[shard]) {
            self.shards.take(shard, true);
        }
        self.report(self.shards.progress());
        self.spawn_needed();
        self.proceed()
    }

    /// A worker said something.
    pub fn message(&mut self, worker: usize, message: FromWorker) -> Vec<Action> {
        match message {
            FromWorker::Ready => {
                self.workers[worker].phase = Phase::Up;
                self.actions.push(Action::Open { worker });
            }
            FromWorker::Progress { shard, received } => {
                if self.shards.receive(shard, received) {
                    self.report(self.shards.progress());
                }
            }
            FromWorker::Taken { shard, cached } => {
                if self.shards.take(shard, cached) {
                    self.report(self.shards.progress());
                }
            }
            FromWorker::NotCached { reason } => {
                if !self.is_uncached {
                    self.is_uncached = true;
                    self.report(PoolEvent::NotCached { reason });
                }
            }
            FromWorker::Loaded { fold } => {
                self.workers[worker].loading = None;
                self.folds[fold].status = Status::Resident;
                self.folds[fold].forget_cold();
                if !std::mem::replace(&mut self.folds[fold].is_announced, true) {
                    self.report(PoolEvent::FoldReady { fold });
                }
            }
            FromWorker::ColdLoaded { fold } => self.completed(worker, fold),
            FromWorker::ColdFailed { fold, failure } => self.not_completed(worker, fold, failure),
            FromWorker::Answer { ticket, fold, answers } => {
                self.workers[worker].busy = None;
                if let Some(event) = self.jobs.answer(ticket, fold, answers) {
                    self.report(event);
                }
            }
            FromWorker::Failed { fold, failure } => self.failed(worker, fold, failure),
            FromWorker::OutOfMemory => self.died(worker, Failure::OutOfMemory),
        }
        self.proceed()
    }

    /// A worker stopped without a word, or never started.
    pub fn worker_died(&mut self, worker: usize, failure: Failure) -> Vec<Action> {
        self.died(worker, failure);
        self.proceed()
    }

    pub fn classify(&mut self, request: u32, texts: Vec<String>) -> Vec<Action> {
        if texts.is_empty() {
            for fold in 0..self.folds.len() {
                self.report(PoolEvent::Answer { request, fold, answers: Vec::new() });
            }
        } else {
            self.jobs.add(request, texts);
        }
        self.proceed()
    }

    pub fn cancel(&mut self, request: u32) -> Vec<Action> {
        self.jobs.cancel(request);
        self.proceed()
    }

    pub fn cancel_loading(&mut self) -> Vec<Action> {
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_loading() {
                self.send(worker, ToWorker::CancelLoading);
            }
        }
        self.fail_unfinished(&Failure::Cancelled);
        self.proceed()
    }

    pub fn retry(&mut self) -> Vec<Action> {
        for fold in &mut self.folds {
            if fold.status == Status::Failed {
                fold.status = Status::Waiting;
            }
            if fold.cold == Cold::Failed {
                fold.cold = Cold::Waiting;
            }
        }
        for worker in &mut self.workers {
            worker.was_restarted = false;
        }
        self.spawn_needed();
        self.proceed()
    }

    /// Ends everything; nothing is reported any more.
    pub fn stop(&mut self) -> Vec<Action> {
        self.actions.clear();
        for (index, worker) in self.workers.iter_mut().enumerate() {
            worker.phase = Phase::Down;
            self.actions.push(Action::Terminate { worker: index });
        }
        std::mem::take(&mut self.actions)
    }

    fn spawn_needed(&mut self) {
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            let is_needed =
                worker.folds.iter().any(|&fold| self.folds[fold].status == Status::Waiting);
            if worker.phase == Phase::Down && is_needed {
                worker.phase = Phase::Starting;
                self.actions.push(Action::Spawn { worker: index });
            }
        }
    }

    fn died(&mut self, index: usize, failure: Failure) {
        let worker = &mut self.workers[index];
        if worker.phase == Phase::Down {
            return;
        }
        let last_time = worker.was_restarted;
        let completing = worker.completing.take();
        (worker.loading, worker.busy, worker.was_restarted) = (None, None, true);
        if failure == Failure::OutOfMemory {
            worker.resident = 1;
        }
        let lost: Vec<usize> = worker.folds.clone();
        for &fold in &lost {
            let fold = &mut self.folds[fold];
            if matches!(fold.status, Status::Loading | Status::Resident) {
                (fold.status, fold.is_announced, fold.was_whole) = (Status::Waiting, false, false);
                fold.forget_cold();
            }
        }
        if let Some(fold) = completing.filter(|_| failure == Failure::OutOfMemory) {
            // What there was room for works on.
            self.fail_cold(fold, failure.clone());
        }
        if last_time {
            self.workers[index].phase = Phase::Down;
            self.actions.push(Action::Terminate { worker: index });
            for fold in lost {
                if self.folds[fold].status != Status::Failed {
                    self.fail(fold, failure.clone());
                }
            }
        } else {
            self.workers[index].phase = Phase::Starting;
            self.actions.push(Action::Spawn { worker: index });
            for fold in lost {
                if self.folds[fold].status == Status::Waiting {
                    self.report(PoolEvent::WorkerRestarted { fold });
                }
            }
        }
    }

    /// Gives every idle worker what there is for it to do.
    fn proceed(&mut self) -> Vec<Action> {
        let failed: Vec<bool> =
            self.folds.iter().map(|fold| fold.status == Status::Failed).collect();
        self.jobs.forget_finished(&failed);
        for worker in 0..self.workers.len() {
            self.dispatch(worker);
        }
        self.go_on_with_cold();
        for fold in 0..self.folds.len() {
            self.load_if_due(fold);
        }
        self.complete_from_cache();
        std::mem::take(&mut self.actions)
    }

    fn dispatch(&mut self, worker: usize) {
        let state = &self.workers[worker];
        if state.phase != Phase::Up || state.busy.is_some() {
            return;
        }
        let resident = state.folds.iter().copied();
        let resident = resident.filter(|&fold| self.folds[fold].status == Status::Resident);
        let resident = resident.map(|fold| (fold, self.folds[fold].is_whole()));
        let busy = self.workers.iter().filter(|worker| worker.busy.is_some()).count();
        let most_left = if busy < self.cores { usize::MAX } else { self.workers.len() };
        if let Some((ticket, fold, texts)) = self.jobs.next(resident, most_left) {
            self.workers[worker].busy = Some((ticket, fold));
            self.send(worker, ToWorker::Classify { ticket, fold, texts });
        }
    }

    fn send(&mut self, worker: usize, message: ToWorker) {
        self.actions.push(Action::Send { worker, message });
    }

    fn report(&mut self, event: PoolEvent) {
        self.actions.push(Action::Report(event));
    }
}
