//! Stories about the pool's decisions: messages in, actions out.

mod cold;
mod final_model;
mod helpers;
mod rest;

use shared::bundle::TextAnswer;

use super::*;
use crate::pool::plan::Share;

const SHARD: u64 = 10;

/// A scheduler of folds that use shard 0 and a shard of their own. `shares` are the workers' folds and
/// capacities; there is a core for each worker.
fn scheduler(shares: &[(&[usize], usize)]) -> Scheduler {
    scheduler_on(shares.len(), shares)
}

fn scheduler_on(cores: usize, shares: &[(&[usize], usize)]) -> Scheduler {
    let folds: usize = shares.iter().map(|(folds, _)| folds.len()).sum();
    let shares = shares.iter().map(|&(folds, capacity)| Share { folds: folds.to_vec(), capacity });
    let hot = |fold| ShardsOfFold { hot: vec![0, fold + 1], cold: Vec::new() };
    Scheduler::new(shares.collect(), cores, (0..folds).map(hot).collect(), &vec![SHARD; folds + 1])
}

/// A scheduler with a listening worker for each fold and an empty cache.
fn listening(folds: usize) -> Scheduler {
    let all: Vec<usize> = (0..folds).collect();
    let shares: Vec<(&[usize], usize)> =
        all.iter().map(|fold| (std::slice::from_ref(fold), 1)).collect();
    let mut scheduler = scheduler(&shares);
    scheduler.start(vec![false; folds + 1]);
    for worker in 0..folds {
        scheduler.message(worker, FromWorker::Ready);
    }
    scheduler
}

/// Plays the messages of a worker that loads a fold.
fn load(scheduler: &mut Scheduler, worker: usize, fold: usize) -> Vec<Action> {
    for shard in [0, fold + 1] {
        scheduler.message(worker, FromWorker::Taken { shard, cached: true });
    }
    scheduler.message(worker, FromWorker::Loaded { fold })
}

fn loads(actions: &[Action]) -> Vec<usize> {
    let load = |action: &Action| match action {
        Action::Send { message: ToWorker::Load { fold }, .. } => Some(*fold),
        _ => None,
    };
    actions.iter().filter_map(load).collect()
}

fn reports(actions: Vec<Action>) -> Vec<PoolEvent> {
    let report = |action| match action {
        Action::Report(event) => Some(event),
        _ => None,
    };
    actions.into_iter().filter_map(report).collect()
}

/// The slices sent to workers, as (worker, ticket, fold, number of texts).
fn questions(actions: &[Action]) -> Vec<(usize, u32, usize, usize)> {
    let question = |action: &Action| match action {
        Action::Send { worker, message: ToWorker::Classify { ticket, fold, texts } } => {
            Some((*worker, *ticket, *fold, texts.len()))
        }
        _ => None,
    };
    actions.iter().filter_map(question).collect()
}

fn texts(count: usize) -> Vec<String> {
    vec!["text".to_owned(); count]
}

/// Texts of which eight make a slice.
fn long_texts(count: usize) -> Vec<String> {
    vec!["x".repeat(112); count]
}

fn answers(count: usize) -> Vec<TextAnswer> {
    vec![TextAnswer { probabilities: vec![0.5], truncated: false }; count]
}

fn said(count: usize) -> Vec<Option<TextAnswer>> {
    answers(count).into_iter().map(Some).collect()
}

#[test]
fn nothing_is_sent_before_a_worker_listens() {
    let mut scheduler = scheduler(&[(&[0], 1)]);
    let actions = scheduler.start(vec![false; 2]);
    let progress = PoolEvent::Progress { received: 0, total: 2 * SHARD };
    assert_eq!(actions, [Action::Report(progress), Action::Spawn { worker: 0 }]);
    assert_eq!(scheduler.classify(7, texts(1), Models::Folds), []);
    let actions = scheduler.message(0, FromWorker::Ready);
    let load = ToWorker::Load { fold: 0 };
    assert_eq!(actions, [Action::Open { worker: 0 }, Action::Send { worker: 0, message: load }]);
}

#[test]
fn downloads_follow_each_other_and_the_first_fold_answers_meanwhile() {
    let mut scheduler = listening(2);
    scheduler.classify(7, texts(1), Models::Folds);
    assert!(loads(&scheduler.message(0, FromWorker::Taken { shard: 0, cached: true })).is_empty());
    // Fold 0 is being decoded now and needs the network no more.
    let actions = scheduler.message(0, FromWorker::Taken { shard: 1, cached: true });
    assert_eq!(loads(&actions), [1]);
    let actions = scheduler.message(0, FromWorker::Loaded { fold: 0 });
    assert_eq!(questions(&actions), [(0, 0, 0, 1)]);
    let answer = FromWorker::Answer { ticket: 0, fold: 0, answers: said(1) };
    let expected = PoolEvent::Answer { request: 7, fold: 0, answers: answers(1) };
    assert_eq!(reports(scheduler.message(0, answer)), [expected]);
    assert_eq!(questions(&load(&mut scheduler, 1, 1)), [(1, 0, 1, 1)]);
}

#[test]
fn what_is_cached_loads_all_at_once_and_counts_as_received() {
    let mut scheduler = scheduler(&[(&[0], 1), (&[1], 1)]);
    let actions = scheduler.start(vec![true; 3]);
    let expected = PoolEvent::Progress { received: 3 * SHARD, total: 3 * SHARD };
    assert_eq!(reports(actions), [expected]);
    assert_eq!(loads(&scheduler.message(1, FromWorker::Ready)), [1]);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [0]);
}

#[test]
fn progress_counts_a_shared_shard_once_and_never_goes_back() {
    let mut scheduler = listening(2);
    let received = |actions| match reports(actions)[..] {
        [PoolEvent::Progress { received, total }] => {
            assert_eq!(total, 3 * SHARD);
            Some(received)
        }
        [] => None,
        ref other => panic!("{other:?}"),
    };
    let progress = |shard, received| FromWorker::Progress { shard, received };
    assert_eq!(received(scheduler.message(0, progress(0, 6))), Some(6));
    assert_eq!(received(scheduler.message(0, progress(0, 2))), None);
    assert_eq!(received(scheduler.message(1, progress(0, 7))), Some(7));
    assert_eq!(received(scheduler.message(1, progress(2, 99))), Some(17));
}

#[test]
fn a_long_request_goes_in_slices_and_a_single_text_goes_first() {
    let mut scheduler = listening(1);
    load(&mut scheduler, 0, 0);
    assert_eq!(questions(&scheduler.classify(1, long_texts(20), Models::Folds)), [(0, 0, 0, 8)]);
    assert_eq!(scheduler.classify(2, texts(1), Models::Folds), []);
    let answer = |ticket, count| FromWorker::Answer { ticket, fold: 0, answers: said(count) };
    assert_eq!(questions(&scheduler.message(0, answer(0, 8))), [(0, 1, 0, 1)]);
    assert_eq!(questions(&scheduler.message(0, answer(1, 1))), [(0, 0, 0, 8)]);
    assert_eq!(questions(&scheduler.message(0, answer(0, 8))), [(0, 0, 0, 4)]);
    let expected = PoolEvent::Answer { request: 1, fold: 0, answers: answers(20) };
    assert_eq!(reports(scheduler.message(0, answer(0, 4))), [expected]);
}

#[test]
fn texts_go_by_length_and_come_back_in_their_order() {
    let mut scheduler = listening(1);
    load(&mut scheduler, 0, 0);
    // Two that are a slice each, between short ones.
    let lengths = [3, 2000, 1, 2500, 2];
    let request: Vec<String> = lengths.iter().map(|&length| "x".repeat(length)).collect();
    let says = |length: usize| TextAnswer { probabilities: vec![length as f32], truncated: false };
    let mut actions = scheduler.classify(1, request, Models::Folds);
    let mut slices = Vec::new();
    let answered = loop {
        let Some((ticket, texts)) = actions.iter().find_map(|action| match action {
            Action::Send { message: ToWorker::Classify { ticket, texts, .. }, .. } => {
                Some((*ticket, texts.iter().map(String::len).collect::<Vec<_>>()))
            }
            _ => None,
        }) else {
            break reports(actions);
        };
        let answers = texts.iter().map(|&length| Some(says(length))).collect();
        slices.push(texts);
        actions = scheduler.message(0, FromWorker::Answer { ticket, fold: 0, answers });
    };
    assert_eq!(slices, [vec![2500], vec![2000], vec![1, 2, 3]]);
    let answers = lengths.map(says).to_vec();
    assert_eq!(answered, [PoolEvent::Answer { request: 1, fold: 0, answers }]);
}

#[test]
fn a_cancelled_request_is_not_heard_of_again_even_if_its_number_is() {
    let mut scheduler = listening(1);
    load(&mut scheduler, 0, 0);
    scheduler.classify(1, texts(1), Models::Folds);
    assert_eq!(scheduler.cancel(1), []);
    // The worker is still at it.
    assert_eq!(scheduler.classify(1, texts(1), Models::Folds), []);
    let late = FromWorker::Answer { ticket: 0, fold: 0, answers: said(1) };
    let actions = scheduler.message(0, late);
    assert_eq!(questions(&actions), [(0, 1, 0, 1)]);
    assert_eq!(reports(actions), []);
}

#[test]
fn a_request_without_texts_is_answered_at_once() {
    let expected = PoolEvent::Answer { request: 3, fold: 0, answers: Vec::new() };
    assert_eq!(reports(listening(1).classify(3, Vec::new(), Models::Folds)), [expected]);
}

#[test]
fn folds_take_turns_where_memory_is_short() {
    let mut scheduler = scheduler(&[(&[0, 1], 1)]);
    scheduler.start(vec![false; 3]);
    scheduler.message(0, FromWorker::Ready);
    let actions = load(&mut scheduler, 0, 0);
    let send = |message| Action::Send { worker: 0, message };
    let ready = Action::Report(PoolEvent::FoldReady { fold: 0 });
    let (unload, then) = (ToWorker::Unload { fold: 0 }, ToWorker::Load { fold: 1 });
    assert_eq!(actions, [ready, send(unload), send(then)]);
    assert!(loads(&load(&mut scheduler, 0, 1)).is_empty());

    // Fold 1 is in memory and answers first; only then fold 0 comes back.
    assert_eq!(questions(&scheduler.classify(5, texts(1), Models::Folds)), [(0, 0, 1, 1)]);
    let answer = FromWorker::Answer { ticket: 0, fold: 1, answers: said(1) };
    assert_eq!(loads(&scheduler.message(0, answer)), [0]);
    let loaded = scheduler.message(0, FromWorker::Loaded { fold: 0 });
    assert_eq!(questions(&loaded), [(0, 0, 0, 1)]);
    assert_eq!(reports(loaded), [], "that it is ready was said before");
}

#[test]
fn folds_do_not_take_turns_without_a_cache() {
    let mut scheduler = scheduler(&[(&[0, 1], 1)]);
    scheduler.start(vec![false; 3]);
    scheduler.message(0, FromWorker::Ready);
    let reason = "full".to_owned();
    let actions = scheduler.message(0, FromWorker::NotCached { reason: reason.clone() });
    assert_eq!(reports(actions), [PoolEvent::NotCached { reason: reason.clone() }]);
    assert_eq!(scheduler.message(0, FromWorker::NotCached { reason }), [], "said once");
    let actions = scheduler.message(0, FromWorker::Loaded { fold: 0 });
    let failed = PoolEvent::FoldFailed { fold: 1, failure: Failure::OutOfMemory };
    assert_eq!(reports(actions), [PoolEvent::FoldReady { fold: 0 }, failed]);
}

#[test]
fn folds_do_not_take_turns_when_the_cache_was_emptied_before_someone_tries_again() {
    let mut scheduler = scheduler(&[(&[0, 1], 1)]);
    scheduler.start(vec![true; 3]);
    scheduler.message(0, FromWorker::Ready);
    load(&mut scheduler, 0, 0);
    load(&mut scheduler, 0, 1);
    scheduler.cache_cleared();
    let actions = scheduler.classify(1, texts(1), Models::Folds);
    assert_eq!(questions(&actions), [(0, 0, 1, 1)]);
    let failed = PoolEvent::FoldFailed { fold: 0, failure: Failure::OutOfMemory };
    assert_eq!(reports(actions), [failed]);
    let answer = FromWorker::Answer { ticket: 0, fold: 1, answers: said(1) };
    assert!(loads(&scheduler.message(0, answer)).is_empty());
    assert_eq!(loads(&scheduler.retry()), [0]);
    assert_eq!(questions(&load(&mut scheduler, 0, 0)), [(0, 0, 0, 1)]);
}

#[test]
fn a_worker_that_dies_is_started_again_once_and_answers_what_it_was_asked() {
    let mut scheduler = listening(1);
    load(&mut scheduler, 0, 0);
    scheduler.classify(1, texts(1), Models::Folds);
    let actions = scheduler.worker_died(0, Failure::WorkerDied);
    let restarted = Action::Report(PoolEvent::WorkerRestarted { fold: 0 });
    assert_eq!(actions, [Action::Spawn { worker: 0 }, restarted]);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [0]);
    assert_eq!(questions(&load(&mut scheduler, 0, 0)), [(0, 0, 0, 1)]);

    let actions = scheduler.message(0, FromWorker::OutOfMemory);
    let failed = PoolEvent::FoldFailed { fold: 0, failure: Failure::OutOfMemory };
    let [short, failed] = [PoolEvent::OutOfMemory, failed].map(Action::Report);
    assert_eq!(actions, [short, Action::Terminate { worker: 0 }, failed]);
    // The trap that follows is the same death.
    assert_eq!(scheduler.worker_died(0, Failure::WorkerDied), []);

    assert_eq!(scheduler.retry(), [Action::Spawn { worker: 0 }]);
    scheduler.message(0, FromWorker::Ready);
    assert_eq!(questions(&load(&mut scheduler, 0, 0)), [(0, 0, 0, 1)], "the newest request stays");
}

#[test]
fn loading_stops_and_goes_on() {
    let mut scheduler = listening(2);
    let actions = scheduler.cancel_loading();
    assert_eq!(actions[0], Action::Send { worker: 0, message: ToWorker::CancelLoading });
    let failed = |fold| PoolEvent::FoldFailed { fold, failure: Failure::Cancelled };
    assert_eq!(reports(actions), [failed(0), failed(1)]);
    // The worker has not stopped yet: it can be told to load only after it has said so.
    let retried = scheduler.retry();
    assert_eq!(loads(&retried), [1]);
    let stopped = FromWorker::Failed { fold: 0, failure: Failure::Cancelled };
    assert_eq!(reports(scheduler.message(0, stopped)), []);
    assert!(loads(&scheduler.message(1, FromWorker::Taken { shard: 0, cached: true })).is_empty());
    let actions = scheduler.message(1, FromWorker::Taken { shard: 2, cached: true });
    assert_eq!(loads(&actions), [0]);
}

#[test]
fn a_missing_file_fails_its_fold_and_a_lost_connection_all_that_load() {
    let mut scheduler = listening(3);
    let failure = Failure::NotFound { file: "x".to_owned() };
    let failed = PoolEvent::FoldFailed { fold: 0, failure: failure.clone() };
    let actions = scheduler.message(0, FromWorker::Failed { fold: 0, failure });
    assert_eq!(loads(&actions), [1]);
    assert_eq!(reports(actions), [failed]);
    let failure = Failure::Offline;
    let actions = scheduler.message(1, FromWorker::Failed { fold: 1, failure: failure.clone() });
    let failed = |fold| PoolEvent::FoldFailed { fold, failure: failure.clone() };
    assert_eq!(reports(actions), [failed(1), failed(2)]);
    assert_eq!(loads(&scheduler.retry()), [0]);
}

#[test]
fn a_lost_connection_leaves_what_comes_from_the_cache() {
    let mut scheduler = scheduler(&[(&[0], 1), (&[1], 1)]);
    // Fold 1 is cached, and fold 0 lacks the shard that is its own.
    scheduler.start(vec![true, false, true]);
    for worker in 0..2 {
        assert_eq!(loads(&scheduler.message(worker, FromWorker::Ready)), [worker]);
    }
    let failure = Failure::Offline;
    let lost = FromWorker::Failed { fold: 0, failure: failure.clone() };
    let failed = PoolEvent::FoldFailed { fold: 0, failure };
    assert_eq!(reports(scheduler.message(0, lost)), [failed]);
    assert_eq!(reports(load(&mut scheduler, 1, 1)), [PoolEvent::FoldReady { fold: 1 }]);

    // What was taken for cached and is not there fails alone.
    let mut scheduler = scheduler_on(1, &[(&[0], 1)]);
    scheduler.start(vec![true; 2]);
    scheduler.message(0, FromWorker::Ready);
    let failure = Failure::Offline;
    let lost = FromWorker::Failed { fold: 0, failure: failure.clone() };
    let actions = scheduler.message(0, lost);
    assert_eq!(actions, [Action::Report(PoolEvent::FoldFailed { fold: 0, failure })]);
}

#[test]
fn failed_folds_keep_no_request_alive_but_the_newest() {
    let mut scheduler = listening(1);
    scheduler.classify(1, texts(1), Models::Folds);
    scheduler.classify(2, texts(1), Models::Folds);
    let failure = Failure::NotFound { file: "x".to_owned() };
    scheduler.message(0, FromWorker::Failed { fold: 0, failure });
    scheduler.retry();
    assert_eq!(questions(&load(&mut scheduler, 0, 0)), [(0, 1, 0, 1)]);
    let answer = FromWorker::Answer { ticket: 1, fold: 0, answers: said(1) };
    assert_eq!(questions(&scheduler.message(0, answer)), []);
}

#[test]
fn stopping_terminates_every_worker_and_reports_nothing() {
    let actions = listening(2).stop();
    assert_eq!(actions, [Action::Terminate { worker: 0 }, Action::Terminate { worker: 1 }]);
}

#[test]
fn cores_take_turns_and_share_the_last_one() {
    let mut scheduler = scheduler_on(2, &[(&[0, 3], 2), (&[1, 4], 2), (&[2], 1)]);
    scheduler.start(vec![true; 6]);
    for worker in 0..3 {
        scheduler.message(worker, FromWorker::Ready);
    }
    for (worker, fold) in [(0, 0), (0, 3), (1, 1), (1, 4), (2, 2)] {
        load(&mut scheduler, worker, fold);
    }
    assert_eq!(
        questions(&scheduler.classify(1, texts(1), Models::Folds)),
        [(0, 0, 0, 1), (1, 0, 1, 1)]
    );
    let mut answered = |worker, fold| {
        let message = FromWorker::Answer { ticket: 0, fold, answers: said(1) };
        questions(&scheduler.message(worker, message))
    };
    // Four folds are left, so two cores have two workers to do.
    assert_eq!(answered(1, 1), [(1, 0, 4, 1)]);
    // Three are left, for three workers.
    assert_eq!(answered(0, 0), [(0, 0, 3, 1), (2, 0, 2, 1)]);
    assert_eq!(answered(2, 2), []);
}
