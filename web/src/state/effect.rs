//! The effects that the state asks the browser for. Plain data; [`EffectRunner`](crate::effects::EffectRunner)
//! carries it out.

use crate::models::Models;

/// Something for the browser to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    FetchManifest,
    /// Wait until the service worker has saved the page itself.
    WatchShell,
    /// Start to load the final model, or the folds where there is none.
    StartPool,
    /// Load the folds besides the final model.
    LoadFolds,
    /// Remember on this device which models the visitor wants, or nothing.
    RememberModels {
        chosen: Option<Models>,
    },
    CancelLoading,
    RetryLoading,
    /// Give the memory of the models back, if they do nothing.
    Rest,
    /// Load the models that have left memory.
    Wake,
    Classify {
        request: u32,
        texts: Vec<String>,
        models: Models,
    },
    CancelRequest {
        request: u32,
    },
    /// Send `Event::Elapsed` after a pause. The sequence number tells whether the text, or who looks at the page, has changed
    /// meanwhile.
    Wait {
        timer: Timer,
        sequence: u64,
        milliseconds: u32,
    },
    ReadCacheSize,
    ClearCache,
    /// Read the file that the visitor chose last, the one of this number.
    ReadFile {
        file: u32,
    },
    /// Save the rows that the table shows on the visitor's device.
    SaveTable,
    /// Put the text into the address, behind the `#` that no server sees.
    SetFragment {
        fragment: String,
    },
    /// Copy the address of the page with the text in it.
    CopyLink {
        fragment: String,
    },
}

/// The pauses that the state waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The pause from the last key stroke to the classification.
    Classify,
    /// The pause from the last answer to its announcement.
    Announce,
    /// The time that the page is hidden before its models leave memory.
    Rest,
}

/// The source of request numbers; each is used once.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    last: u32,
}

impl Requests {
    pub fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }
}
