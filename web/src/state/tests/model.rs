use super::*;

fn manifest(to_download: u64) -> ModelEvent {
    ModelEvent::ManifestArrived { bundle: Box::new(bundle(2)), to_download, then: None }
}

#[test]
fn a_small_download_starts_at_once() {
    let mut state = State::default();
    assert_eq!(model(&mut state, manifest(ASK_ABOVE)), [Effect::StartPool]);
    assert_eq!(state.model.phase, Phase::Loading);
}

#[test]
fn a_large_download_waits_for_the_visitor() {
    let mut state = State::default();
    let bytes = ASK_ABOVE + 1;
    assert_eq!(model(&mut state, manifest(bytes)), []);
    assert_eq!(state.model.phase, Phase::Asking { bytes });
    // Typed meanwhile: kept, and asked as soon as there is someone to ask.
    assert_eq!(ask(&mut state, "hello"), []);
    let effects = model(&mut state, ModelEvent::Accepted);
    assert_eq!(effects[0], Effect::StartPool);
    assert_eq!(asked(&effects)[0].1, ["hello"]);
}

#[test]
fn the_first_fold_is_ready_while_the_others_load() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::FoldReady { fold: 1 });
    assert_eq!(state.model.phase, Phase::Loading);
    assert_eq!(state.model.ready_folds(), 1);
    assert!(!state.model.can_do_jobs());
    assert_eq!(model(&mut state, ModelEvent::FoldReady { fold: 0 }), [Effect::ReadCacheSize]);
    assert_eq!(state.model.phase, Phase::Ready);
    assert!(state.model.can_do_jobs());
    assert_eq!(state.status, "The models are ready.");
}

#[test]
fn ready_offline_needs_the_page_as_well_as_the_models() {
    let mut state = ready(1);
    assert!(!state.model.is_ready_offline());
    model(&mut state, ModelEvent::ShellKept);
    assert!(state.model.is_ready_offline());
}

#[test]
fn what_cannot_be_kept_is_not_ready_offline() {
    let mut state = loading(1);
    model(&mut state, ModelEvent::ShellKept);
    let reason = "the disk is full".to_owned();
    model(&mut state, ModelEvent::NotCached { reason: reason.clone() });
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    assert!(!state.model.is_ready_offline());
    assert_eq!(state.model.saved, Saved::No { reason });
}

#[test]
fn a_cleared_cache_works_on_but_not_offline() {
    let mut state = ready(1);
    model(&mut state, ModelEvent::ShellKept);
    assert_eq!(model(&mut state, ModelEvent::ClearCache), [Effect::ClearCache]);
    let forget = Effect::RememberModels { chosen: None };
    assert_eq!(model(&mut state, ModelEvent::CacheCleared), [Effect::ReadCacheSize, forget]);
    assert_eq!(state.model.phase, Phase::Ready);
    assert!(!state.model.is_ready_offline());
}

#[test]
fn cancelled_is_no_failure_and_goes_on_by_retry() {
    let mut state = loading(2);
    assert_eq!(model(&mut state, ModelEvent::Cancel), [Effect::CancelLoading]);
    for fold in 0..2 {
        model(&mut state, ModelEvent::FoldFailed { fold, failure: Failure::Cancelled });
    }
    assert_eq!(state.model.phase, Phase::Cancelled);
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::RetryLoading]);
    assert_eq!(state.model.phase, Phase::Loading);
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    model(&mut state, ModelEvent::FoldReady { fold: 1 });
    assert_eq!(state.model.phase, Phase::Ready);
}

#[test]
fn a_fold_that_fails_is_said_when_the_others_are_through() {
    let mut state = loading(2);
    let failure = Failure::Corrupted { file: "a.safetensors".to_owned() };
    model(&mut state, ModelEvent::FoldFailed { fold: 0, failure: failure.clone() });
    assert_eq!(state.model.phase, Phase::Loading);
    model(&mut state, ModelEvent::FoldReady { fold: 1 });
    assert_eq!(state.model.phase, Phase::Failed(failure));
    assert!(state.model.can_do_jobs());
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::RetryLoading]);
    assert_eq!(state.model.folds, [FoldStatus::Waiting, FoldStatus::Ready]);
}

#[test]
fn without_a_manifest_retry_fetches_it_again() {
    let mut state = State::default();
    model(&mut state, ModelEvent::StartFailed(Failure::Offline));
    assert_eq!(state.model.phase, Phase::Failed(Failure::Offline));
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::FetchManifest]);
}

#[test]
fn without_workers_retry_starts_them_again() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::StartFailed(Failure::SimdMissing));
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::StartPool]);
}

#[test]
fn a_restarted_worker_is_waited_for() {
    let mut state = ready(2);
    model(&mut state, ModelEvent::WorkerRestarted { fold: 1 });
    assert_eq!(state.model.phase, Phase::Loading);
    assert_eq!(state.model.expected(Models::Folds), [0, 1]);
    model(&mut state, ModelEvent::FoldReady { fold: 1 });
    assert_eq!(state.model.phase, Phase::Ready);
}

#[test]
fn a_worker_that_restarts_after_a_stop_has_nobody_wait_for_the_others() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    model(&mut state, ModelEvent::Cancel);
    model(&mut state, ModelEvent::WorkerRestarted { fold: 0 });
    assert_eq!(state.model.phase, Phase::Cancelled);
    assert_eq!(state.model.expected(Models::Folds), [0], "it is waited for");
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    assert_eq!(state.model.phase, Phase::Cancelled);
    assert_eq!(state.model.expected(Models::Folds), [0]);
    assert!(state.model.can_do_jobs());
    model(&mut state, ModelEvent::FoldFailed { fold: 1, failure: Failure::Cancelled });
    assert_eq!(state.model.folds[1], FoldStatus::Waiting);
    model(&mut state, ModelEvent::FoldFailed { fold: 0, failure: Failure::WorkerDied });
    assert!(state.model.expected(Models::Folds).is_empty());
}

#[test]
fn models_without_cold_rows_are_ready_and_say_so() {
    let mut state = ready_without_cold(2);
    model(&mut state, ModelEvent::ShellKept);
    assert_eq!(state.model.phase, Phase::Ready);
    assert_eq!(state.model.cold_rows, ColdRows::Awaited);
    assert!(!state.model.is_ready_offline());
    assert!(state.model.can_do_jobs());
    assert_eq!(model(&mut state, ModelEvent::ColdLoaded { fold: 1 }), []);
    let effects = model(&mut state, ModelEvent::ColdLoaded { fold: 0 });
    assert_eq!(effects, [Effect::ReadCacheSize]);
    assert_eq!(state.model.cold_rows, ColdRows::Here);
    assert!(state.model.is_ready_offline());

    model(&mut state, ModelEvent::WorkerRestarted { fold: 1 });
    model(&mut state, ModelEvent::FoldReady { fold: 1 });
    assert_eq!(state.model.cold_rows, ColdRows::Awaited);
    model(&mut state, ModelEvent::ColdLoaded { fold: 1 });
    assert_eq!(state.model.cold_rows, ColdRows::Here);
}

#[test]
fn cold_rows_that_fail_leave_the_models_ready_and_can_be_tried_again() {
    let mut state = ready_without_cold(1);
    assert_eq!(model(&mut state, ModelEvent::Retry), [], "nothing has failed");
    model(&mut state, ModelEvent::ColdFailed(Failure::Offline));
    assert_eq!(state.model.phase, Phase::Ready);
    assert_eq!(state.model.cold_rows, ColdRows::Failed(Failure::Offline));
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::RetryLoading]);
    assert_eq!(state.model.cold_rows, ColdRows::Awaited);

    assert_eq!(model(&mut state, ModelEvent::Cancel), [Effect::CancelLoading]);
    model(&mut state, ModelEvent::ColdFailed(Failure::Cancelled));
    assert_eq!(state.model.phase, Phase::Ready, "the models are");
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::RetryLoading]);
}

#[test]
fn a_text_with_a_rare_word_waits_until_its_answers_come() {
    let mut state = ready_without_cold(2);
    let number = request(&ask(&mut state, "floccinaucinihilipilification"));
    let needs_cold = |request, fold| Event::NeedsCold { request, fold };
    update(&mut state, needs_cold(number + 1, 0));
    assert!(!state.composer.waits_for_cold(), "that was another text");
    update(&mut state, needs_cold(number, 0));
    update(&mut state, needs_cold(number, 1));
    assert!(state.composer.waits_for_cold());
    assert!(state.composer.shown().is_none());
    answer(&mut state, number, 0, &[[0.5, 0.5]]);
    assert!(state.composer.waits_for_cold(), "for the other model");
    answer(&mut state, number, 1, &[[0.5, 0.5]]);
    assert!(!state.composer.waits_for_cold());
}

#[test]
fn a_page_that_nobody_looks_at_gives_its_memory_back() {
    let mut state = ready(1);
    let hidden = model(&mut state, ModelEvent::Seen(false));
    let effects = elapse(&mut state, &hidden);
    assert_eq!(effects[0], Effect::Rest);
    assert_eq!(elapse(&mut state, &effects)[0], Effect::Rest, "they may have been at work");
    assert_eq!(model(&mut state, ModelEvent::Seen(true)), [Effect::Wake]);
    assert_eq!(elapse(&mut state, &effects), []);

    // Who comes back in time finds all as it was, and a later absence counts anew.
    let hidden = model(&mut state, ModelEvent::Seen(false));
    model(&mut state, ModelEvent::Seen(true));
    assert_eq!(elapse(&mut state, &hidden), []);
    let again = model(&mut state, ModelEvent::Seen(false));
    assert_eq!(elapse(&mut state, &hidden), []);
    assert_eq!(elapse(&mut state, &again)[0], Effect::Rest);
    assert_eq!(model(&mut state, ModelEvent::Left), [Effect::Rest]);
}
