//! Stories about a final model beside two folds.

use super::*;

/// The index of the final model.
const FINAL: usize = 2;

const MORE: u64 = 600;

fn arrived(chosen: Option<Models>, bytes: u64) -> (State, Vec<Effect>) {
    let mut state = State::default();
    let bundle = Box::new(BundleSummary { final_bytes: Some(400), ..bundle(2) });
    let then = Some(FoldsToLoad { bytes, chosen });
    let arrived = ModelEvent::ManifestArrived { bundle, to_download: 400, then };
    let effects = model(&mut state, arrived);
    (state, effects)
}

/// A page whose final model is ready.
fn light() -> State {
    let (mut state, effects) = arrived(None, MORE);
    assert_eq!(effects, [Effect::StartPool]);
    fold_ready(&mut state, FINAL);
    state
}

fn fold_ready(state: &mut State, fold: usize) -> Vec<Effect> {
    model(state, ModelEvent::FoldReady { fold })
}

fn models_of(effects: &[Effect]) -> Vec<Models> {
    let models = |effect: &Effect| match effect {
        Effect::Classify { models, .. } => Some(*models),
        _ => None,
    };
    effects.iter().filter_map(models).collect()
}

#[test]
fn the_page_is_ready_with_the_final_model_and_offers_the_folds() {
    let state = light();
    assert_eq!(state.model.phase, Phase::Ready);
    assert_eq!(state.model.offer, Offer::Open { bytes: MORE });
    assert_eq!(state.model.folds, vec![FoldStatus::Unasked; 2]);
    assert_eq!(state.status, "The model is ready.");
    assert!(state.model.can_do_jobs());
}

#[test]
fn a_text_is_answered_by_one_model_until_all_folds_have_answered() {
    let mut state = light();
    let effects = ask(&mut state, "text");
    assert_eq!(models_of(&effects), [Models::Both]);
    let number = request(&effects);
    let said = answer(&mut state, number, FINAL, &[[0.75, 0.125]]);
    elapse(&mut state, &said);
    assert_eq!(state.status, "Found: joy 75%. One model answered.");
    assert_eq!(probabilities(&state), [0.75, 0.125]);

    let effects = model(&mut state, ModelEvent::FoldsAsked);
    let remember = Effect::RememberModels { chosen: Some(Models::Folds) };
    assert_eq!(effects[..2], [remember, Effect::LoadFolds]);
    // The same request, of the folds alone.
    assert_eq!((request(&effects), models_of(&effects)), (number, vec![Models::Folds]));
    assert_eq!((state.model.phase.clone(), state.model.offer), (Phase::Loading, Offer::None));

    fold_ready(&mut state, 0);
    assert_eq!(answer(&mut state, number, 0, &[[0.25, 0.5]]), []);
    assert_eq!(probabilities(&state), [0.75, 0.125], "one fold is no ensemble");
    fold_ready(&mut state, 1);
    assert_eq!(state.status, "The models are ready.");
    let said = answer(&mut state, number, 1, &[[0.0, 0.5]]);
    assert_eq!(probabilities(&state), [0.125, 0.5], "the final model is no part of the mean");
    elapse(&mut state, &said);
    assert_eq!(state.status, "Found: fear 50%.");
    // From now on the folds are asked alone.
    assert_eq!(models_of(&ask(&mut state, "next")), [Models::Folds]);
}

#[test]
fn a_late_answer_of_the_final_model_does_not_replace_the_mean() {
    let mut state = light();
    let number = request(&ask(&mut state, "text"));
    let effects = model(&mut state, ModelEvent::FoldsAsked);
    assert_eq!(models_of(&effects), [Models::Both], "the final model has not answered yet");
    for fold in 0..2 {
        fold_ready(&mut state, fold);
        answer(&mut state, number, fold, &[[0.25, 0.5]]);
    }
    answer(&mut state, number, FINAL, &[[1.0, 1.0]]);
    assert_eq!(probabilities(&state), [0.25, 0.5]);
}

#[test]
fn what_was_chosen_before_and_what_is_cached_decides_without_a_question() {
    let wanted = [Effect::StartPool, Effect::LoadFolds];
    let alone = [Effect::StartPool];
    let open = |bytes| Offer::Open { bytes };
    let declined = |bytes| Offer::Declined { bytes };
    for (chosen, bytes, effects, offer) in [
        (None, MORE, &alone[..], open(MORE)),
        (None, 0, &wanted, Offer::None),
        (Some(Models::Folds), MORE, &wanted, Offer::None),
        // With the final model's 400 bytes.
        (Some(Models::Folds), ASK_ABOVE - 400, &wanted, Offer::None),
        (Some(Models::Folds), ASK_ABOVE - 399, &alone, open(ASK_ABOVE - 399)),
        (Some(Models::Final), MORE, &alone, declined(MORE)),
        (Some(Models::Final), 0, &alone, declined(0)),
    ] {
        let (state, found) = arrived(chosen, bytes);
        assert_eq!((&found[..], state.model.offer), (effects, offer), "{chosen:?}, {bytes}");
    }
}

#[test]
fn a_visitor_who_declines_may_still_change_their_mind() {
    let mut state = light();
    let effects = model(&mut state, ModelEvent::FoldsDeclined);
    assert_eq!(effects, [Effect::RememberModels { chosen: Some(Models::Final) }]);
    assert_eq!(state.model.offer, Offer::Declined { bytes: MORE });
    assert_eq!(model(&mut state, ModelEvent::FoldsDeclined), [], "once is enough");
    let effects = model(&mut state, ModelEvent::FoldsAsked);
    assert!(effects.contains(&Effect::LoadFolds));
    assert_eq!(model(&mut state, ModelEvent::FoldsAsked), [], "they are on their way");
}

#[test]
fn a_table_is_of_the_models_that_it_began_with() {
    let mut state = light();
    let lines = vec!["text"; 40].join("\n");
    update(&mut state, Event::Many(ManyEvent::LinesChanged(lines)));
    let effects = update(&mut state, Event::Many(ManyEvent::Run));
    assert_eq!(models_of(&effects), [Models::Final; 2]);
    model(&mut state, ModelEvent::FoldsAsked);
    fold_ready(&mut state, 0);
    fold_ready(&mut state, 1);
    let mut open = asked(&effects);
    while let Some((number, texts)) = open.pop() {
        let effects = answer(&mut state, number, FINAL, &vec![[0.5, 0.0]; texts.len()]);
        assert!(models_of(&effects).iter().all(|&models| models == Models::Final));
        open.extend(asked(&effects));
    }
    assert!(matches!(&state.many.job, Job::Done(table) if table.answered() == 40));
    let effects = update(&mut state, Event::Many(ManyEvent::Run));
    assert_eq!(models_of(&effects), [Models::Folds; 2]);
}

#[test]
fn the_final_models_answer_is_explained_by_the_final_model() {
    let mut state = light();
    let number = request(&ask(&mut state, "so glad"));
    answer(&mut state, number, FINAL, &[[0.25, 0.75]]);
    let explain = Event::Explanation(ExplanationEvent::Explain);
    let effects = update(&mut state, explain);
    assert_eq!(models_of(&effects), [Models::Final]);
    answer(&mut state, request(&effects), FINAL, &[[0.25, 0.75], [0.25, 0.5], [0.25, 1.0]]);
    assert!(state.explanation.is_done());
    assert_eq!(state.explanation.models(), Some(Models::Final));
}

#[test]
fn folds_that_fail_or_are_stopped_leave_the_final_models_answer() {
    let mut state = light();
    let number = request(&ask(&mut state, "text"));
    answer(&mut state, number, FINAL, &[[0.75, 0.0]]);
    model(&mut state, ModelEvent::FoldsAsked);
    fold_ready(&mut state, 0);
    answer(&mut state, number, 0, &[[0.0, 0.0]]);
    model(&mut state, ModelEvent::FoldFailed { fold: 1, failure: Failure::Offline });
    assert_eq!(state.model.phase, Phase::Failed(Failure::Offline));
    assert_eq!(probabilities(&state), [0.75, 0.0]);
    assert!(state.model.can_do_jobs());
    assert_eq!(model(&mut state, ModelEvent::Retry)[0], Effect::RetryLoading);

    let mut state = light();
    model(&mut state, ModelEvent::FoldsAsked);
    assert_eq!(model(&mut state, ModelEvent::Cancel), [Effect::CancelLoading]);
    assert_eq!(state.model.phase, Phase::Cancelled);
    let number = request(&ask(&mut state, "text"));
    answer(&mut state, number, FINAL, &[[0.75, 0.0]]);
    assert_eq!(probabilities(&state), [0.75, 0.0]);
}

#[test]
fn a_final_model_that_fails_is_a_failure_and_can_be_tried_again() {
    let (mut state, _) = arrived(None, MORE);
    model(&mut state, ModelEvent::FoldFailed { fold: FINAL, failure: Failure::Offline });
    assert_eq!(state.model.phase, Phase::Failed(Failure::Offline));
    assert!(!state.model.can_do_jobs());
    assert_eq!(model(&mut state, ModelEvent::Retry), [Effect::RetryLoading]);
    assert_eq!(state.model.final_model, Some(FoldStatus::Waiting));
    fold_ready(&mut state, FINAL);
    assert_eq!(state.model.phase, Phase::Ready);
}

#[test]
fn rare_words_are_those_of_the_models_that_answer() {
    let mut state = State::default();
    let bundle = BundleSummary { final_bytes: Some(400), has_cold_rows: true, ..bundle(2) };
    let then = Some(FoldsToLoad { bytes: MORE, chosen: None });
    let bundle = Box::new(bundle);
    model(&mut state, ModelEvent::ManifestArrived { bundle, to_download: 0, then });
    fold_ready(&mut state, FINAL);
    assert_eq!(state.model.cold_rows, ColdRows::Awaited);
    model(&mut state, ModelEvent::ColdLoaded { fold: FINAL });
    assert_eq!(state.model.cold_rows, ColdRows::Here);
    model(&mut state, ModelEvent::FoldsAsked);
    assert_eq!(state.model.cold_rows, ColdRows::Awaited);
    for fold in 0..2 {
        fold_ready(&mut state, fold);
        model(&mut state, ModelEvent::ColdLoaded { fold });
    }
    assert_eq!(state.model.cold_rows, ColdRows::Here);
}
