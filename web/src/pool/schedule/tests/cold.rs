//! Stories about bundles with cold rows. A fold's hot shards are shard 0 and one of its own; its cold shards are
//! one that all folds share and one of its own.

use super::*;

/// A scheduler like [`scheduler`](super::scheduler) with cold shards, and the number of all shards.
fn scheduler_with_cold(shares: &[(&[usize], usize)]) -> (Scheduler, usize) {
    let folds: usize = shares.iter().map(|(folds, _)| folds.len()).sum();
    let shares = shares.iter().map(|&(folds, capacity)| Share { folds: folds.to_vec(), capacity });
    let shards_of = (0..folds).map(|fold| ShardsOfFold {
        hot: vec![0, fold + 1],
        cold: vec![folds + 1, folds + 2 + fold],
    });
    let count = 2 * folds + 2;
    let shards_of = shards_of.collect();
    let cores = shares.len();
    (Scheduler::new(shares.collect(), cores, shards_of, &vec![SHARD; count]), count)
}

/// A scheduler with cold shards, listening workers and an empty cache.
fn listening_with_cold(shares: &[(&[usize], usize)]) -> Scheduler {
    let (mut scheduler, shards) = scheduler_with_cold(shares);
    scheduler.start(vec![false; shards]);
    for worker in 0..shares.len() {
        scheduler.message(worker, FromWorker::Ready);
    }
    scheduler
}

/// Plays the messages of a worker that loads a fold's cold rows.
fn load_cold(scheduler: &mut Scheduler, worker: usize, fold: usize, folds: usize) -> Vec<Action> {
    for shard in [folds + 1, folds + 2 + fold] {
        scheduler.message(worker, FromWorker::Taken { shard, cached: true });
    }
    scheduler.message(worker, FromWorker::ColdLoaded { fold })
}

/// The folds whose cold rows are to be loaded.
fn cold_loads(actions: &[Action]) -> Vec<usize> {
    let cold_loads = |action: &Action| match action {
        Action::Send { message: ToWorker::LoadCold { fold }, .. } => Some(*fold),
        _ => None,
    };
    actions.iter().filter_map(cold_loads).collect()
}

fn taken(shard: usize) -> FromWorker {
    FromWorker::Taken { shard, cached: true }
}

#[test]
fn a_fold_answers_first_and_gets_its_cold_rows_before_the_next_is_downloaded() {
    let mut scheduler = listening_with_cold(&[(&[0], 1), (&[1], 1)]);
    scheduler.message(0, taken(0));
    assert!(loads(&scheduler.message(0, taken(1))).is_empty(), "fold 0 has more to download");
    let actions = scheduler.message(0, FromWorker::Loaded { fold: 0 });
    assert_eq!((cold_loads(&actions), loads(&actions)), (vec![0], vec![]));
    assert_eq!(reports(actions), [PoolEvent::FoldReady { fold: 0 }]);
    assert!(loads(&scheduler.message(0, taken(3))).is_empty());
    // Fold 0 needs the network no more.
    assert_eq!(loads(&scheduler.message(0, taken(4))), [1]);
    let cold_loaded = |fold| [PoolEvent::ColdLoaded { fold }];
    assert_eq!(reports(scheduler.message(0, FromWorker::ColdLoaded { fold: 0 })), cold_loaded(0));
    assert_eq!(cold_loads(&load(&mut scheduler, 1, 1)), [1]);
    assert_eq!(reports(load_cold(&mut scheduler, 1, 1, 2)), cold_loaded(1));
}

#[test]
fn cached_cold_rows_do_not_wait_for_other_workers() {
    let (mut scheduler, shards) = scheduler_with_cold(&[(&[0, 1], 2), (&[2], 1)]);
    scheduler.start(vec![true; shards]);
    scheduler.message(0, FromWorker::Ready);
    let loaded = scheduler.message(0, FromWorker::Loaded { fold: 0 });
    assert_eq!(
        (loads(&loaded), cold_loads(&loaded)),
        (vec![1], vec![]),
        "the fold beside it first"
    );
    let loaded = scheduler.message(0, FromWorker::Loaded { fold: 1 });
    assert_eq!(cold_loads(&loaded), [0]);
    assert_eq!(cold_loads(&scheduler.message(0, FromWorker::ColdLoaded { fold: 0 })), [1]);
}

#[test]
fn a_text_with_a_rare_word_waits_and_holds_up_no_other() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    assert_eq!(questions(&scheduler.classify(1, texts(3), Models::Folds)), [(0, 0, 0, 3)]);
    let mut slice = said(3);
    slice[1] = None;
    let actions = scheduler.message(0, FromWorker::Answer { ticket: 0, fold: 0, answers: slice });
    assert_eq!(questions(&actions), [], "it is not asked again");
    assert_eq!(reports(actions), [PoolEvent::NeedsCold { request: 1, fold: 0 }]);

    assert_eq!(questions(&scheduler.classify(2, texts(1), Models::Folds)), [(0, 1, 0, 1)]);
    let answer = FromWorker::Answer { ticket: 1, fold: 0, answers: said(1) };
    let expected = PoolEvent::Answer { request: 2, fold: 0, answers: answers(1) };
    assert_eq!(reports(scheduler.message(0, answer)), [expected]);

    let actions = load_cold(&mut scheduler, 0, 0, 1);
    assert_eq!(questions(&actions), [(0, 0, 0, 1)], "the one that waited");
    let answer = FromWorker::Answer { ticket: 0, fold: 0, answers: said(1) };
    let expected = PoolEvent::Answer { request: 1, fold: 0, answers: answers(3) };
    assert_eq!(reports(scheduler.message(0, answer)), [expected]);
}

#[test]
fn answers_that_came_before_the_rare_word_keep_their_places() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    let says = |number: f32| TextAnswer { probabilities: vec![number], truncated: false };
    let request: Vec<String> = ["ccc", "a", "bb"].map(str::to_owned).to_vec();
    scheduler.classify(1, request, Models::Folds);
    // By length: a, bb, ccc; of which bb is rare.
    let slice = vec![Some(says(1.0)), None, Some(says(3.0))];
    scheduler.message(0, FromWorker::Answer { ticket: 0, fold: 0, answers: slice });
    load_cold(&mut scheduler, 0, 0, 1);
    let slice = vec![Some(says(2.0))];
    let actions = scheduler.message(0, FromWorker::Answer { ticket: 0, fold: 0, answers: slice });
    let answers = [3.0, 1.0, 2.0].map(says).to_vec();
    assert_eq!(reports(actions), [PoolEvent::Answer { request: 1, fold: 0, answers }]);
}

#[test]
fn cold_rows_that_come_while_a_slice_is_at_the_worker_do_not_mix_it_up() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    scheduler.classify(1, long_texts(10), Models::Folds);
    let mut slice = said(8);
    slice[0] = None;
    let next = scheduler.message(0, FromWorker::Answer { ticket: 0, fold: 0, answers: slice });
    assert_eq!(questions(&next), [(0, 0, 0, 2)]);
    assert_eq!(questions(&load_cold(&mut scheduler, 0, 0, 1)), [], "it is busy");
    let answer = |count| FromWorker::Answer { ticket: 0, fold: 0, answers: said(count) };
    assert_eq!(questions(&scheduler.message(0, answer(2))), [(0, 0, 0, 1)]);
    let expected = PoolEvent::Answer { request: 1, fold: 0, answers: answers(10) };
    assert_eq!(reports(scheduler.message(0, answer(1))), [expected]);
}

#[test]
fn cold_rows_that_fail_leave_the_fold_answering_until_a_retry() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    scheduler.classify(1, texts(1), Models::Folds);
    scheduler.message(0, FromWorker::Answer { ticket: 0, fold: 0, answers: vec![None] });
    let failure = Failure::NotFound { file: "x".to_owned() };
    let failed = FromWorker::ColdFailed { fold: 0, failure: failure.clone() };
    let actions = scheduler.message(0, failed);
    assert_eq!(actions, [Action::Report(PoolEvent::ColdFailed { fold: 0, failure })]);
    assert_eq!(questions(&scheduler.classify(2, texts(1), Models::Folds)), [(0, 1, 0, 1)]);
    scheduler.message(0, FromWorker::Answer { ticket: 1, fold: 0, answers: said(1) });
    assert_eq!(cold_loads(&scheduler.retry()), [0]);
    assert_eq!(questions(&load_cold(&mut scheduler, 0, 0, 1)), [(0, 0, 0, 1)]);
}

#[test]
fn a_lost_connection_fails_what_is_not_here_and_no_fold_that_is() {
    let mut scheduler = listening_with_cold(&[(&[0], 1), (&[1], 1)]);
    load(&mut scheduler, 0, 0);
    let failure = Failure::Offline;
    let actions =
        scheduler.message(0, FromWorker::ColdFailed { fold: 0, failure: failure.clone() });
    let failed = PoolEvent::FoldFailed { fold: 1, failure: failure.clone() };
    assert_eq!(reports(actions), [PoolEvent::ColdFailed { fold: 0, failure }, failed]);
    assert_eq!(questions(&scheduler.classify(1, texts(1), Models::Folds)), [(0, 0, 0, 1)]);
    let actions = scheduler.retry();
    assert_eq!((cold_loads(&actions), loads(&actions)), (vec![0], vec![]));
}

#[test]
fn loading_cold_rows_stops_and_goes_on() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    let actions = scheduler.cancel_loading();
    assert_eq!(actions[0], Action::Send { worker: 0, message: ToWorker::CancelLoading });
    let failure = Failure::Cancelled;
    let failed = PoolEvent::ColdFailed { fold: 0, failure: failure.clone() };
    assert_eq!(reports(actions), [failed]);
    assert!(cold_loads(&scheduler.retry()).is_empty(), "the worker has not stopped yet");
    let actions = scheduler.message(0, FromWorker::ColdFailed { fold: 0, failure });
    assert_eq!(cold_loads(&actions), [0]);
    assert_eq!(reports(actions), []);
}

#[test]
fn a_worker_that_dies_loads_hot_and_cold_rows_again() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    load_cold(&mut scheduler, 0, 0, 1);
    scheduler.worker_died(0, Failure::WorkerDied);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [0]);
    assert_eq!(cold_loads(&load(&mut scheduler, 0, 0)), [0]);
    let again = reports(load_cold(&mut scheduler, 0, 0, 1));
    assert_eq!(again, [PoolEvent::ColdLoaded { fold: 0 }]);
}

#[test]
fn memory_that_ends_with_the_cold_rows_leaves_the_fold_answering() {
    let mut scheduler = listening_with_cold(&[(&[0], 1)]);
    load(&mut scheduler, 0, 0);
    let reported = reports(scheduler.message(0, FromWorker::OutOfMemory));
    let failure = Failure::OutOfMemory;
    let failed = PoolEvent::ColdFailed { fold: 0, failure };
    let restarted = PoolEvent::WorkerRestarted { fold: 0 };
    assert_eq!(reported, [PoolEvent::OutOfMemory, failed, restarted]);
    scheduler.message(0, FromWorker::Ready);
    let actions = load(&mut scheduler, 0, 0);
    assert!(cold_loads(&actions).is_empty());
    assert_eq!(reports(actions), [PoolEvent::FoldReady { fold: 0 }]);
}

#[test]
fn folds_that_take_turns_get_their_cold_rows_before_they_go() {
    let mut scheduler = listening_with_cold(&[(&[0, 1], 1)]);
    let actions = load(&mut scheduler, 0, 0);
    assert_eq!((cold_loads(&actions), loads(&actions)), (vec![0], vec![]));
    assert_eq!(loads(&load_cold(&mut scheduler, 0, 0, 2)), [1]);
    assert_eq!(cold_loads(&load(&mut scheduler, 0, 1)), [1]);
    let actions = load_cold(&mut scheduler, 0, 1, 2);
    assert!(loads(&actions).is_empty(), "nothing is left to do");
    assert_eq!(reports(actions), [PoolEvent::ColdLoaded { fold: 1 }]);

    // Fold 1 answers, with its cold rows; fold 0 comes in again and needs them only for a rare word.
    scheduler.classify(1, texts(1), Models::Folds);
    let answer = |fold, answers| FromWorker::Answer { ticket: 0, fold, answers };
    assert_eq!(loads(&scheduler.message(0, answer(1, said(1)))), [0]);
    let actions = load(&mut scheduler, 0, 0);
    assert!(cold_loads(&actions).is_empty());
    assert_eq!(questions(&actions), [(0, 0, 0, 1)]);
    let actions = scheduler.message(0, answer(0, vec![None]));
    assert_eq!(cold_loads(&actions), [0]);
    let actions = load_cold(&mut scheduler, 0, 0, 2);
    assert_eq!(questions(&actions), [(0, 0, 0, 1)]);
    assert!(reports(actions).is_empty(), "that was reported before");
}

#[test]
fn folds_that_take_turns_are_loaded_again_for_cold_rows_that_failed() {
    let mut scheduler = listening_with_cold(&[(&[0, 1], 1)]);
    load(&mut scheduler, 0, 0);
    let failure = Failure::NotFound { file: "x".to_owned() };
    let failed = FromWorker::ColdFailed { fold: 0, failure };
    assert_eq!(loads(&scheduler.message(0, failed)), [1]);
    load(&mut scheduler, 0, 1);
    assert!(loads(&load_cold(&mut scheduler, 0, 1, 2)).is_empty());
    assert_eq!(loads(&scheduler.retry()), [0]);
    assert_eq!(cold_loads(&load(&mut scheduler, 0, 0)), [0]);
}

#[test]
fn a_fold_whose_cold_rows_failed_makes_room_for_others() {
    let mut scheduler = listening_with_cold(&[(&[0, 1], 1)]);
    scheduler.classify(1, texts(1), Models::Folds);
    assert_eq!(cold_loads(&load(&mut scheduler, 0, 0)), [0]);
    let rare = FromWorker::Answer { ticket: 0, fold: 0, answers: vec![None] };
    assert!(loads(&scheduler.message(0, rare)).is_empty());
    let failure = Failure::NotFound { file: "x".to_owned() };
    let actions = scheduler.message(0, FromWorker::ColdFailed { fold: 0, failure });
    assert_eq!(loads(&actions), [1]);
}
