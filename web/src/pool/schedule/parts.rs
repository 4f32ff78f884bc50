//! What the scheduler keeps of each fold and each worker.

pub struct Fold {
    pub worker: usize,
    pub shards: Vec<usize>,
    /// Those with the word embeddings for later.
    pub cold_shards: Vec<usize>,
    pub status: Status,
    pub cold: Cold,
    /// Whether it had all word embeddings, which was reported. It need not have them now.
    pub was_whole: bool,
    /// Whether the page counts on it. Folds that take turns come and go without a word.
    pub is_announced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// To be loaded.
    Waiting,
    Loading,
    /// In its worker's memory.
    Resident,
    /// Was in memory once and is cached; loaded again when there is something to answer.
    Parked,
    Failed,
}

/// How far the word embeddings are that came not with their fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cold {
    Waiting,
    Loading,
    /// In memory, or none.
    Here,
    Failed,
}

pub struct Worker {
    pub folds: Vec<usize>,
    pub resident: usize,
    pub phase: Phase,
    /// The fold it was told to load and has not reported on.
    pub loading: Option<usize>,
    /// The fold whose cold rows it was told to load and has not reported on.
    pub completing: Option<usize>,
    /// The ticket and the fold of what it was told to classify.
    pub busy: Option<(u32, usize)>,
    pub was_restarted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Down,
    /// Not listening yet.
    Starting,
    Up,
}

/// The shards that a fold is made of, in load order, as indices into the sizes of all shards.
#[derive(Debug, Clone, Default)]
pub struct ShardsOfFold {
    /// What makes it answer.
    pub hot: Vec<usize>,
    /// The word embeddings of rarer words.
    pub cold: Vec<usize>,
}

impl Fold {
    pub fn is_whole(&self) -> bool {
        self.cold == Cold::Here
    }

    /// Whether a text that waits for its cold rows is worth waiting for.
    pub fn may_be_whole(&self) -> bool {
        self.cold != Cold::Failed
    }

    /// It is no longer in memory.
    pub fn forget_cold(&mut self) {
        if self.cold != Cold::Failed && !self.cold_shards.is_empty() {
            self.cold = Cold::Waiting;
        }
    }
}

impl Worker {
    pub fn is_loading(&self) -> bool {
        self.loading.is_some() || self.completing.is_some()
    }
}
