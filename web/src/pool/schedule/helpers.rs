//! Helpers: workers that hold copies of models while there is a long list, where there are more cores than models.
//!
//! A helper loads its copy from the cache and answers like the copy's original, but for texts that need cold rows. It stays for the
//! next list. It ends, which gives its memory back, when a single text is asked about and no list is under way, at rest, and
//! when the folds are loaded beside a final model. One that fails or dies does not come back, and nobody is told: the original
//! answers what it was given.

use super::state::{Action, Residence, Scheduler, WorkerPhase};

/// The cost of a list that helpers are called for: to load one takes as long as to answer a part of this.
const LONG_LIST: usize = 8 * 1024;

impl Scheduler {
    /// Starts helpers for the models that a long list asks.
    pub(super) fn call_helpers(&mut self) {
        for fold in self.models..self.folds.len() {
            let model = self.folds[fold].model;
            let original = &self.folds[model];
            // The folds will need the memory.
            let is_alone = Some(model) != self.final_model
                || self.folds[..model].iter().all(|fold| fold.residence == Residence::Unasked);
            if self.folds[fold].residence == Residence::Unasked
                && is_alone
                && original.residence == Residence::Resident
                && self.shards.are_cached(&original.hot_shards)
                && self.queue.cost_of_lists(model) >= LONG_LIST
            {
                self.folds[fold].residence = Residence::Waiting;
                self.spawn_needed();
            }
        }
    }

    /// Ends all helpers.
    pub(super) fn dismiss_helpers(&mut self) {
        for fold in self.models..self.folds.len() {
            if !self.folds[fold].is_out() {
                self.end_helper(fold, Residence::Unasked);
            }
        }
    }

    /// Ends a helper that failed, for good.
    pub(super) fn lose_helper(&mut self, worker: usize) {
        self.end_helper(self.workers[worker].folds[0], Residence::Failed);
    }

    fn end_helper(&mut self, fold: usize, residence: Residence) {
        let worker = self.folds[fold].worker;
        self.queue.take_back(worker);
        self.folds[fold].residence = residence;
        let state = &mut self.workers[worker];
        (state.phase, state.loading, state.busy) = (WorkerPhase::Down, None, None);
        self.actions.push(Action::Terminate { worker });
    }
}
