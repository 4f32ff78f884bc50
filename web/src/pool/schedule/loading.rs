//! Loading of folds, and what happens when a fold or its cold rows cannot be loaded.

use super::state::{Cold, FoldState, Residence, Scheduler, WorkerPhase};
use crate::failure::Failure;
use crate::pool::event::PoolEvent;
use crate::protocol::ToWorker;

impl Scheduler {
    /// Loads a fold if it is due and its worker is free and has room, or can make room.
    pub(super) fn load_if_due(&mut self, fold: usize) {
        let FoldState { worker, residence, .. } = self.folds[fold];
        let is_due = match residence {
            Residence::Waiting => self.may_download(fold),
            Residence::Parked => self.has_work(fold) || self.is_next_for_cold(fold),
            _ => false,
        };
        let state = &self.workers[worker];
        if !is_due || state.phase != WorkerPhase::Up || state.is_loading() {
            return;
        }
        let is_kept = self.shards.are_cached(&self.folds[fold].hot_shards);
        if residence == Residence::Parked && !is_kept {
            // The cache was emptied. Nobody has agreed to another download, which a retry is.
            self.fail(fold, Failure::OutOfMemory);
            return;
        }
        let resident = state.folds.iter().copied();
        let resident: Vec<usize> =
            resident.filter(|&fold| self.folds[fold].residence == Residence::Resident).collect();
        if resident.len() >= state.capacity {
            if self.is_uncached {
                // Taking turns would mean to download the whole model for every text.
                self.fail(fold, Failure::OutOfMemory);
                return;
            }
            let idle = |fold: &usize| state.busy != Some(*fold) && !self.has_work(*fold);
            let Some(done) = resident.into_iter().find(idle) else { return };
            self.folds[done].residence = Residence::Parked;
            self.folds[done].forget_cold();
            self.send(worker, ToWorker::Unload { fold: done });
        }
        self.folds[fold].residence = Residence::Loading;
        self.workers[worker].loading = Some(fold);
        self.send(worker, ToWorker::Load { fold: self.folds[fold].model });
    }

    /// Whether a fold has texts to answer, now or once it has its cold rows.
    fn has_work(&self, fold: usize) -> bool {
        let fold = &self.folds[fold];
        self.queue.is_pending(fold.model, fold.may_get_cold())
    }

    /// Whether a fold that takes turns is loaded for its cold rows: it has not had them yet, and no other fold
    /// in its worker's memory is still to get its own.
    fn is_next_for_cold(&self, fold: usize) -> bool {
        let needs_cold = |fold: &FoldState| fold.cold == Cold::Waiting && !fold.had_cold;
        let FoldState { worker, .. } = self.folds[fold];
        let mut others = self.workers[worker].folds.iter().map(|&other| &self.folds[other]);
        needs_cold(&self.folds[fold])
            && !others.any(|other| other.residence == Residence::Resident && needs_cold(other))
    }

    /// Whether a fold needs no download, or no other download is under way.
    fn may_download(&self, fold: usize) -> bool {
        self.shards.are_cached(&self.folds[fold].hot_shards) || !self.is_downloading()
    }

    /// Whether a worker is downloading, or will be as soon as it has decoded the fold that it has downloaded.
    pub(super) fn is_downloading(&self) -> bool {
        self.folds.iter().any(|fold| {
            let is_loading = fold.residence == Residence::Loading;
            let cold_is_next =
                fold.cold == Cold::Loading || (is_loading && fold.cold == Cold::Waiting);
            (is_loading && !self.shards.are_here(&fold.hot_shards))
                || (cold_is_next && !self.shards.are_here(&fold.cold_shards))
        })
    }

    /// Notes that a worker could not load a fold or classify with it.
    pub(super) fn failed(&mut self, worker: usize, fold: usize, failure: Failure) {
        if self.folds[fold].is_copy {
            self.lose_helper(worker);
            return;
        }
        if self.workers[worker].busy == Some(fold) {
            self.workers[worker].busy = None;
            self.queue.take_back(worker);
        }
        let state = &mut self.workers[worker];
        if state.loading == Some(fold) {
            state.loading = None;
            // The cancel reported it. If a retry came in between, it is loaded again.
            if failure == Failure::Cancelled {
                if self.folds[fold].residence == Residence::Loading {
                    self.folds[fold].residence = Residence::Waiting;
                }
                return;
            }
        }
        if failure == Failure::Offline {
            // The other folds would fail too, each after its own retries.
            self.fail(fold, failure.clone());
            self.fail_unfinished(&failure);
        } else {
            self.fail(fold, failure);
        }
    }

    /// Fails all folds that are not loaded and all cold rows that would have to be downloaded. Folds that are cached need no
    /// connection.
    pub(super) fn fail_unfinished(&mut self, failure: &Failure) {
        for fold in 0..self.models {
            let FoldState { residence, ref hot_shards, .. } = self.folds[fold];
            if matches!(residence, Residence::Waiting | Residence::Loading) {
                if *failure != Failure::Offline || !self.shards.are_cached(hot_shards) {
                    self.fail(fold, failure.clone());
                }
            } else if self.is_cold_unfinished(fold) {
                self.fail_cold(fold, failure.clone());
            }
        }
    }

    /// Whether a fold that is loaded, or takes turns, has cold rows still to download.
    fn is_cold_unfinished(&self, fold: usize) -> bool {
        let fold = &self.folds[fold];
        !fold.is_out()
            && matches!(fold.cold, Cold::Waiting | Cold::Loading)
            && !self.shards.are_cached(&fold.cold_shards)
    }

    pub(super) fn fail(&mut self, fold: usize, failure: Failure) {
        let state = &mut self.folds[fold];
        (state.residence, state.is_announced, state.had_cold) = (Residence::Failed, false, false);
        self.report(PoolEvent::FoldFailed { fold, failure });
    }

    /// Fails a fold's cold rows until the next retry. The fold goes on answering texts without rare words.
    pub(super) fn fail_cold(&mut self, fold: usize, failure: Failure) {
        self.folds[fold].cold = Cold::Failed;
        self.report(PoolEvent::ColdFailed { fold, failure });
    }
}
