//! When a fold is loaded, and what becomes of one that cannot be.

use super::{Fold, Phase, Scheduler, Status};
use crate::failure::Failure;
use crate::pool::PoolEvent;
use crate::protocol::ToWorker;

impl Scheduler {
    /// Loads a fold if it should be and can be: its worker is free and has room, or makes some.
    pub(super) fn load_if_due(&mut self, fold: usize) {
        let Fold { worker, status, .. } = self.folds[fold];
        let is_due = match status {
            Status::Waiting => self.may_download(fold),
            Status::Parked => self.jobs.is_pending(fold),
            Status::Loading | Status::Resident | Status::Failed => false,
        };
        let state = &self.workers[worker];
        if !is_due || state.phase != Phase::Up || state.loading.is_some() {
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
            let idle = |fold: &usize| busy != Some(*fold) && !self.jobs.is_pending(*fold);
            let Some(done) = resident.into_iter().find(idle) else { return };
            self.folds[done].status = Status::Parked;
            self.send(worker, ToWorker::Unload { fold: done });
        }
        self.folds[fold].status = Status::Loading;
        self.workers[worker].loading = Some(fold);
        self.send(worker, ToWorker::Load { fold });
    }

    /// Whether nothing is left to download for a fold, or nobody else is downloading.
    fn may_download(&self, fold: usize) -> bool {
        self.shards.are_cached(&self.folds[fold].shards)
            || self
                .folds
                .iter()
                .all(|other| other.status != Status::Loading || self.shards.are_here(&other.shards))
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
            }
        }
    }

    pub(super) fn fail(&mut self, fold: usize, failure: Failure) {
        (self.folds[fold].status, self.folds[fold].is_announced) = (Status::Failed, false);
        self.report(PoolEvent::FoldFailed { fold, failure });
    }
}
