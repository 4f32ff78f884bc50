//! When the word embeddings of rarer words are loaded: after all folds that can be, in a fixed order. No text makes
//! a fold's come sooner, as that would tell the host that somebody typed a rare word.

use super::{Cold, Fold, Phase, Scheduler, Status};
use crate::failure::Failure;
use crate::pool::PoolEvent;
use crate::protocol::ToWorker;

impl Scheduler {
    /// Loads a fold's cold rows, if it is in memory without them and nothing else goes before.
    pub(super) fn complete_if_due(&mut self, fold: usize) {
        let Fold { worker, status, cold, was_whole, .. } = self.folds[fold];
        let state = &self.workers[worker];
        let can_be = status == Status::Resident
            && cold == Cold::Waiting
            && state.phase == Phase::Up
            && !state.is_loading();
        // In turn it would go with the fold, so that it has to be worth it.
        let takes_turns = state.resident < state.folds.len();
        let is_wanted = !takes_turns || !was_whole || self.jobs.is_waiting_for_cold(fold);
        let is_cached = self.shards.are_cached(&self.folds[fold].cold_shards);
        let goes_before = |other: &Fold| {
            other.status == Status::Waiting
                && (!is_cached || other.worker == worker)
                && self.can_come_in(other.worker)
        };
        if !can_be
            || !is_wanted
            || self.folds.iter().any(goes_before)
            || (!is_cached && self.is_downloading())
        {
            return;
        }
        self.folds[fold].cold = Cold::Loading;
        self.workers[worker].completing = Some(fold);
        self.send(worker, ToWorker::LoadCold { fold });
    }

    /// Whether the worker has room for another fold, or will have: a fold with a text that waits for its cold rows stays.
    fn can_come_in(&self, worker: usize) -> bool {
        let worker = &self.workers[worker];
        let resident = worker.folds.iter().copied();
        let resident: Vec<usize> =
            resident.filter(|&fold| self.folds[fold].status == Status::Resident).collect();
        let has_room = resident.len() < worker.resident;
        let may_drop = |fold: &usize| !self.jobs.is_waiting_for_cold(*fold);
        worker.phase != Phase::Down && (has_room || resident.iter().any(may_drop))
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
