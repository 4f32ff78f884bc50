//! The pool's decisions as a pure state machine: messages of workers and calls of the page in, actions
//! out. It uses no browser, so all of it is tested natively.
//!
//! - Folds are loaded one download at a time, in their order as far as their workers listen yet, so that the first
//!   answers while the others load, and a shard that several folds use is downloaded once and then found in the cache.
//!   A fold whose shards are all cached does not wait for its turn.
//! - A bundle may have cold rows. A fold loads its own right after it has become ready. The worker finds out
//!   which texts need them; those wait.
//! - A worker classifies a few texts at a time, so that a cancelled request does not hold up the next one
//!   for long.
//! - No more workers work than there are cores, so that the first answers come early. When each remaining
//!   fold has a free worker, all of them work, so that no core idles at the end.
//! - Where there is a final model, it is loaded first, in a worker of its own, and the folds only when they are
//!   asked for. When all of them are in and no request waits for the final model, its worker ends, which gives its
//!   memory back. To the scheduler it is one more fold, the last one.
//! - While nobody looks at the page, its workers end; the next question, or the visitor's return, starts them again.
//! - A worker that cannot hold all of its folds drops one that has nothing left to answer for one that has.
//! - Where there are more cores than folds, helpers hold copies of them while there is a long list.

use super::event::PoolEvent;
use crate::failure::Failure;
use crate::models::Models;
use crate::protocol::{FromWorker, ToWorker};

mod cold;
mod final_model;
mod helpers;
mod loading;
mod queue;
mod rest;
mod shards;
mod state;
#[cfg(test)]
mod tests;

use queue::{Holder, Next};
pub use state::{Action, Scheduler, ShardsOfFold};
use state::{Cold, FoldState, Residence, WorkerPhase, WorkerState};

impl Scheduler {
    /// Starts the workers. `cached` says of each shard whether the cache has it.
    pub fn start(&mut self, cached: Vec<bool>) -> Vec<Action> {
        self.is_started = true;
        for shard in (0..cached.len()).filter(|&shard| cached[shard]) {
            self.shards.take(shard, true);
        }
        self.report(self.shards.progress());
        self.spawn_needed();
        self.proceed()
    }

    /// Loads the folds, where only the final model was loaded before.
    pub fn load_folds(&mut self) -> Vec<Action> {
        self.dismiss_helpers();
        for fold in &mut self.folds[..self.models] {
            if fold.residence == Residence::Unasked {
                fold.residence = Residence::Waiting;
            }
        }
        self.shards.want_all();
        if !self.is_started {
            return Vec::new();
        }
        self.report(self.shards.progress());
        self.spawn_needed();
        self.proceed()
    }

    /// Takes a worker's message.
    pub fn message(&mut self, worker: usize, message: FromWorker) -> Vec<Action> {
        match message {
            FromWorker::Ready => {
                self.workers[worker].phase = WorkerPhase::Up;
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
                let fold = self.place_of(worker, fold);
                self.workers[worker].loading = None;
                self.folds[fold].residence = Residence::Resident;
                self.folds[fold].forget_cold();
                let was_announced = std::mem::replace(&mut self.folds[fold].is_announced, true);
                if !was_announced && !self.folds[fold].is_copy {
                    self.report(PoolEvent::FoldReady { fold });
                }
            }
            FromWorker::ColdLoaded { fold } => self.cold_loaded(worker, fold),
            FromWorker::ColdFailed { fold, failure } => self.cold_not_loaded(worker, fold, failure),
            FromWorker::Answer { ticket, fold, answers } => {
                self.workers[worker].busy = None;
                let event = self.queue.answer(worker, ticket, fold, answers);
                // A copy may have been asked about a text whose rows its original has.
                let is_late = |event: &PoolEvent| {
                    matches!(event, PoolEvent::NeedsCold { .. }) && self.folds[fold].has_cold()
                };
                if let Some(event) = event.filter(|event| !is_late(event)) {
                    self.report(event);
                }
            }
            FromWorker::Failed { fold, failure } => {
                self.failed(worker, self.place_of(worker, fold), failure);
            }
            FromWorker::OutOfMemory => self.died(worker, Failure::OutOfMemory),
        }
        self.proceed()
    }

    /// Notes that a worker died or could not be started.
    pub fn worker_died(&mut self, worker: usize, failure: Failure) -> Vec<Action> {
        self.died(worker, failure);
        self.proceed()
    }

    /// Adds a request to these models. Without texts it is answered at once.
    pub fn classify(&mut self, request: u32, texts: Vec<String>, models: Models) -> Vec<Action> {
        let count = self.fold_count();
        if texts.is_empty() {
            for fold in (0..self.models).filter(|&fold| models.have(fold, count)) {
                self.report(PoolEvent::Answer { request, fold, answers: Vec::new() });
            }
        } else {
            if texts.len() == 1 && !self.queue.has_list() {
                self.dismiss_helpers();
            }
            let asked = (0..self.models).map(|fold| models.have(fold, count)).collect();
            self.queue.add(request, texts, asked);
        }
        self.recall_final_model();
        if self.is_started {
            // They may be at rest.
            self.spawn_needed();
        }
        self.proceed()
    }

    pub fn cancel(&mut self, request: u32) -> Vec<Action> {
        self.queue.cancel(request);
        self.proceed()
    }

    /// Stops loading: what is not loaded fails with [`Failure::Cancelled`].
    pub fn cancel_loading(&mut self) -> Vec<Action> {
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_loading() {
                self.send(worker, ToWorker::CancelLoading);
            }
        }
        self.fail_unfinished(&Failure::Cancelled);
        self.proceed()
    }

    /// Loads again what has failed.
    pub fn retry(&mut self) -> Vec<Action> {
        for fold in &mut self.folds[..self.models] {
            if fold.residence == Residence::Failed {
                fold.residence = Residence::Waiting;
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

    /// Notes that the visitor has emptied the cache: what leaves memory from now on would have to be downloaded again.
    pub fn cache_cleared(&mut self) -> Vec<Action> {
        self.shards.forget_cached();
        self.proceed()
    }

    /// Terminates all workers; nothing is reported afterwards.
    pub fn stop(&mut self) -> Vec<Action> {
        self.actions.clear();
        for (index, worker) in self.workers.iter_mut().enumerate() {
            worker.phase = WorkerPhase::Down;
            self.actions.push(Action::Terminate { worker: index });
        }
        std::mem::take(&mut self.actions)
    }

    /// Starts the workers that are down and have folds to load.
    fn spawn_needed(&mut self) {
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            let is_needed =
                worker.folds.iter().any(|&fold| self.folds[fold].residence == Residence::Waiting);
            if worker.phase == WorkerPhase::Down && is_needed {
                worker.phase = WorkerPhase::Starting;
                self.actions.push(Action::Spawn { worker: index });
            }
        }
    }

    /// Starts a worker again after its first death; after the second its folds fail.
    fn died(&mut self, index: usize, failure: Failure) {
        let worker = &mut self.workers[index];
        if worker.phase == WorkerPhase::Down {
            return;
        }
        if self.folds[worker.folds[0]].is_copy {
            self.lose_helper(index);
            return;
        }
        let last_time = worker.was_restarted;
        let loading_cold = worker.loading_cold.take();
        (worker.loading, worker.busy, worker.was_restarted) = (None, None, true);
        self.queue.take_back(index);
        let worker = &mut self.workers[index];
        if failure == Failure::OutOfMemory {
            worker.capacity = 1;
            if !std::mem::replace(&mut self.is_short, true) {
                self.report(PoolEvent::OutOfMemory);
            }
        }
        let lost: Vec<usize> = self.workers[index].folds.clone();
        for &fold in &lost {
            let fold = &mut self.folds[fold];
            if matches!(fold.residence, Residence::Loading | Residence::Resident) {
                (fold.residence, fold.is_announced, fold.had_cold) =
                    (Residence::Waiting, false, false);
                fold.forget_cold();
            }
        }
        if let Some(fold) = loading_cold.filter(|_| failure == Failure::OutOfMemory) {
            // The fold itself fits into memory, so it goes on without them.
            self.fail_cold(fold, failure.clone());
        }
        if last_time {
            self.workers[index].phase = WorkerPhase::Down;
            self.actions.push(Action::Terminate { worker: index });
            for fold in lost {
                if self.folds[fold].residence != Residence::Failed {
                    self.fail(fold, failure.clone());
                }
            }
        } else {
            self.workers[index].phase = WorkerPhase::Starting;
            self.actions.push(Action::Spawn { worker: index });
            for fold in lost {
                if self.folds[fold].residence == Residence::Waiting {
                    self.report(PoolEvent::WorkerRestarted { fold });
                }
            }
        }
    }

    /// Gives each idle worker something to do, if there is anything.
    fn proceed(&mut self) -> Vec<Action> {
        let out: Vec<bool> = self.folds[..self.models].iter().map(FoldState::is_out).collect();
        self.queue.forget_finished(&out);
        self.dismiss_final_model();
        self.call_helpers();
        for worker in 0..self.workers.len() {
            self.dispatch(worker);
        }
        self.load_next_cold();
        for fold in self.in_order().chain(self.models..self.folds.len()) {
            self.load_if_due(fold);
        }
        self.load_cached_cold();
        std::mem::take(&mut self.actions)
    }

    /// Gives an idle worker the next texts for one of its folds.
    fn dispatch(&mut self, worker: usize) {
        let state = &self.workers[worker];
        if state.phase != WorkerPhase::Up || state.busy.is_some() {
            return;
        }
        let resident = state.folds.iter().copied();
        let resident = resident.filter(|&fold| self.folds[fold].residence == Residence::Resident);
        let resident = resident.map(|fold| {
            let FoldState { model, .. } = self.folds[fold];
            let holds =
                |other: &&FoldState| other.model == model && other.residence == Residence::Resident;
            let sharers = self.folds.iter().filter(holds).count();
            Holder { model, has_cold: self.folds[fold].has_cold(), sharers }
        });
        let busy = self.workers.iter().filter(|worker| worker.busy.is_some()).count();
        let holds_folds = |worker: &&WorkerState| !self.folds[worker.folds[0]].is_copy;
        let workers = self.workers.iter().filter(holds_folds).count();
        let most_left = if busy < self.cores { usize::MAX } else { workers };
        if let Some(Next { ticket, model, texts }) = self.queue.next(worker, resident, most_left) {
            self.workers[worker].busy = Some(self.place_of(worker, model));
            self.send(worker, ToWorker::Classify { ticket, fold: model, texts });
        }
    }
}
