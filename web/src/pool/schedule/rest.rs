//! Rest: while nobody looks at the page its workers end, which gives their memory back. The folds come back from the
//! browser's cache.

use super::state::{Action, Residence, Scheduler, WorkerPhase};

impl Scheduler {
    /// Ends the workers, unless there is something to answer or to load, or the folds would have to be downloaded again.
    pub fn rest(&mut self) -> Vec<Action> {
        let is_at_work = self.workers.iter().any(|worker| {
            worker.busy.is_some() || worker.is_loading() || worker.phase == WorkerPhase::Starting
        });
        let is_complete = self.folds.iter().all(|fold| fold.residence != Residence::Waiting);
        let is_asked = (0..self.models)
            .any(|fold| !self.folds[fold].is_out() && self.queue.is_unfinished(fold));
        if is_at_work || !is_complete || self.is_uncached || is_asked {
            return Vec::new();
        }
        self.dismiss_helpers();
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if worker.phase == WorkerPhase::Up {
                (worker.phase, worker.was_restarted) = (WorkerPhase::Down, false);
                self.actions.push(Action::Terminate { worker: index });
            }
        }
        for fold in &mut self.folds {
            if matches!(fold.residence, Residence::Resident | Residence::Parked) {
                (fold.residence, fold.had_cold) = (Residence::Waiting, false);
                fold.forget_cold();
            }
        }
        std::mem::take(&mut self.actions)
    }

    /// Starts the workers again that have ended. Without a rest before, nothing happens.
    pub fn wake(&mut self) -> Vec<Action> {
        if !self.is_started {
            return Vec::new();
        }
        self.spawn_needed();
        self.proceed()
    }
}
