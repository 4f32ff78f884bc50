//! Changes of the models' state: the manifest, the question before a large download, the download, and
//! its failures.

use super::{composer, explanation, many};
use crate::failure::Failure;
use crate::models::Models;
use crate::state::effect::{Effect, Timer};
use crate::state::event::ModelEvent;
use crate::state::meter::Meter;
use crate::state::model::{
    ASK_ABOVE, ColdRows, FoldStatus, FoldsToLoad, Model, Offer, Phase, Saved,
};
use crate::state::page::State;

/// Milliseconds that the page is hidden before its models leave memory: longer than a look at another tab.
const REST_AFTER_MS: u32 = 60_000;

pub fn update(state: &mut State, event: ModelEvent) -> Vec<Effect> {
    let model = &mut state.model;
    match event {
        ModelEvent::ManifestArrived { bundle, to_download, then } => {
            let has_final = then.is_some();
            let folds = if has_final { FoldStatus::Unasked } else { FoldStatus::Waiting };
            model.folds = vec![folds; bundle.folds];
            model.final_model = has_final.then_some(FoldStatus::Waiting);
            model.has_cold = vec![!bundle.has_cold_rows; bundle.folds + usize::from(has_final)];
            model.bundle = Some(*bundle);
            note_cold(model);
            if let Some(then) = then {
                offer(model, to_download, then);
            }
            if to_download <= ASK_ABOVE {
                return start_pool(state);
            }
            model.phase = Phase::Asking { bytes: to_download };
        }
        ModelEvent::Accepted if matches!(model.phase, Phase::Asking { .. }) => {
            return start_pool(state);
        }
        ModelEvent::Accepted => {}
        ModelEvent::FoldsAsked => return load_folds(state),
        ModelEvent::FoldsDeclined => {
            if let Offer::Open { bytes } = model.offer {
                model.offer = Offer::Declined { bytes };
                return vec![Effect::RememberModels { chosen: Some(Models::Final) }];
            }
        }
        ModelEvent::StartFailed(failure) => {
            model.is_started = false;
            model.phase = Phase::Failed(failure);
        }
        ModelEvent::Progress { received, total, now } => model.meter.take(received, total, now),
        ModelEvent::FoldReady { fold } => {
            set(model, fold, FoldStatus::Ready);
            return folds_changed(state);
        }
        ModelEvent::ColdLoaded { fold } => {
            model.has_cold[fold] = true;
            if note_cold(model) {
                "The models know rare words too.".clone_into(&mut state.status);
                return vec![Effect::ReadCacheSize];
            }
        }
        ModelEvent::ColdFailed(failure) => model.cold_rows = ColdRows::Failed(failure),
        ModelEvent::FoldFailed { fold, failure } => {
            // After a cancel every unfinished fold reports `Cancelled`, which is no failure.
            if model.phase != Phase::Cancelled || failure != Failure::Cancelled {
                set(model, fold, FoldStatus::Failed(failure));
            }
            return folds_changed(state);
        }
        ModelEvent::WorkerRestarted { fold } => {
            // Once loading was stopped, nobody waits for the others; this one comes back and answers what it was asked.
            if model.phase != Phase::Cancelled {
                set(model, fold, FoldStatus::Waiting);
                model.phase = Phase::Loading;
            }
            if model.bundle.as_ref().is_some_and(|bundle| bundle.has_cold_rows) {
                model.has_cold[fold] = false;
                note_cold(model);
            }
        }
        ModelEvent::NotCached { reason } => model.saved = Saved::No { reason },
        ModelEvent::OutOfMemory => model.is_short_of_memory = true,
        ModelEvent::Seen(is_seen) => return glance(model, is_seen),
        ModelEvent::Left => return vec![Effect::Rest],
        ModelEvent::Cancel => return cancel(state),
        ModelEvent::Retry => return retry(state),
        ModelEvent::CacheSize(bytes) => model.cache_bytes = bytes,
        ModelEvent::ClearCache => return vec![Effect::ClearCache],
        ModelEvent::CacheCleared => {
            model.saved = Saved::Removed;
            "The saved models were removed from this device.".clone_into(&mut state.status);
            // What was chosen goes with what was kept by that choice.
            return vec![Effect::ReadCacheSize, Effect::RememberModels { chosen: None }];
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
    if state.model.final_model.is_some() && state.model.wants_folds() {
        effects.push(Effect::LoadFolds);
    }
    effects.extend(composer::ask(state));
    effects
}

/// Wants the folds, too, or offers them, if the final model is `before` bytes to download.
fn offer(model: &mut Model, before: u64, then: FoldsToLoad) {
    let bytes = then.bytes;
    model.offer = match then.chosen {
        _ if then.are_wanted(before) => {
            model.folds.fill(FoldStatus::Waiting);
            Offer::None
        }
        Some(Models::Final) => Offer::Declined { bytes },
        _ => Offer::Open { bytes },
    };
}

/// Loads the folds, once the final model is here.
fn load_folds(state: &mut State) -> Vec<Effect> {
    let model = &mut state.model;
    if model.offer == Offer::None || model.phase != Phase::Ready {
        return Vec::new();
    }
    model.offer = Offer::None;
    model.folds.fill(FoldStatus::Waiting);
    model.phase = Phase::Loading;
    model.meter = Meter::default();
    note_cold(model);
    let remember = Effect::RememberModels { chosen: Some(Models::Folds) };
    let mut effects = vec![remember, Effect::LoadFolds];
    effects.extend(composer::ask_folds(state));
    effects
}

fn set(model: &mut Model, index: usize, status: FoldStatus) {
    if let Some(place) = model.status_of(index) {
        *place = status;
    }
}

/// Updates whether the models that are wanted have their cold rows, unless these have failed: the folds, or the final
/// model until the folds are wanted. Returns whether they have.
fn note_cold(model: &mut Model) -> bool {
    let folds = model.folds.len();
    let wanted = if model.wants_folds() { Models::Folds } else { Models::Final };
    let mut wanted = (0..model.has_cold.len()).filter(|&index| wanted.have(index, folds));
    let are_here = wanted.all(|index| model.has_cold[index]);
    if are_here {
        model.cold_rows = ColdRows::Here;
    } else if model.cold_rows == ColdRows::Here {
        model.cold_rows = ColdRows::Awaited;
    }
    are_here
}

/// Updates the phase after a fold has become ready or failed, and settles whatever waited for that fold.
fn folds_changed(state: &mut State) -> Vec<Effect> {
    let model = &mut state.model;
    // Once the folds are in, the final model is not needed.
    let of_final = model.final_model.iter().filter(|_| !model.has_all_folds());
    let wanted: Vec<&FoldStatus> = model.folds.iter().chain(of_final).collect();
    let failure = wanted.iter().find_map(|fold| match fold {
        FoldStatus::Failed(failure) => Some(failure.clone()),
        FoldStatus::Unasked | FoldStatus::Waiting | FoldStatus::Ready => None,
    });
    let is_waiting = wanted.contains(&&FoldStatus::Waiting);
    let mut effects = Vec::new();
    if !is_waiting {
        model.phase = failure.map_or(Phase::Ready, Phase::Failed);
        effects.push(Effect::ReadCacheSize);
        if model.phase == Phase::Ready {
            let said = match model.for_jobs() {
                Models::Final => "The model is ready.",
                _ => "The models are ready.",
            };
            said.clone_into(&mut state.status);
        }
    }
    effects.extend(settle(state));
    effects
}

/// Settles whatever waited for models that are not expected any more.
fn settle(state: &mut State) -> Vec<Effect> {
    let mut effects = composer::settle(state);
    effects.extend(many::settle(state));
    effects.extend(explanation::settle(state));
    effects
}

/// Wakes the models when the page is seen again, and has them leave memory if it is not seen for long.
fn glance(model: &mut Model, is_seen: bool) -> Vec<Effect> {
    model.glances += 1;
    if is_seen {
        return vec![Effect::Wake];
    }
    vec![rest_later(model.glances)]
}

/// Has the models leave memory if the page has been hidden since it was hidden that time, and again later, as they may be
/// at work now.
pub fn rest(state: &mut State, glance: u64) -> Vec<Effect> {
    if glance != state.model.glances {
        return Vec::new();
    }
    vec![Effect::Rest, rest_later(glance)]
}

fn rest_later(glance: u64) -> Effect {
    Effect::Wait { timer: Timer::Rest, sequence: glance, milliseconds: REST_AFTER_MS }
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
    effects.extend(settle(state));
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
    for fold in model.folds.iter_mut().chain(&mut model.final_model) {
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
