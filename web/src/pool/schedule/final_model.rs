//! The leave of the final model: when all folds are in, the ensemble answers without it.

use super::state::{Action, Residence, Scheduler, WorkerPhase};

impl Scheduler {
    /// Ends the final model's worker once every fold is in and no request waits for the final model alone. Memory of
    /// a WebAssembly module never shrinks, so unloading the model would give nothing back.
    pub(super) fn dismiss_final_model(&mut self) {
        let Some(last) = self.final_model else { return };
        let is_done = self.folds[..last].iter().all(|fold| fold.is_announced)
            && !self.folds[last].is_out()
            && !self.queue.has_only(last);
        if !is_done {
            return;
        }
        let worker = self.folds[last].worker;
        self.queue.take_back(worker);
        let state = &mut self.folds[last];
        (state.residence, state.is_announced, state.had_cold) =
            (Residence::Dismissed, false, false);
        state.forget_cold();
        let state = &mut self.workers[worker];
        (state.phase, state.loading, state.loading_cold, state.busy) =
            (WorkerPhase::Down, None, None, None);
        self.actions.push(Action::Terminate { worker });
    }

    /// Loads the final model again for a request that only it is asked to answer.
    pub(super) fn recall_final_model(&mut self) {
        let Some(last) = self.final_model else { return };
        if self.folds[last].residence == Residence::Dismissed && self.queue.has_only(last) {
            self.folds[last].residence = Residence::Waiting;
            self.spawn_needed();
        }
    }
}
