//! Changes of the models' state: the manifest, the question before a large download, the download, and
//! its failures.

use super::{composer, explanation, many};
use crate::state::effect::Effect;
use crate::state::event::ModelEvent;
use crate::state::meter::Meter;
use crate::state::model::{ASK_ABOVE, ColdRows, FoldStatus, Phase, Saved};
use crate::state::page::State;

pub fn update(state: &mut State, event: ModelEvent) -> Vec<Effect> {
    let model = &mut state.model;
    match event {
        ModelEvent::ManifestArrived { bundle, to_download } => {
            model.folds = vec![FoldStatus::Waiting; bundle.folds];
            model.has_cold = vec![!bundle.has_cold_rows; bundle.folds];
            if bundle.has_cold_rows {
                model.cold_rows = ColdRows::Awaited;
            }
            model.bundle = Some(*bundle);
            if to_download <= ASK_ABOVE {
                return start_pool(state);
            }
            model.phase = Phase::Asking { bytes: to_download };
        }
        ModelEvent::Accepted if matches!(model.phase, Phase::Asking { .. }) => {
            return start_pool(state);
        }
        ModelEvent::Accepted => {}
        ModelEvent::StartFailed(failure) => {
            model.is_started = false;
            model.phase = Phase::Failed(failure);
        }
        ModelEvent::Progress { received, total, now } => model.meter.take(received, total, now),
        ModelEvent::FoldReady { fold } => {
            model.folds[fold] = FoldStatus::Ready;
            return folds_changed(state);
        }
        ModelEvent::ColdLoaded { fold } => {
            model.has_cold[fold] = true;
            if !model.has_cold.contains(&false) {
                model.cold_rows = ColdRows::Here;
                "The models know rare words too.".clone_into(&mut state.status);
                return vec![Effect::ReadCacheSize];
            }
        }
        ModelEvent::ColdFailed(failure) => model.cold_rows = ColdRows::Failed(failure),
        ModelEvent::FoldFailed { fold, failure } => {
            // After a cancel every unfinished fold reports `Cancelled`, which is no failure.
            if model.phase != Phase::Cancelled {
                model.folds[fold] = FoldStatus::Failed(failure);
            }
            return folds_changed(state);
        }
        ModelEvent::WorkerRestarted { fold } => {
            model.folds[fold] = FoldStatus::Waiting;
            model.phase = Phase::Loading;
            if model.bundle.as_ref().is_some_and(|bundle| bundle.has_cold_rows) {
                model.has_cold[fold] = false;
                if model.cold_rows == ColdRows::Here {
                    model.cold_rows = ColdRows::Awaited;
                }
            }
        }
        ModelEvent::NotCached { reason } => model.saved = Saved::No { reason },
        ModelEvent::Cancel => return cancel(state),
        ModelEvent::Retry => return retry(state),
        ModelEvent::CacheSize(bytes) => model.cache_bytes = bytes,
        ModelEvent::ClearCache => return vec![Effect::ClearCache],
        ModelEvent::CacheCleared => {
            model.saved = Saved::Removed;
            "The saved models were removed from this device.".clone_into(&mut state.status);
            return vec![Effect::ReadCacheSize];
        }
        ModelEvent::ShellKept => model.is_shell_kept = true,
        ModelEvent::Online(online) => model.online = online,
    }
    Vec::new()
}

fn start_pool(state: &mut State) -> Vec<Effect> {
    state.model.phase = Phase::Loading;
    state.model.is_started = true;
    state.model.meter = Meter::default();
    let mut effects = vec![Effect::StartPool];
    effects.extend(composer::ask(state));
    effects
}

/// Updates the phase after a fold has become ready or failed, and settles whatever waited for that fold.
fn folds_changed(state: &mut State) -> Vec<Effect> {
    let model = &mut state.model;
    let failure = model.folds.iter().find_map(|fold| match fold {
        FoldStatus::Failed(failure) => Some(failure.clone()),
        FoldStatus::Waiting | FoldStatus::Ready => None,
    });
    let is_waiting = model.folds.contains(&FoldStatus::Waiting);
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
    if state.model.phase == Phase::Ready && state.model.cold_rows == ColdRows::Awaited {
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
    let is_cold_missing = matches!(model.cold_rows, ColdRows::Failed(_));
    if is_cold_missing {
        model.cold_rows = ColdRows::Awaited;
    }
    if is_cold_missing && model.phase == Phase::Ready {
        // The pool still has the requests that wait for cold rows.
        model.meter.restart();
        return vec![Effect::RetryLoading];
    }
    if !matches!(model.phase, Phase::Cancelled | Phase::Failed(_)) {
        return Vec::new();
    }
    if model.bundle.is_none() {
        model.phase = Phase::Manifest;
        return vec![Effect::FetchManifest];
    }
    if !model.is_started {
        return start_pool(state);
    }
    for fold in &mut model.folds {
        if matches!(fold, FoldStatus::Failed(_)) {
            *fold = FoldStatus::Waiting;
        }
    }
    model.phase = Phase::Loading;
    model.meter.restart();
    let mut effects = vec![Effect::RetryLoading];
    // The pool has dropped the request for the folds that failed.
    effects.extend(composer::ask(state));
    effects
}
