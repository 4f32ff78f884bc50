//! The events that the pool reports to the page or to the JavaScript package.

use shared::bundle::TextAnswer;

use crate::failure::Failure;

/// News of the pool. Folds are counted from 0; the one after the last is the final model.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolEvent {
    /// The bytes of distinct shards that are here, of all that the ensemble needs. `received` never falls.
    Progress { received: u64, total: u64 },
    /// The fold can answer, except for texts with rare words if it has no cold rows yet. Reported again after
    /// its worker was restarted.
    FoldReady { fold: usize },
    /// The fold has its cold rows and answers every text. Not reported for bundles without cold rows.
    /// Reported again after its worker was restarted.
    ColdLoaded { fold: usize },
    /// A text of the request waits for the fold's cold rows. Reported at most once per fold.
    NeedsCold { request: u32, fold: usize },
    /// The fold's answers to a request's texts, in their order.
    Answer { request: u32, fold: usize, answers: Vec<TextAnswer> },
    /// The fold does not answer before [`Pool::retry`](super::Pool::retry).
    FoldFailed { fold: usize, failure: Failure },
    /// The fold does not get its cold rows before [`Pool::retry`](super::Pool::retry). It goes on answering
    /// texts without rare words; the others wait.
    ColdFailed { fold: usize, failure: Failure },
    /// The models work but will be downloaded again on the next visit. Reported at most once.
    NotCached { reason: String },
    /// A worker died of memory. It holds one fold at a time from now on, and later visits begin with fewer folds in memory.
    /// Reported at most once.
    OutOfMemory,
    /// The fold's worker died and was started again.
    WorkerRestarted { fold: usize },
}
