//! The messages between page and worker. They are small: weights are never sent, as each worker fetches its own.
//!
//! A message is a JSON string. `postMessage` copies a string without traversing an object, and both ends have a
//! JSON reader anyway, for the manifest.
//!
//! ```text
//! worker -> Ready                      page -> Open, Load
//! worker -> Progress.., Taken.., Loaded
//!                                      page -> Classify (one at a time)
//! worker -> Answer
//!                                      page -> LoadCold, if the bundle has cold rows
//! worker -> Progress.., Taken.., ColdLoaded
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::bundle::TextAnswer;

use crate::failure::Failure;

/// A message from the page. None is sent before [`FromWorker::Ready`], because a message that arrives while the
/// module is being compiled is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The folder and the manifest of the bundle; sent first, and once. The worker gets the manifest's text from
    /// the page, so that both use the same one.
    Open { base_url: String, manifest: String },
    /// Load a fold. Nothing else is being loaded.
    Load { fold: usize },
    /// Load the cold rows of a fold that is loaded. Nothing else is being loaded.
    LoadCold { fold: usize },
    /// Stop loading; what has been downloaded is kept for the next attempt.
    CancelLoading,
    /// Drop a fold's weights.
    Unload { fold: usize },
    /// Classify with a fold that is loaded. The answer repeats the ticket.
    Classify { ticket: u32, fold: usize, texts: Vec<String> },
}

/// A message from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The worker listens.
    Ready,
    /// The bytes of a shard received so far.
    Progress {
        shard: usize,
        received: u64,
    },
    /// A shard is complete and verified; `cached` tells whether it is in the cache too.
    Taken {
        shard: usize,
        cached: bool,
    },
    /// Shards cannot be cached for the next visit.
    NotCached {
        reason: String,
    },
    Loaded {
        fold: usize,
    },
    /// The fold has its cold rows and answers every text.
    ColdLoaded {
        fold: usize,
    },
    /// An answer for each text, in their order; `None` if the text needs cold rows that the fold does not have.
    Answer {
        ticket: u32,
        fold: usize,
        answers: Vec<Option<TextAnswer>>,
    },
    /// The fold could not be loaded, or could not classify.
    Failed {
        fold: usize,
        failure: Failure,
    },
    /// Cold rows could not be loaded. The fold goes on answering texts without rare words.
    ColdFailed {
        fold: usize,
        failure: Failure,
    },
    /// The worker ran out of memory; it dies right after.
    OutOfMemory,
}

/// Encodes a message as the string that is posted.
pub fn encode<M: Serialize>(message: &M) -> String {
    serde_json::to_string(message).expect("messages are plain data")
}

/// Decodes a message; `None` if the string did not come from [`encode`] of this version.
pub fn decode<M: DeserializeOwned>(text: &str) -> Option<M> {
    serde_json::from_str(text).ok()
}
