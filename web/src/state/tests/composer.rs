use super::*;

#[test]
fn asks_once_the_typing_pauses() {
    let mut state = ready(2);
    let first = type_text(&mut state, "h");
    let second = type_text(&mut state, "hi");
    assert_eq!(elapse(&mut state, &first), [], "the pause ended by another letter");
    assert_eq!(asked(&elapse(&mut state, &second))[0].1, ["hi"]);
}

#[test]
fn the_newest_text_wins() {
    let mut state = ready(1);
    let first = request(&ask(&mut state, "old"));
    let effects = ask(&mut state, "new");
    assert!(effects.contains(&Effect::CancelRequest { request: first }));
    let second = request(&effects);

    answer(&mut state, second, 0, &[[0.75, 0.0]]);
    answer(&mut state, first, 0, &[[0.0, 1.0]]);
    assert_eq!(probabilities(&state), [0.75, 0.0]);
    assert!(!state.composer.is_stale());
}

#[test]
fn old_answers_stay_on_show_until_there_are_new_ones() {
    let mut state = ready(2);
    let first = request(&ask(&mut state, "old"));
    answer(&mut state, first, 0, &[[0.5, 0.0]]);
    answer(&mut state, first, 1, &[[1.0, 0.5]]);
    assert_eq!(probabilities(&state), [0.75, 0.25]);

    let second = request(&ask(&mut state, "new"));
    assert_eq!(probabilities(&state), [0.75, 0.25]);
    assert!(state.composer.is_stale());
    answer(&mut state, second, 1, &[[0.125, 0.0]]);
    assert_eq!(probabilities(&state), [0.125, 0.0]);
    assert!(!state.composer.is_stale());
}

#[test]
fn decides_by_the_thresholds_and_tells_how_far_the_folds_agree() {
    let mut state = ready(2);
    let asked = request(&ask(&mut state, "text"));
    answer(&mut state, asked, 0, &[[0.5, 0.25]]);
    answer(&mut state, asked, 1, &[[0.25, 0.25]]);
    let results = state.composer.shown().unwrap().results(state.model.bundle.as_ref().unwrap());
    assert_eq!(results[0].probability, 0.375);
    assert_eq!(results[0].spread, (0.25, 0.5));
    assert!(!results[0].is_on);
    assert!(results[1].is_on, "at the threshold is on");
}

#[test]
fn an_empty_text_takes_the_answers_away() {
    let mut state = ready(1);
    let asked = request(&ask(&mut state, "text"));
    answer(&mut state, asked, 0, &[[0.5, 0.5]]);
    assert_eq!(ask(&mut state, " \n"), []);
    assert!(state.composer.shown().is_none());
    // What was on its way comes for nothing.
    let asked = request(&ask(&mut state, "more"));
    assert_eq!(type_text(&mut state, ""), [Effect::CancelRequest { request: asked }]);
    answer(&mut state, asked, 0, &[[0.5, 0.5]]);
    assert!(state.composer.shown().is_none());
}

#[test]
fn says_the_result_once_when_everyone_has_answered_and_nobody_types() {
    let mut state = ready(2);
    let asked = request(&ask(&mut state, "text"));
    assert_eq!(answer(&mut state, asked, 0, &[[0.5, 0.75]]), []);
    let last = answer(&mut state, asked, 1, &[[0.5, 0.75]]);
    assert!(matches!(last[..], [Effect::Wait { timer: Timer::Announce, .. }]));
    state.status.clear();
    elapse(&mut state, &last);
    assert_eq!(state.status, "Found: fear 75% and joy 50%.");

    // Typed on meanwhile: nothing is said of the older text.
    let asked = request(&ask(&mut state, "text a"));
    answer(&mut state, asked, 0, &[[0.0, 0.0]]);
    let last = answer(&mut state, asked, 1, &[[0.0, 0.0]]);
    type_text(&mut state, "text ab");
    elapse(&mut state, &last);
    assert_eq!(state.status, "Found: fear 75% and joy 50%.");
}

#[test]
fn says_that_nothing_was_found_and_that_models_are_missing() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::FoldFailed { fold: 1, failure: Failure::OutOfMemory });
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    let asked = request(&ask(&mut state, "text"));
    let last = answer(&mut state, asked, 0, &[[0.1, 0.1]]);
    elapse(&mut state, &last);
    assert_eq!(state.status, "No label reaches its threshold. 1 of 2 models answered.");
}

#[test]
fn a_fold_that_fails_is_no_longer_waited_for() {
    let mut state = ready(2);
    let asked = request(&ask(&mut state, "text"));
    answer(&mut state, asked, 0, &[[0.5, 0.5]]);
    let failed = ModelEvent::FoldFailed { fold: 1, failure: Failure::WorkerDied };
    let effects = model(&mut state, failed);
    let is_announced =
        |effect: &Effect| matches!(effect, Effect::Wait { timer: Timer::Announce, .. });
    assert!(effects.iter().any(is_announced));
}

#[test]
fn a_link_carries_the_text_behind_the_hash() {
    let mut state = ready(1);
    type_text(&mut state, "a b?");
    let fragment = "text=a%20b%3F".to_owned();
    let share = Event::Composer(ComposerEvent::Share);
    let copy = Effect::CopyLink { fragment: fragment.clone() };
    assert_eq!(
        update(&mut state, share),
        [Effect::SetFragment { fragment: fragment.clone() }, copy]
    );

    let mut other = ready(1);
    let opened = Event::Composer(ComposerEvent::FragmentRead(format!("#{fragment}")));
    let effects = update(&mut other, opened);
    assert_eq!(other.composer.text, "a b?");
    assert_eq!(asked(&elapse(&mut other, &effects)).len(), 1);
}

#[test]
fn a_link_note_is_gone_with_the_text_it_was_about() {
    let mut state = ready(1);
    type_text(&mut state, "a");
    for (event, text) in [
        (ComposerEvent::LinkCopied, "ab"),
        (ComposerEvent::LinkNotCopied, "abc"),
        (ComposerEvent::LinkRefused, "abcd"),
    ] {
        update(&mut state, Event::Composer(event));
        assert!(!state.composer.link_note.is_empty());
        type_text(&mut state, text);
        assert!(state.composer.link_note.is_empty());
    }
}

#[test]
fn retry_asks_again_as_the_failed_folds_have_lost_the_question() {
    let mut state = ready(2);
    ask(&mut state, "text");
    model(&mut state, ModelEvent::FoldFailed { fold: 1, failure: Failure::WorkerDied });
    let effects = model(&mut state, ModelEvent::Retry);
    assert_eq!(effects[0], Effect::RetryLoading);
    assert_eq!(asked(&effects)[0].1, ["text"]);
}

#[test]
fn nothing_is_said_of_a_text_that_is_asked_about_again() {
    let mut state = loading(2);
    model(&mut state, ModelEvent::FoldReady { fold: 0 });
    let asked = request(&ask(&mut state, "text"));
    answer(&mut state, asked, 0, &[[0.5, 0.0]]);
    let stopped = model(&mut state, ModelEvent::Cancel);
    let resumed = model(&mut state, ModelEvent::Retry);
    state.status.clear();
    elapse(&mut state, &stopped);
    assert_eq!(state.status, "");

    let asked = request(&resumed);
    answer(&mut state, asked, 0, &[[0.5, 0.0]]);
    elapse(&mut state, &stopped);
    assert_eq!(state.status, "", "the other model has still to answer");
    model(&mut state, ModelEvent::FoldReady { fold: 1 });
    let last = answer(&mut state, asked, 1, &[[0.5, 0.0]]);
    elapse(&mut state, &last);
    assert_eq!(state.status, "Found: joy 50%.");
}
