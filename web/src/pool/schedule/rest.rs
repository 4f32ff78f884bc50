//! Rest: while nobody looks at the page its workers end, which gives their memory back. The folds come back from the
//! browser's cache.

use super::state::{Action, FoldState, Residence, Scheduler, WorkerPhase};

impl Scheduler {
    /// Ends the workers, unless there is something to answer or to load, or the folds would have to be downloaded again.
    pub fn rest(&mut self) -> Vec<Action> {
        let is_at_work = self.workers.iter().any(|worker| {
            worker.busy.is_some() || worker.is_loading() || worker.phase == WorkerPhase::Starting
        });
        let is_complete = self.folds.iter().all(|fold| fold.residence != Residence::Waiting);
        let is_asked = (0..self.models)
            .any(|fold| !self.folds[fold].is_out() && self.queue.is_unfinished(fold));
        let are_kept = !self.is_uncached && self.folds.iter().all(|fold| self.may_return(fold));
        if is_at_work || !is_complete || !are_kept || is_asked {
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

    /// Whether a fold that is loaded, or takes turns, would come back from the cache with all that it has had.
    fn may_return(&self, fold: &FoldState) -> bool {
        let is_loaded = matches!(fold.residence, Residence::Resident | Residence::Parked);
        let cold_shards = if fold.had_cold { &fold.cold_shards[..] } else { &[] };
        !is_loaded
            || self.shards.are_cached(&fold.hot_shards) && self.shards.are_cached(cold_shards)
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
