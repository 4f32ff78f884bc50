//! How far the models are: the manifest, the question before a large download, the download, and what
//! went wrong with it.

use super::meter::Meter;
use super::{Effect, Ensemble, State, composer, explanation, many};
use crate::failure::Failure;

/// A download larger than this is asked about first.
pub const ASK_ABOVE: u64 = 50_000_000;

#[derive(Debug, Clone)]
pub struct Model {
    pub phase: Phase,
    pub ensemble: Option<Ensemble>,
    /// One a fold, once the manifest is there.
    pub folds: Vec<Fold>,
    pub rare_words: RareWords,
    pub meter: Meter,
    pub kept: Kept,
    /// What the browser keeps for the next visit.
    pub cache_bytes: u64,
    pub online: bool,
    /// The page itself opens without a network.
    pub is_shell_kept: bool,
    /// The workers run: questions reach the folds, if only once those are loaded.
    is_started: bool,
    /// The folds that know rare words too.
    whole: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Manifest,
    /// The visitor decides whether so many bytes are worth it.
    Asking {
        bytes: u64,
    },
    Loading,
    Cancelled,
    Ready,
    Failed(Failure),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fold {
    Waiting,
    Ready,
    Failed(Failure),
}

/// Whether the models know the words that come last.
#[derive(Debug, Clone, PartialEq)]
pub enum RareWords {
    Here,
    /// On their way, or to come after the models.
    Awaited,
    /// Not before a retry.
    Failed(Failure),
}

/// Whether the next visit finds the models in the browser's cache.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    Yes,
    No {
        reason: String,
    },
    /// The visitor threw them away; those in memory stay until the page is closed.
    Cleared,
}

#[derive(Debug, Clone)]
pub enum ModelEvent {
    ManifestArrived {
        ensemble: Box<Ensemble>,
        to_download: u64,
    },
    /// Without its manifest, or its workers, nothing works.
    StartFailed(Failure),
    Accepted,
    Progress {
        received: u64,
        total: u64,
        now: f64,
    },
    FoldReady {
        fold: usize,
    },
    /// A fold knows rare words too.
    FoldWhole {
        fold: usize,
    },
    FoldFailed {
        fold: usize,
        failure: Failure,
    },
    /// The folds answer on without the words that come last.
    RareWordsFailed(Failure),
    WorkerRestarted {
        fold: usize,
    },
    NotCached {
        reason: String,
    },
    Cancel,
    Retry,
    CacheSize(u64),
    ClearCache,
    CacheCleared,
    ShellKept,
    Online(bool),
}

impl Default for Model {
    fn default() -> Self {
        Self {
            phase: Phase::Manifest,
            ensemble: None,
            folds: Vec::new(),
            rare_words: RareWords::Here,
            meter: Meter::default(),
            kept: Kept::Yes,
            cache_bytes: 0,
            online: true,
            is_shell_kept: false,
            is_started: false,
            whole: Vec::new(),
        }
    }
}

impl Model {
    pub fn is_started(&self) -> bool {
        self.is_started
    }

    /// The folds whose answers are worth waiting for.
    pub fn expected_folds(&self) -> Vec<usize> {
        let comes = |fold: &Fold| match fold {
            Fold::Ready => true,
            Fold::Waiting => self.phase == Phase::Loading,
            Fold::Failed(_) => false,
        };
        (0..self.folds.len()).filter(|&fold| comes(&self.folds[fold])).collect()
    }

    pub fn ready_folds(&self) -> usize {
        self.folds.iter().filter(|fold| **fold == Fold::Ready).count()
    }

    /// Nothing more is being loaded, and there is a model to ask.
    pub fn can_do_jobs(&self) -> bool {
        self.ready_folds() > 0 && self.phase != Phase::Loading
    }

    /// Without a network, a new visit would work.
    pub fn is_ready_offline(&self) -> bool {
        self.phase == Phase::Ready
            && self.rare_words == RareWords::Here
            && self.kept == Kept::Yes
            && self.is_shell_kept
    }
}

pub fn update(state: &mut State, event: ModelEvent) -> Vec<Effect> {
    let model = &mut state.model;
    match event {
        ModelEvent::ManifestArrived { ensemble, to_download } => {
            model.folds = vec![Fold::Waiting; ensemble.folds];
            model.whole = vec![!ensemble.is_parted; ensemble.folds];
            model.rare_words =
                if ensemble.is_parted { RareWords::Awaited } else { RareWords::Here };
            model.ensemble = Some(*ensemble);
            if to_download > ASK_ABOVE {
                model.phase = Phase::Asking { bytes: to_download };
                return Vec::new();
            }
            start_pool(state)
        }
        ModelEvent::Accepted => match model.phase {
            Phase::Asking { .. } => start_pool(state),
            _ => Vec::new(),
        },
        ModelEvent::StartFailed(failure) => {
            model.is_started = false;
            model.phase = Phase::Failed(failure);
            Vec::new()
        }
        ModelEvent::Progress { received, total, now } => {
            model.meter.take(received, total, now);
            Vec::new()
        }
        ModelEvent::FoldReady { fold } => {
            model.folds[fold] = Fold::Ready;
            loading_changed(state)
        }
        ModelEvent::FoldWhole { fold } => {
            model.whole[fold] = true;
            if model.whole.contains(&false) {
                return Vec::new();
            }
            model.rare_words = RareWords::Here;
            "The models know rare words too.".clone_into(&mut state.status);
            vec![Effect::ReadCacheSize]
        }
        ModelEvent::RareWordsFailed(failure) => {
            model.rare_words = RareWords::Failed(failure);
            Vec::new()
        }
        ModelEvent::FoldFailed { fold, failure } => {
            // What a cancelled download ends with is no failure.
            if model.phase != Phase::Cancelled {
                model.folds[fold] = Fold::Failed(failure);
            }
            loading_changed(state)
        }
        ModelEvent::WorkerRestarted { fold } => {
            model.folds[fold] = Fold::Waiting;
            model.phase = Phase::Loading;
            if model.ensemble.as_ref().is_some_and(|ensemble| ensemble.is_parted) {
                model.whole[fold] = false;
                if model.rare_words == RareWords::Here {
                    model.rare_words = RareWords::Awaited;
                }
            }
            Vec::new()
        }
        ModelEvent::NotCached { reason } => {
            model.kept = Kept::No { reason };
            Vec::new()
        }
        ModelEvent::Cancel => cancel(state),
        ModelEvent::Retry => retry(state),
        ModelEvent::CacheSize(bytes) => {
            model.cache_bytes = bytes;
            Vec::new()
        }
        ModelEvent::ClearCache => vec![Effect::ClearCache],
        ModelEvent::CacheCleared => {
            model.kept = Kept::Cleared;
            "The saved models are removed from this device.".clone_into(&mut state.status);
            vec![Effect::ReadCacheSize]
        }
        ModelEvent::ShellKept => {
            model.is_shell_kept = true;
            Vec::new()
        }
        ModelEvent::Online(online) => {
            model.online = online;
            Vec::new()
        }
    }
}

fn start_pool(state: &mut State) -> Vec<Effect> {
    state.model.phase = Phase::Loading;
    state.model.is_started = true;
    state.model.meter = Meter::default();
    let mut effects = vec![Effect::StartPool];
    effects.extend(composer::ask(state));
    effects
}

/// A fold came or went: the phase follows, and what waits for answers waits for others now.
fn loading_changed(state: &mut State) -> Vec<Effect> {
    let model = &mut state.model;
    let failure = model.folds.iter().find_map(|fold| match fold {
        Fold::Failed(failure) => Some(failure.clone()),
        Fold::Waiting | Fold::Ready => None,
    });
    let is_waiting = model.folds.contains(&Fold::Waiting);
    let mut effects = Vec::new();
    if !is_waiting {
        model.phase = failure.map_or(Phase::Ready, Phase::Failed);
        effects.push(Effect::ReadCacheSize);
        if model.phase == Phase::Ready {
            "The models are ready.".clone_into(&mut state.status);
        }
    }
    effects.extend(composer::settle(state));
    effects.extend(many::settle(state));
    effects.extend(explanation::settle(state));
    effects
}

fn cancel(state: &mut State) -> Vec<Effect> {
    if state.model.phase == Phase::Ready && state.model.rare_words == RareWords::Awaited {
        return vec![Effect::CancelLoading];
    }
    if state.model.phase != Phase::Loading {
        return Vec::new();
    }
    state.model.phase = Phase::Cancelled;
    let mut effects = vec![Effect::CancelLoading];
    effects.extend(composer::settle(state));
    effects
}

fn retry(state: &mut State) -> Vec<Effect> {
    let model = &mut state.model;
    let lacks_words = matches!(model.rare_words, RareWords::Failed(_));
    if lacks_words {
        model.rare_words = RareWords::Awaited;
    }
    if lacks_words && model.phase == Phase::Ready {
        // What waits for them still does.
        model.meter.restart();
        return vec![Effect::RetryLoading];
    }
    if !matches!(model.phase, Phase::Cancelled | Phase::Failed(_)) {
        return Vec::new();
    }
    if model.ensemble.is_none() {
        model.phase = Phase::Manifest;
        return vec![Effect::FetchManifest];
    }
    if !model.is_started {
        return start_pool(state);
    }
    for fold in &mut model.folds {
        if matches!(fold, Fold::Failed(_)) {
            *fold = Fold::Waiting;
        }
    }
    model.phase = Phase::Loading;
    model.meter.restart();
    let mut effects = vec![Effect::RetryLoading];
    // The folds that failed have lost the question.
    effects.extend(composer::ask(state));
    effects
}
