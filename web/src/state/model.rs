//! The state of the models: the download, and which folds answer.

use super::bundle_summary::BundleSummary;
use super::meter::Meter;
use crate::failure::Failure;

/// Bytes above which a download is asked about first.
pub const ASK_ABOVE: u64 = 50_000_000;

/// The models and their download.
#[derive(Debug, Clone)]
pub struct Model {
    pub phase: Phase,
    /// Known once the manifest is here.
    pub bundle: Option<BundleSummary>,
    /// One for each fold, once the manifest is here.
    pub folds: Vec<FoldStatus>,
    pub cold_rows: ColdRows,
    pub meter: Meter,
    pub saved: Saved,
    /// The bytes that the browser keeps for the next visit.
    pub cache_bytes: u64,
    pub online: bool,
    /// Whether the page itself opens without a network.
    pub is_shell_kept: bool,
    /// Whether the workers run. Requests reach the folds, if only after those are loaded.
    pub(super) is_started: bool,
    /// Whether each fold has its cold rows.
    pub(super) has_cold: Vec<bool>,
}

/// The stage of the download.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Manifest,
    /// The visitor is asked whether to download so many bytes.
    Asking {
        bytes: u64,
    },
    Loading,
    Cancelled,
    Ready,
    Failed(Failure),
}

/// Whether a fold can answer.
#[derive(Debug, Clone, PartialEq)]
pub enum FoldStatus {
    Waiting,
    Ready,
    Failed(Failure),
}

/// Whether the models have their cold rows: the embeddings of rare words.
#[derive(Debug, Clone, PartialEq)]
pub enum ColdRows {
    Here,
    /// Being loaded, or to be loaded after the models.
    Awaited,
    /// The fold is not loaded before a retry.
    Failed(Failure),
}

/// Whether the next visit finds the models in the browser's cache.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    Yes,
    No {
        reason: String,
    },
    /// Removed by the visitor. The models in memory work until the page is closed.
    Removed,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            phase: Phase::Manifest,
            bundle: None,
            folds: Vec::new(),
            cold_rows: ColdRows::Here,
            meter: Meter::default(),
            saved: Saved::Yes,
            cache_bytes: 0,
            online: true,
            is_shell_kept: false,
            is_started: false,
            has_cold: Vec::new(),
        }
    }
}

impl Model {
    /// The labels' names; none before the manifest is here.
    pub fn label_names(&self) -> &[String] {
        self.bundle.as_ref().map_or(&[], |bundle| bundle.labels.names())
    }

    /// The folds whose answers are worth waiting for.
    pub fn expected_folds(&self) -> Vec<usize> {
        let is_expected = |fold: &FoldStatus| match fold {
            FoldStatus::Ready => true,
            FoldStatus::Waiting => self.phase == Phase::Loading,
            FoldStatus::Failed(_) => false,
        };
        (0..self.folds.len()).filter(|&fold| is_expected(&self.folds[fold])).collect()
    }

    pub fn ready_folds(&self) -> usize {
        self.folds.iter().filter(|fold| **fold == FoldStatus::Ready).count()
    }

    /// Whether long jobs may start: a model is ready, and no other is still being loaded.
    pub fn can_do_jobs(&self) -> bool {
        self.ready_folds() > 0 && self.phase != Phase::Loading
    }

    /// Whether a new visit would work without a network.
    pub fn is_ready_offline(&self) -> bool {
        self.phase == Phase::Ready
            && self.cold_rows == ColdRows::Here
            && self.saved == Saved::Yes
            && self.is_shell_kept
    }
}
