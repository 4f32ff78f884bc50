//! What the page and a worker say to each other: small messages only. Weights never cross, as each
//! worker fetches its own.
//!
//! Messages are JSON strings: a string is the one value that `postMessage` copies without walking an
//! object, and both ends already have a JSON reader for the manifest.
//!
//! ```text
//! worker -> Ready                      page -> Open, Load
//! worker -> Progress.., Taken.., Loaded
//!                                      page -> Classify (one at a time)
//! worker -> Answer
//!                                      page -> LoadCold, where a bundle has word embeddings for later
//! worker -> Progress.., Taken.., ColdLoaded
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::bundle::TextAnswer;

use crate::failure::Failure;

/// From the page. Nothing is sent before the worker has said [`FromWorker::Ready`]: a message that
/// arrives while the module is being compiled would be lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// First of all, once: where the bundle lies and what is in it. The text of the manifest the
    /// page has read is passed on, so that both work by the same one.
    Open { base_url: String, manifest: String },
    /// Bring a fold into memory. One at a time.
    Load { fold: usize },
    /// Bring the rest of a fold's word embeddings into memory, after the fold itself and with nothing else being loaded.
    LoadCold { fold: usize },
    /// Give up the load that is going on; what has arrived is kept for the next.
    CancelLoading,
    /// Forget a fold's weights.
    Unload { fold: usize },
    /// Classify by a fold in memory. `ticket` comes back with the answer.
    Classify { ticket: u32, fold: usize, texts: Vec<String> },
}

/// From a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// It listens.
    Ready,
    /// Bytes received so far of a shard.
    Progress {
        shard: usize,
        received: u64,
    },
    /// A shard is whole and verified; `cached`: it is in the cache too.
    Taken {
        shard: usize,
        cached: bool,
    },
    /// Shards cannot be kept for the next visit.
    NotCached {
        reason: String,
    },
    Loaded {
        fold: usize,
    },
    /// Every text is answered from now on.
    ColdLoaded {
        fold: usize,
    },
    /// An answer a text, in their order; `None`: it waits for the fold's cold word embeddings.
    Answer {
        ticket: u32,
        fold: usize,
        answers: Vec<Option<TextAnswer>>,
    },
    /// Loading or classifying came to nothing.
    Failed {
        fold: usize,
        failure: Failure,
    },
    /// The fold answers on without its cold word embeddings.
    ColdFailed {
        fold: usize,
        failure: Failure,
    },
    /// Its memory is exhausted; it dies right after.
    OutOfMemory,
}

/// A message as the string that is posted.
pub fn encode<M: Serialize>(message: &M) -> String {
    serde_json::to_string(message).expect("messages are plain data")
}

/// The message a string stands for; `None` for what did not come from [`encode`].
pub fn decode<M: DeserializeOwned>(text: &str) -> Option<M> {
    serde_json::from_str(text).ok()
}
