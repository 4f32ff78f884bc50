//! Stories about a page that nobody looks at.

use super::*;

/// Two folds in memory, kept in the cache.
fn loaded() -> Scheduler {
    let mut scheduler = listening(2);
    load(&mut scheduler, 0, 0);
    load(&mut scheduler, 1, 1);
    scheduler
}

fn terminated(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Terminate { .. })).count()
}

fn spawned(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Spawn { .. })).count()
}

#[test]
fn workers_end_and_begin_again_without_a_word() {
    let mut scheduler = loaded();
    let actions = scheduler.rest();
    assert_eq!(terminated(&actions), 2);
    assert_eq!(reports(actions), []);
    assert_eq!(scheduler.rest(), [], "they have ended");
    let actions = scheduler.wake();
    assert_eq!(spawned(&actions), 2);
    assert_eq!(reports(actions), []);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [0]);
    assert_eq!(reports(load(&mut scheduler, 0, 0)), [], "the page was told that it is ready");
    assert_eq!(spawned(&scheduler.wake()), 0);
}

#[test]
fn a_question_wakes_them() {
    let mut scheduler = loaded();
    scheduler.rest();
    assert_eq!(spawned(&scheduler.classify(7, texts(1), Models::Folds)), 2);
    scheduler.message(0, FromWorker::Ready);
    assert_eq!(questions(&load(&mut scheduler, 0, 0)), [(0, 0, 0, 1)]);
}

#[test]
fn there_is_no_rest_at_work_nor_without_a_cache() {
    let mut scheduler = listening(2);
    assert_eq!(scheduler.rest(), [], "a fold is loading");
    let mut scheduler = loaded();
    scheduler.classify(7, texts(1), Models::Folds);
    assert_eq!(scheduler.rest(), [], "a text is asked about");
    let mut scheduler = loaded();
    scheduler.message(0, FromWorker::NotCached { reason: "full".to_owned() });
    assert_eq!(scheduler.rest(), [], "they could not come back");
    let mut scheduler = loaded();
    assert_eq!(scheduler.cache_cleared(), []);
    assert_eq!(scheduler.rest(), [], "they would be downloaded again");
}

#[test]
fn models_that_are_out_keep_nobody_awake() {
    let mut scheduler = listening(2);
    load(&mut scheduler, 0, 0);
    scheduler.cancel_loading();
    let stopped = FromWorker::Failed { fold: 1, failure: Failure::Cancelled };
    scheduler.message(1, stopped);
    scheduler.classify(7, texts(1), Models::Folds);
    assert_eq!(scheduler.rest(), [], "fold 0 is at it");
    let answer = FromWorker::Answer { ticket: 0, fold: 0, answers: said(1) };
    scheduler.message(0, answer);
    assert_eq!(terminated(&scheduler.rest()), 2);
    // The text still waits for the fold that was stopped.
    scheduler.retry();
    scheduler.message(1, FromWorker::Ready);
    assert_eq!(questions(&load(&mut scheduler, 1, 1)), [(1, 0, 1, 1)]);
}
