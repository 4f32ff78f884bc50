//! Loading of cold rows: right after their fold, so that no text waits longer than it would for an undivided
//! bundle. Their order is fixed. If a text could hasten them, the host would learn that somebody typed a rare
//! word.

use super::state::{Cold, FoldState, Residence, Scheduler, WorkerPhase};
use crate::failure::Failure;
use crate::pool::event::PoolEvent;
use crate::protocol::ToWorker;

impl Scheduler {
    /// Downloads cold rows of folds that are ready, before another fold is downloaded. Folds that take turns
    /// load theirs while they are in memory, even from the cache.
    pub(super) fn load_next_cold(&mut self) {
        for fold in self.in_order() {
            let is_cached = self.shards.are_cached(&self.folds[fold].cold_shards);
            let may_start = if is_cached { self.takes_turns(fold) } else { !self.is_downloading() };
            if may_start {
                self.load_cold_if_due(fold);
            }
        }
    }

    /// Loads cached cold rows in workers that have loaded their folds.
    pub(super) fn load_cached_cold(&mut self) {
        for fold in self.in_order() {
            if self.shards.are_cached(&self.folds[fold].cold_shards) {
                self.load_cold_if_due(fold);
            }
        }
    }

    fn takes_turns(&self, fold: usize) -> bool {
        let worker = &self.workers[self.folds[fold].worker];
        worker.capacity < worker.folds.len()
    }

    /// Loads the cold rows of a fold that is in memory, if its worker is not loading anything.
    fn load_cold_if_due(&mut self, fold: usize) {
        let FoldState { worker, residence, cold, had_cold, .. } = self.folds[fold];
        let state = &self.workers[worker];
        // A fold that takes turns loses its cold rows with its turn. After the first time they are loaded again
        // only if a text waits for them.
        let is_wanted =
            !self.takes_turns(fold) || !had_cold || self.queue.is_waiting_for_cold(fold);
        if residence == Residence::Resident
            && cold == Cold::Waiting
            && is_wanted
            && state.phase == WorkerPhase::Up
            && !state.is_loading()
        {
            self.folds[fold].cold = Cold::Loading;
            self.workers[worker].loading_cold = Some(fold);
            self.send(worker, ToWorker::LoadCold { fold });
        }
    }

    pub(super) fn cold_loaded(&mut self, worker: usize, fold: usize) {
        self.workers[worker].loading_cold = None;
        let state = &mut self.folds[fold];
        if state.residence != Residence::Resident {
            // The fold failed meanwhile; a retry loads it from the start.
            state.cold = Cold::Waiting;
            return;
        }
        state.cold = Cold::Here;
        if !std::mem::replace(&mut state.had_cold, true) {
            self.report(PoolEvent::ColdLoaded { fold });
        }
    }

    pub(super) fn cold_not_loaded(&mut self, worker: usize, fold: usize, failure: Failure) {
        self.workers[worker].loading_cold = None;
        let is_wanted = self.folds[fold].cold == Cold::Loading;
        match failure {
            // The cancel reported it. If a retry came in between, it is loaded again.
            Failure::Cancelled if is_wanted => self.folds[fold].cold = Cold::Waiting,
            Failure::Cancelled => {}
            Failure::Offline => {
                self.fail_cold(fold, failure.clone());
                self.fail_unfinished(&failure);
            }
            failure => self.fail_cold(fold, failure),
        }
    }
}
