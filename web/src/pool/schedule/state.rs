//! The scheduler's state: folds, workers, shards, requests, and the actions it is about to ask for.

use super::queue::Queue;
use super::shards::Shards;
use crate::pool::event::PoolEvent;
use crate::pool::plan::Share;
use crate::protocol::ToWorker;

/// Something for the pool to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start this worker, or start it again.
    Spawn {
        worker: usize,
    },
    /// Tell the worker where the bundle is.
    Open {
        worker: usize,
    },
    Send {
        worker: usize,
        message: ToWorker,
    },
    Terminate {
        worker: usize,
    },
    Report(PoolEvent),
}

/// The pool's decisions as a state machine; `schedule.rs` has its steps.
pub struct Scheduler {
    /// The folds, after them the final model, if it is loaded, too, and after these the copies of models.
    pub(super) folds: Vec<FoldState>,
    /// The number of folds, the final model among them and no copies.
    pub(super) models: usize,
    /// The index of the final model in `folds`.
    pub(super) final_model: Option<usize>,
    /// Whether `start` was called.
    pub(super) is_started: bool,
    pub(super) workers: Vec<WorkerState>,
    pub(super) cores: usize,
    pub(super) shards: Shards,
    pub(super) queue: Queue,
    /// Whether shards cannot be cached, which was reported. Folds cannot take turns then.
    pub(super) is_uncached: bool,
    /// Whether a worker has died of memory.
    pub(super) is_short: bool,
    pub(super) actions: Vec<Action>,
}

/// A fold, or a copy of one, and what is known about it.
pub struct FoldState {
    /// The index by which its worker and the queue know it: a copy's is that of its original.
    pub model: usize,
    pub is_copy: bool,
    pub worker: usize,
    pub hot_shards: Vec<usize>,
    pub cold_shards: Vec<usize>,
    pub residence: Residence,
    pub cold: Cold,
    /// Whether the fold has had its cold rows, which was reported. They may have left memory since.
    pub had_cold: bool,
    /// Whether the fold was reported as ready. A fold that takes turns leaves and returns unreported.
    pub is_announced: bool,
}

/// The place of a fold's hot rows and layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// The visitor has not asked for the fold, or no list needs the copy.
    Unasked,
    /// The rows are not loaded yet.
    Waiting,
    Loading,
    /// The rows are in the worker's memory.
    Resident,
    /// The rows are in the cache alone, and loaded again when there is something to answer.
    Parked,
    Failed,
    /// The final model has left memory, as the folds are in.
    Dismissed,
}

/// The place of a fold's cold rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cold {
    /// The rows are not in memory.
    Waiting,
    Loading,
    /// The rows are in memory, or the bundle has none.
    Here,
    Failed,
    /// The rows are never loaded: a copy leaves the texts that need them to its original.
    Never,
}

/// A worker and what it was told to do.
pub struct WorkerState {
    pub folds: Vec<usize>,
    /// The number of folds it may hold at a time.
    pub capacity: usize,
    pub phase: WorkerPhase,
    /// The fold that it is loading.
    pub loading: Option<usize>,
    /// The fold whose cold rows it is loading.
    pub loading_cold: Option<usize>,
    /// The fold with which it is classifying.
    pub busy: Option<usize>,
    pub was_restarted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerPhase {
    Down,
    /// Started, but not listening yet.
    Starting,
    Up,
}

/// The shards of a fold in the order in which they are loaded, as indices into all shards.
#[derive(Debug, Clone, Default)]
pub struct ShardsOfFold {
    pub hot: Vec<usize>,
    pub cold: Vec<usize>,
}

impl Scheduler {
    pub fn new(
        shares: Vec<Share>,
        cores: usize,
        shards_of: Vec<ShardsOfFold>,
        shard_bytes: &[u64],
    ) -> Self {
        let owner = |fold| {
            let owner = shares.iter().position(|share| share.folds.contains(&fold));
            owner.expect("the plan gives every fold a worker")
        };
        let folds = shards_of.into_iter().enumerate().map(|(fold, shards)| FoldState {
            model: fold,
            is_copy: false,
            worker: owner(fold),
            cold: if shards.cold.is_empty() { Cold::Here } else { Cold::Waiting },
            hot_shards: shards.hot,
            cold_shards: shards.cold,
            residence: Residence::Waiting,
            had_cold: false,
            is_announced: false,
        });
        let folds: Vec<FoldState> = folds.collect();
        let shards_of = |fold: &FoldState| [&fold.hot_shards[..], &fold.cold_shards].concat();
        let mut shards = Shards::new(shard_bytes);
        shards.want_only(&folds.iter().flat_map(shards_of).collect::<Vec<_>>());
        let workers = shares.into_iter();
        let workers = workers.map(|Share { folds, capacity }| WorkerState::new(folds, capacity));
        Self {
            queue: Queue::default(),
            models: folds.len(),
            folds,
            final_model: None,
            is_started: false,
            workers: workers.collect(),
            cores: cores.max(1),
            shards,
            is_uncached: false,
            is_short: false,
            actions: Vec::new(),
        }
    }

    /// Takes the last of the folds for the final model: it is loaded alone, until [`load_folds`](Self::load_folds).
    pub fn with_final_model(mut self) -> Self {
        let last = self.folds.len() - 1;
        self.final_model = Some(last);
        for fold in &mut self.folds[..last] {
            fold.residence = Residence::Unasked;
        }
        let FoldState { hot_shards, cold_shards, .. } = &self.folds[last];
        self.shards.want_only(&[&hot_shards[..], cold_shards].concat());
        self
    }

    /// Lets workers beyond those of the plan hold copies of these models while there is a long list (see `helpers`).
    pub fn with_helpers(mut self, copied: &[usize]) -> Self {
        for &model in copied {
            let (seat, worker) = (self.folds.len(), self.workers.len());
            let original = &self.folds[model];
            self.folds.push(FoldState {
                model,
                is_copy: true,
                worker,
                cold: if original.cold_shards.is_empty() { Cold::Here } else { Cold::Never },
                hot_shards: original.hot_shards.clone(),
                cold_shards: Vec::new(),
                residence: Residence::Unasked,
                had_cold: false,
                is_announced: false,
            });
            self.workers.push(WorkerState::new(vec![seat], 1));
        }
        self
    }

    /// The number of folds, the final model not counted.
    pub(super) fn fold_count(&self) -> usize {
        self.final_model.unwrap_or(self.models)
    }

    /// The index in `folds` of a worker's model.
    pub(super) fn place_of(&self, worker: usize, model: usize) -> usize {
        let mut folds = self.workers[worker].folds.iter().copied();
        folds.find(|&fold| self.folds[fold].model == model).unwrap_or(model)
    }

    /// Folds and final model in the order in which they are loaded: the final model first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = usize> + use<> {
        self.final_model.into_iter().chain(0..self.fold_count())
    }

    pub(super) fn send(&mut self, worker: usize, message: ToWorker) {
        self.actions.push(Action::Send { worker, message });
    }

    pub(super) fn report(&mut self, event: PoolEvent) {
        self.actions.push(Action::Report(event));
    }
}

impl FoldState {
    /// Whether it neither is nor will be loaded before someone asks for it, or tries again.
    pub fn is_out(&self) -> bool {
        matches!(self.residence, Residence::Unasked | Residence::Failed | Residence::Dismissed)
    }

    pub fn has_cold(&self) -> bool {
        self.cold == Cold::Here
    }

    /// Whether texts that wait for the fold's cold rows may still get them.
    pub fn may_get_cold(&self) -> bool {
        !matches!(self.cold, Cold::Failed | Cold::Never)
    }

    /// Notes that the fold has left memory, and its cold rows with it.
    pub fn forget_cold(&mut self) {
        if self.cold != Cold::Failed && !self.cold_shards.is_empty() {
            self.cold = Cold::Waiting;
        }
    }
}

impl WorkerState {
    fn new(folds: Vec<usize>, capacity: usize) -> Self {
        Self {
            folds,
            capacity,
            phase: WorkerPhase::Down,
            loading: None,
            loading_cold: None,
            busy: None,
            was_restarted: false,
        }
    }

    pub fn is_loading(&self) -> bool {
        self.loading.is_some() || self.loading_cold.is_some()
    }
}
