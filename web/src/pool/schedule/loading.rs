//! When a fold is loaded, and what becomes of one that cannot be.

use super::{Cold, Fold, Phase, Scheduler, Status};
use crate::failure::Failure;
use crate::pool::PoolEvent;
use crate::protocol::ToWorker;

impl Scheduler {
    /// Loads a fold if it should be and can be: its worker is free and has room, or makes some.
    pub(super) fn load_if_due(&mut self, fold: usize) {
        let Fold { worker, status, .. } = self.folds[fold];
        let is_due = match status {
            Status::Waiting => self.may_download(fold),
            Status::Parked => self.has_work(fold) || self.is_next_to_complete(fold),
            Status::Loading | Status::Resident | Status::Failed => false,
        };
        let state = &self.workers[worker];
        if !is_due || state.phase != Phase::Up || state.is_loading() {
            return;
        }
        let resident = state.folds.iter().copied();
        let resident: Vec<usize> =
            resident.filter(|&fold| self.folds[fold].status == Status::Resident).collect();
        if resident.len() >= state.resident {
            if self.is_uncached {
                // In turn would mean to download the whole model for every text.
                self.fail(fold, Failure::OutOfMemory);
                return;
            }
            let busy = state.busy.map(|(_, fold)| fold);
            let idle = |fold: &usize| busy != Some(*fold) && !self.has_work(*fold);
            let Some(done) = resident.into_iter().find(idle) else { return };
            self.folds[done].status = Status::Parked;
            self.folds[done].forget_cold();
            self.send(worker, ToWorker::Unload { fold: done });
        }
        self.folds[fold].status = Status::Loading;
        self.workers[worker].loading = Some(fold);
        self.send(worker, ToWorker::Load { fold });
    }

    /// Whether a fold has texts to answer, or will have with its cold rows.
    fn has_work(&self, fold: usize) -> bool {
        self.jobs.is_pending(fold, self.folds[fold].may_be_whole())
    }

    /// Whether a fold that takes turns comes in for its cold rows, which it has never had: the others that are in have had theirs.
    fn is_next_to_complete(&self, fold: usize) -> bool {
        let lacks = |fold: &Fold| fold.cold == Cold::Waiting && !fold.was_whole;
        let Fold { worker, .. } = self.folds[fold];
        let mut others = self.workers[worker].folds.iter().map(|&other| &self.folds[other]);
        lacks(&self.folds[fold])
            && !others.any(|other| other.status == Status::Resident && lacks(other))
    }

    /// Whether nothing is left to download for a fold, or nobody else is downloading.
    fn may_download(&self, fold: usize) -> bool {
        self.shards.are_cached(&self.folds[fold].shards) || !self.is_downloading()
    }

    /// Whether a worker is loading what is still on its way, or will be when it has decoded what makes a fold answer.
    pub(super) fn is_downloading(&self) -> bool {
        self.folds.iter().any(|fold| {
            let (is_loading, is_completing) =
                (fold.status == Status::Loading, fold.cold == Cold::Loading);
            let goes_on = is_completing || (is_loading && fold.cold == Cold::Waiting);
            (is_loading && !self.shards.are_here(&fold.shards))
                || (goes_on && !self.shards.are_here(&fold.cold_shards))
        })
    }

    /// A worker could not load a fold, or not classify by it.
    pub(super) fn failed(&mut self, worker: usize, fold: usize, failure: Failure) {
        let state = &mut self.workers[worker];
        if state.busy.is_some_and(|(_, busy)| busy == fold) {
            state.busy = None;
        }
        if state.loading == Some(fold) {
            state.loading = None;
            // Reported when it was cancelled; wanted again if a retry came in between.
            if failure == Failure::Cancelled {
                if self.folds[fold].status == Status::Loading {
                    self.folds[fold].status = Status::Waiting;
                }
                return;
            }
        }
        if failure == Failure::Offline {
            // The others would find the same out, each after its own patience.
            self.folds[fold].status = Status::Waiting;
            self.fail_unfinished(&failure);
        } else {
            self.fail(fold, failure);
        }
    }

    pub(super) fn fail_unfinished(&mut self, failure: &Failure) {
        for fold in 0..self.folds.len() {
            if matches!(self.folds[fold].status, Status::Waiting | Status::Loading) {
                self.fail(fold, failure.clone());
            } else if self.is_cold_unfinished(fold) {
                self.fail_cold(fold, failure.clone());
            }
        }
    }

    /// Whether a fold in memory, or one that takes turns, is to be completed by a download.
    fn is_cold_unfinished(&self, fold: usize) -> bool {
        let Fold { status, cold, ref cold_shards, .. } = self.folds[fold];
        status != Status::Failed
            && matches!(cold, Cold::Waiting | Cold::Loading)
            && !self.shards.are_cached(cold_shards)
    }

    pub(super) fn fail(&mut self, fold: usize, failure: Failure) {
        let state = &mut self.folds[fold];
        (state.status, state.is_announced, state.was_whole) = (Status::Failed, false, false);
        self.report(PoolEvent::FoldFailed { fold, failure });
    }
}
