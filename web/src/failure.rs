//! Everything that can keep a visitor from getting an answer, with what the visitor can do about it.
//!
//! Anything else is a bug and panics. A failure is sent from worker to page, so it is plain data.

use serde::{Deserialize, Serialize};

/// Something that went wrong. Its `Display` is [`Failure::message`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// There is no connection, or the site is down.
    #[error("The model's files cannot be reached")]
    Offline,

    /// Status 404 or 410.
    #[error("The file `{file}` is missing from the site")]
    NotFound { file: String },

    /// Any other status that is not a success.
    #[error("The site answered with status {status} for `{file}`")]
    Server { file: String, status: u16 },

    /// Something else came under the file's address, such as a page.
    #[error("The site sent {found} instead of the file `{file}` (at {address})")]
    Instead { file: String, address: String, found: String },

    /// The bundle is on another site, and nothing says which manifest it must have.
    #[error("The bundle at {address} is on another site, and nothing says which one it must be")]
    Unpinned { address: String },

    /// The manifest has another hash than the page asks for.
    #[error("The model at {address} is not the one that this page was made for")]
    Altered { address: String },

    /// The bytes do not match the hash in the manifest.
    #[error("The file `{file}` arrived damaged")]
    Corrupted { file: String },

    /// The bundle arrived undamaged, but this program cannot run it.
    #[error("This model cannot be used: {reason}")]
    Bundle { reason: String },

    #[error("This browser does not support WebAssembly SIMD")]
    SimdMissing,

    #[error("This browser does not support {what}")]
    OldBrowser { what: String },

    #[error("The browser did not give the model enough memory")]
    OutOfMemory,

    /// A worker stopped twice; it is restarted only once.
    #[error("One of the models stopped unexpectedly")]
    WorkerDied,

    #[error("Loading was stopped")]
    Cancelled,
}

impl Failure {
    /// The failure as a sentence for the visitor, without its full stop.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The remedy: what the visitor can do about it, in whole sentences.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Offline => {
                "Check the connection, then try again. What has been downloaded is kept."
            }
            Self::NotFound { .. } => {
                "The site may just be updating: try again in a minute. If the file is still missing, reload the page."
            }
            Self::Server { .. } => "Try again in a minute. What has been downloaded is kept.",
            Self::Instead { .. } => {
                "If this network asks for a login, log in and try again. Else please tell the site's owner: the host must send the file itself under this address, not a page for paths that it does not know."
            }
            Self::Unpinned { .. } => {
                "Please tell this site's owner: the page must name the integrity of the bundle's manifest, which `native-train inspect` prints."
            }
            Self::Altered { .. } => {
                "Please tell this site's owner: the bundle has been replaced. If that was meant, the page must name the integrity of the new manifest, which `native-train inspect` prints."
            }
            Self::Corrupted { .. } => {
                "Try again. If it happens again, the file on the site is damaged: please tell the site's owner."
            }
            Self::Bundle { .. } => {
                "Reload the page. If it happens again, the page and the model do not match: please tell the site's owner."
            }
            Self::SimdMissing | Self::OldBrowser { .. } => {
                "Update the browser: it must be Chrome or Edge 91, Firefox 114, Safari 16.4, or newer."
            }
            Self::OutOfMemory => {
                "Close other tabs and try again, or use a device with more memory."
            }
            Self::WorkerDied => "Try again. If it happens again, reload the page.",
            Self::Cancelled => "Resume whenever you like: what has been downloaded is kept.",
        }
    }

    /// A code for programs, which stays the same when the sentences change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::NotFound { .. } => "not-found",
            Self::Server { .. } => "server",
            Self::Instead { .. } => "instead",
            Self::Corrupted { .. } => "corrupted",
            Self::Unpinned { .. } => "unpinned",
            Self::Altered { .. } => "altered",
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
