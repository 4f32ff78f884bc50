//! What can go wrong between a visitor and an answer, each with what the visitor can do about it.
//!
//! Everything else is a bug and panics. A failure crosses from worker to page, so it is plain data.

use serde::{Deserialize, Serialize};

/// Why something does not work. `Display` is [`Failure::message`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// Nothing answers: no connection, or the site itself is down.
    #[error("The model's files cannot be reached")]
    Offline,

    /// 404 or 410.
    #[error("The site has no file `{file}`")]
    NotFound { file: String },

    /// Any other status that is no success.
    #[error("The site answered with status {status} for `{file}`")]
    Server { file: String, status: u16 },

    /// The bytes are not those that the manifest names.
    #[error("`{file}` does not arrive as it was published")]
    Corrupted { file: String },

    /// Whole, but not something this program can run.
    #[error("This model cannot be used: {reason}")]
    Bundle { reason: String },

    #[error("This browser's WebAssembly has no vector instructions (SIMD)")]
    SimdMissing,

    #[error("This browser has no {what}")]
    OldBrowser { what: String },

    #[error("The browser did not give the model enough memory")]
    OutOfMemory,

    /// A worker stopped, was started again, and stopped again.
    #[error("A part of the model stopped unexpectedly")]
    WorkerDied,

    #[error("Loading was stopped")]
    Cancelled,
}

impl Failure {
    /// What happened, for a visitor: one sentence without its full stop.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What a visitor can do about it: whole sentences.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Offline => {
                "Check the connection, then try again. What has arrived already is kept."
            }
            Self::NotFound { .. } => {
                "The site may be in the middle of an update: try again in a minute, then reload the page."
            }
            Self::Server { .. } => "Try again in a minute. What has arrived already is kept.",
            Self::Corrupted { .. } => {
                "Try again. If it comes back, the copy on the site is damaged: please tell its owner."
            }
            Self::Bundle { .. } => {
                "Reload the page. If it comes back, the site's page and its model do not match: please tell its owner."
            }
            Self::SimdMissing | Self::OldBrowser { .. } => {
                "Update the browser: Chrome or Edge from 91, Firefox from 114 and Safari from 16.4 will do."
            }
            Self::OutOfMemory => {
                "Close other tabs and try again, or use a device with more memory."
            }
            Self::WorkerDied => "Try again. If it comes back, reload the page.",
            Self::Cancelled => "Go on whenever you like: what has arrived already is kept.",
        }
    }

    /// A word for programs; it stays the same when the sentences change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::NotFound { .. } => "not-found",
            Self::Server { .. } => "server",
            Self::Corrupted { .. } => "corrupted",
            Self::Bundle { .. } => "bundle",
            Self::SimdMissing => "simd-missing",
            Self::OldBrowser { .. } => "old-browser",
            Self::OutOfMemory => "out-of-memory",
            Self::WorkerDied => "worker-died",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<shared::Error> for Failure {
    fn from(error: shared::Error) -> Self {
        match error {
            shared::Error::Shard { file, .. } => Self::Corrupted { file },
            other => Self::Bundle { reason: other.to_string() },
        }
    }
}
