//! The state of the models: the download, and which folds answer.

use super::bundle_summary::BundleSummary;
use super::gathering::Gathering;
use super::meter::Meter;
use crate::failure::Failure;
use crate::models::Models;

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
    /// The final model, if the bundle has one beside its folds. When all folds are ready it is not needed any more.
    pub final_model: Option<FoldStatus>,
    /// What the visitor is offered besides the final model.
    pub offer: Offer,
    pub cold_rows: ColdRows,
    pub meter: Meter,
    pub saved: Saved,
    /// The bytes that the browser keeps for the next visit.
    pub cache_bytes: u64,
    pub online: bool,
    /// How often the page has been hidden or seen again.
    pub(super) glances: u64,
    /// Whether this device has run out of memory on this visit.
    pub is_short_of_memory: bool,
    /// Whether the page itself opens without a network.
    pub is_shell_kept: bool,
    /// Whether the workers run. Requests reach the folds, if only after those are loaded.
    pub(super) is_started: bool,
    /// Whether each fold, and after them the final model, has its cold rows.
    pub(super) has_cold: Vec<bool>,
}

/// The offer to load the folds of a bundle that begins with a final model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// There is no final model, or the folds are loaded, too.
    None,
    /// The folds are this many bytes more.
    Open { bytes: u64 },
    /// The visitor said no, and may still change their mind.
    Declined { bytes: u64 },
}

/// The folds of a bundle that begins with a final model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldsToLoad {
    /// The bytes that are not in the browser's cache, nor in the final model's shards.
    pub bytes: u64,
    /// What the visitor chose on an earlier visit.
    pub chosen: Option<Models>,
}

impl FoldsToLoad {
    /// Whether they are loaded without a question: the visitor chose them and they are no large download, with the `before`
    /// bytes of the final model, or they are all in the cache and the visitor did not choose the final model.
    pub fn are_wanted(self, before: u64) -> bool {
        match self.chosen {
            Some(Models::Final) => false,
            Some(_) => self.bytes == 0 || before + self.bytes <= ASK_ABOVE,
            None => self.bytes == 0,
        }
    }
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
    /// It is not loaded, as the visitor has not asked for it.
    Unasked,
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
            final_model: None,
            offer: Offer::None,
            cold_rows: ColdRows::Here,
            meter: Meter::default(),
            saved: Saved::Yes,
            cache_bytes: 0,
            online: true,
            glances: 0,
            is_short_of_memory: false,
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

    /// The models among these whose answers are worth waiting for.
    pub fn expected(&self, models: Models) -> Vec<usize> {
        let is_expected = |model: &FoldStatus| match model {
            FoldStatus::Ready => true,
            FoldStatus::Waiting => self.phase == Phase::Loading,
            FoldStatus::Unasked | FoldStatus::Failed(_) => false,
        };
        let folds = self.folds.len();
        let all = self.folds.iter().chain(&self.final_model).enumerate();
        let expected =
            all.filter(|&(index, model)| models.have(index, folds) && is_expected(model));
        expected.map(|(index, _)| index).collect()
    }

    /// The models that a text in the box is asked of: all that are loaded, and the final model until the folds are in.
    pub fn asked(&self) -> Models {
        match self.final_model {
            Some(_) if !self.has_all_folds() => Models::Both,
            _ => Models::Folds,
        }
    }

    /// The models that answer many texts, or explain an answer.
    pub fn for_jobs(&self) -> Models {
        match self.asked() {
            Models::Both => Models::Final,
            models => models,
        }
    }

    /// Whether the answer is about as good as it gets: that of the final model, or of every fold that may come.
    pub fn is_settled(&self, gathering: &Gathering) -> bool {
        gathering.speaker() == Some(Models::Final)
            || gathering.is_settled(&self.expected(Models::Folds))
    }

    /// Whether the folds are loaded or being loaded.
    pub fn wants_folds(&self) -> bool {
        !self.folds.contains(&FoldStatus::Unasked)
    }

    /// Whether every fold is ready.
    pub fn has_all_folds(&self) -> bool {
        self.folds.iter().all(|fold| *fold == FoldStatus::Ready)
    }

    /// The status of a fold, or of the final model after them.
    pub(super) fn status_of(&mut self, model: usize) -> Option<&mut FoldStatus> {
        self.folds.get_mut(model).or(self.final_model.as_mut())
    }

    pub fn ready_folds(&self) -> usize {
        self.folds.iter().filter(|fold| **fold == FoldStatus::Ready).count()
    }

    /// Whether long jobs may start: the final model is ready, or a fold is and no other is still being loaded.
    pub fn can_do_jobs(&self) -> bool {
        match self.for_jobs() {
            Models::Final => self.final_model == Some(FoldStatus::Ready),
            _ => self.ready_folds() > 0 && self.phase != Phase::Loading,
        }
    }

    /// Whether a new visit would work without a network.
    pub fn is_ready_offline(&self) -> bool {
        self.phase == Phase::Ready
            && self.cold_rows == ColdRows::Here
            && self.saved == Saved::Yes
            && self.is_shell_kept
    }
}
