//! When the word embeddings of rarer words are loaded: right after their fold, so that no text is answered later than if all came
//! together. The order is fixed. No text makes a fold's come sooner, as that would tell the host that somebody typed a rare word.

use super::{Cold, Fold, Phase, Scheduler, Status};
use crate::failure::Failure;
use crate::pool::PoolEvent;
use crate::protocol::ToWorker;

impl Scheduler {
    /// Goes on with the downloads of folds that answer already, before another fold's begins. Those that take turns are
    /// completed while they are in.
    pub(super) fn go_on_with_cold(&mut self) {
        for fold in 0..self.folds.len() {
            let is_cached = self.shards.are_cached(&self.folds[fold].cold_shards);
            let may_start = if is_cached { self.takes_turns(fold) } else { !self.is_downloading() };
            if may_start {
                self.complete_if_due(fold);
            }
        }
    }

    /// Completes from the cache what nothing goes before: a worker loads its folds first.
    pub(super) fn complete_from_cache(&mut self) {
        for fold in 0..self.folds.len() {
            if self.shards.are_cached(&self.folds[fold].cold_shards) {
                self.complete_if_due(fold);
            }
        }
    }

    fn takes_turns(&self, fold: usize) -> bool {
        let worker = &self.workers[self.folds[fold].worker];
        worker.resident < worker.folds.len()
    }

    /// Loads the cold rows of a fold that is in memory without them, if its worker is free.
    fn complete_if_due(&mut self, fold: usize) {
        let Fold { worker, status, cold, was_whole, .. } = self.folds[fold];
        let state = &self.workers[worker];
        // Of a fold that takes turns they go with it: the next time it has to be worth it.
        let is_wanted =
            !self.takes_turns(fold) || !was_whole || self.jobs.is_waiting_for_cold(fold);
        if status == Status::Resident
            && cold == Cold::Waiting
            && is_wanted
            && state.phase == Phase::Up
            && !state.is_loading()
        {
            self.folds[fold].cold = Cold::Loading;
            self.workers[worker].completing = Some(fold);
            self.send(worker, ToWorker::LoadCold { fold });
        }
    }

    pub(super) fn completed(&mut self, worker: usize, fold: usize) {
        self.workers[worker].completing = None;
        let state = &mut self.folds[fold];
        if state.status != Status::Resident {
            // It failed meanwhile, and begins anew if it is tried again.
            state.cold = Cold::Waiting;
            return;
        }
        state.cold = Cold::Here;
        if !std::mem::replace(&mut state.was_whole, true) {
            self.report(PoolEvent::FoldWhole { fold });
        }
    }

    pub(super) fn not_completed(&mut self, worker: usize, fold: usize, failure: Failure) {
        self.workers[worker].completing = None;
        let is_wanted = self.folds[fold].cold == Cold::Loading;
        match failure {
            // Reported when it was cancelled; wanted again if a retry came in between.
            Failure::Cancelled if is_wanted => self.folds[fold].cold = Cold::Waiting,
            Failure::Cancelled => {}
            Failure::Offline => {
                self.folds[fold].cold = Cold::Waiting;
                self.fail_unfinished(&failure);
            }
            failure => self.fail_cold(fold, failure),
        }
    }

    /// The fold answers on, and texts with rare words wait for the next retry.
    pub(super) fn fail_cold(&mut self, fold: usize, failure: Failure) {
        self.folds[fold].cold = Cold::Failed;
        self.report(PoolEvent::ColdFailed { fold, failure });
    }
}
