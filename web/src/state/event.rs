//! The events of the page: the visitor acts, the pool of models reports, a timer ends.

use shared::bundle::TextAnswer;

use super::bundle_summary::BundleSummary;
use super::effect::Timer;
use super::model::FoldsToLoad;
use super::selection::{Filter, Key};
use crate::failure::Failure;
use crate::texts_file::{Problem, TextsFile};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    Model(ModelEvent),
    Composer(ComposerEvent),
    Many(ManyEvent),
    Explanation(ExplanationEvent),
    /// The answers of a fold, or of the final model after them, to the texts of a request, in their order.
    Answer {
        request: u32,
        fold: usize,
        answers: Vec<TextAnswer>,
    },
    /// A text of the request waits for the fold's cold rows.
    NeedsCold {
        request: u32,
        fold: usize,
    },
    /// An `Effect::Wait` has ended.
    Elapsed {
        timer: Timer,
        sequence: u64,
    },
}

impl Event {
    /// Whether the page may look different after the event.
    pub fn may_be_visible(&self) -> bool {
        !matches!(
            self,
            Self::Model(ModelEvent::Seen(_) | ModelEvent::Left)
                | Self::Elapsed { timer: Timer::Rest, .. }
        )
    }
}

/// News of the download and of the models.
#[derive(Debug, Clone)]
pub enum ModelEvent {
    ManifestArrived {
        bundle: Box<BundleSummary>,
        /// The bytes of the models that the page begins with which are not in the browser's cache.
        to_download: u64,
        /// The folds, if the page begins with a final model.
        then: Option<FoldsToLoad>,
    },
    /// The manifest could not be loaded, or the workers not be started.
    StartFailed(Failure),
    /// The visitor agreed to a large download.
    Accepted,
    /// The visitor wants the folds besides the final model.
    FoldsAsked,
    /// The visitor is content with the final model.
    FoldsDeclined,
    Progress {
        received: u64,
        total: u64,
        now: f64,
    },
    FoldReady {
        fold: usize,
    },
    /// A fold has its cold rows and answers every text.
    ColdLoaded {
        fold: usize,
    },
    FoldFailed {
        fold: usize,
        failure: Failure,
    },
    /// Cold rows could not be loaded; the folds go on answering texts without rare words.
    ColdFailed(Failure),
    WorkerRestarted {
        fold: usize,
    },
    NotCached {
        reason: String,
    },
    /// A worker ran out of memory; fewer models are held at a time from now on.
    OutOfMemory,
    Cancel,
    Retry,
    CacheSize(u64),
    ClearCache,
    CacheCleared,
    ShellKept,
    Online(bool),
    /// The page is hidden or seen again.
    Seen(bool),
    /// The page is left. The browser may keep it as it is, in case the visitor returns.
    Left,
}

/// Events around the text box.
#[derive(Debug, Clone)]
pub enum ComposerEvent {
    Typed(String),
    ExampleChosen(usize),
    /// The page was opened, or its address changed.
    FragmentRead(String),
    Share,
    LinkCopied,
    /// The clipboard cannot be used; the link is in the address bar.
    LinkNotCopied,
    /// Neither the clipboard nor the address bar took the link.
    LinkRefused,
}

/// Events of the table of many texts.
#[derive(Debug, Clone)]
pub enum ManyEvent {
    LinesChanged(String),
    FileChosen {
        name: String,
        bytes: u64,
    },
    /// A part of the file has been read: so many bytes of text so far.
    FileProgress {
        file: u32,
        received: u64,
    },
    FileRead {
        file: u32,
        outcome: Result<TextsFile, Problem>,
    },
    FileRemoved,
    Run,
    Cancel,
    /// The visitor wants other rows.
    Filtered(Filter),
    /// The visitor has clicked the name of a column.
    SortedBy(Key),
    Download,
}

/// Events of the explanation.
#[derive(Debug, Clone)]
pub enum ExplanationEvent {
    Explain,
    /// The visitor has clicked a text of the table.
    ExplainRow(usize),
    LabelChosen(usize),
    Close,
}
