//! Stories about a final model beside two folds. Shard 0 is everyone's, and each has one of its own: fold 0 shard 1, fold 1
//! shard 2, the final model shard 3.

use super::*;

/// The index of the final model.
const FINAL: usize = 2;

/// The final model's worker, and those of the folds.
const WORKERS: [(&[usize], usize); 3] = [(&[FINAL], 1), (&[0], 1), (&[1], 1)];

fn started(cached: Vec<bool>) -> Scheduler {
    let mut scheduler = scheduler(&WORKERS).with_final_model();
    scheduler.start(cached);
    scheduler
}

/// A scheduler whose final model is loaded.
fn with_final() -> Scheduler {
    let mut scheduler = started(vec![false; 4]);
    scheduler.message(0, FromWorker::Ready);
    load(&mut scheduler, 0, FINAL);
    scheduler
}

/// The same after the folds were asked for, with workers that listen.
fn with_folds_on_their_way() -> Scheduler {
    let mut scheduler = with_final();
    scheduler.load_folds();
    scheduler.message(1, FromWorker::Ready);
    scheduler.message(2, FromWorker::Ready);
    scheduler
}

fn answer(scheduler: &mut Scheduler, worker: usize, ticket: u32, fold: usize) -> Vec<Action> {
    scheduler.message(worker, FromWorker::Answer { ticket, fold, answers: said(1) })
}

fn spawns(actions: &[Action]) -> Vec<usize> {
    let spawned = |action: &Action| match action {
        Action::Spawn { worker } => Some(*worker),
        _ => None,
    };
    actions.iter().filter_map(spawned).collect()
}

#[test]
fn only_the_final_model_is_loaded_and_counted() {
    let mut scheduler = scheduler(&WORKERS).with_final_model();
    let actions = scheduler.start(vec![false; 4]);
    assert_eq!(spawns(&actions), [0]);
    assert_eq!(reports(actions), [PoolEvent::Progress { received: 0, total: 2 * SHARD }]);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [FINAL]);
    let actions = load(&mut scheduler, 0, FINAL);
    assert_eq!(reports(actions.clone()), [PoolEvent::FoldReady { fold: FINAL }]);
    assert_eq!((loads(&actions), spawns(&actions)), (vec![], vec![]));
    scheduler.classify(7, texts(1), Models::Both);
    let actions = answer(&mut scheduler, 0, 0, FINAL);
    assert_eq!(
        reports(actions),
        [PoolEvent::Answer { request: 7, fold: FINAL, answers: answers(1) }]
    );
}

#[test]
fn a_bundle_with_a_final_model_is_loaded_without_it_where_folds_alone_are_wanted() {
    let shares = WORKERS[1..].iter();
    let shares = shares.map(|&(folds, capacity)| Share { folds: folds.to_vec(), capacity });
    let shards = |fold: usize| ShardsOfFold { hot: vec![0, fold + 1], cold: Vec::new() };
    let mut scheduler =
        Scheduler::new(shares.collect(), 2, (0..2).map(shards).collect(), &[SHARD; 4]);
    let actions = scheduler.start(vec![false; 4]);
    // The final model's own shard is not among them.
    assert_eq!(reports(actions), [PoolEvent::Progress { received: 0, total: 3 * SHARD }]);
}

#[test]
fn folds_that_are_asked_for_are_loaded_and_answer_the_newest_text() {
    let mut scheduler = with_final();
    scheduler.classify(7, texts(1), Models::Both);
    answer(&mut scheduler, 0, 0, FINAL);
    let actions = scheduler.load_folds();
    assert_eq!(spawns(&actions), [1, 2]);
    assert_eq!(reports(actions), [PoolEvent::Progress { received: 2 * SHARD, total: 4 * SHARD }]);
    assert_eq!(loads(&scheduler.message(1, FromWorker::Ready)), [0]);
    assert!(loads(&scheduler.message(2, FromWorker::Ready)).is_empty(), "one download at a time");
    assert_eq!(questions(&load(&mut scheduler, 1, 0)), [(1, 0, 0, 1)]);
}

#[test]
fn folds_that_are_wanted_before_the_start_come_after_the_final_model() {
    let mut scheduler = scheduler(&WORKERS).with_final_model();
    assert_eq!(scheduler.load_folds(), []);
    assert_eq!(spawns(&scheduler.start(vec![false; 4])), [0, 1, 2]);
    // The worker of fold 0 listens first, and waits all the same.
    scheduler.message(0, FromWorker::Ready);
    assert!(loads(&scheduler.message(1, FromWorker::Ready)).is_empty());
    scheduler.message(0, FromWorker::Taken { shard: 0, cached: true });
    assert_eq!(loads(&scheduler.message(0, FromWorker::Taken { shard: 3, cached: true })), [0]);
}

#[test]
fn the_final_model_leaves_when_all_folds_are_in() {
    let mut scheduler = with_folds_on_their_way();
    let actions = load(&mut scheduler, 1, 0);
    assert!(!actions.contains(&Action::Terminate { worker: 0 }), "fold 1 is missing");
    let actions = load(&mut scheduler, 2, 1);
    assert!(actions.contains(&Action::Terminate { worker: 0 }));
    // A text goes to the folds alone.
    let actions = scheduler.classify(8, texts(1), Models::Both);
    assert_eq!(questions(&actions), [(1, 0, 0, 1), (2, 0, 1, 1)]);
    answer(&mut scheduler, 1, 0, 0);
    let actions = answer(&mut scheduler, 2, 0, 1);
    assert_eq!(reports(actions), [PoolEvent::Answer { request: 8, fold: 1, answers: answers(1) }]);
}

#[test]
fn the_final_model_stays_for_a_table_that_it_has_begun() {
    let mut scheduler = with_folds_on_their_way();
    scheduler.classify(1, texts(3), Models::Final);
    load(&mut scheduler, 1, 0);
    let actions = load(&mut scheduler, 2, 1);
    assert!(!actions.contains(&Action::Terminate { worker: 0 }), "it has something to answer");
    assert_eq!(questions(&actions), [], "which the folds have not");
    let slice = FromWorker::Answer { ticket: 0, fold: FINAL, answers: said(3) };
    let actions = scheduler.message(0, slice);
    assert!(actions.contains(&Action::Terminate { worker: 0 }));
    assert_eq!(
        reports(actions),
        [PoolEvent::Answer { request: 1, fold: FINAL, answers: answers(3) }]
    );
}

#[test]
fn the_final_model_comes_back_for_a_request_of_its_own() {
    let mut scheduler = with_folds_on_their_way();
    load(&mut scheduler, 1, 0);
    load(&mut scheduler, 2, 1);
    assert_eq!(spawns(&scheduler.classify(1, texts(1), Models::Final)), [0]);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [FINAL]);
    assert_eq!(questions(&load(&mut scheduler, 0, FINAL)), [(0, 0, FINAL, 1)]);
    assert!(answer(&mut scheduler, 0, 0, FINAL).contains(&Action::Terminate { worker: 0 }));
}

#[test]
fn a_fold_that_fails_keeps_the_final_model_answering() {
    let mut scheduler = with_folds_on_their_way();
    load(&mut scheduler, 1, 0);
    let failure = Failure::NotFound { file: "x".to_owned() };
    let actions = scheduler.message(2, FromWorker::Failed { fold: 1, failure: failure.clone() });
    assert_eq!(actions, [Action::Report(PoolEvent::FoldFailed { fold: 1, failure })]);
    let actions = scheduler.classify(3, texts(1), Models::Both);
    assert_eq!(questions(&actions), [(0, 0, FINAL, 1), (1, 0, 0, 1)]);
    assert_eq!(loads(&scheduler.retry()), [1]);
    assert!(load(&mut scheduler, 2, 1).contains(&Action::Terminate { worker: 0 }));
}

#[test]
fn stopping_the_folds_leaves_the_final_model_and_what_nobody_asked_for_does_not_fail() {
    let mut scheduler = with_final();
    assert_eq!(reports(scheduler.cancel_loading()), []);
    scheduler.load_folds();
    scheduler.message(1, FromWorker::Ready);
    let failure = Failure::Cancelled;
    let failed = |fold| PoolEvent::FoldFailed { fold, failure: failure.clone() };
    assert_eq!(reports(scheduler.cancel_loading()), [failed(0), failed(1)]);
    let actions = scheduler.classify(3, texts(1), Models::Both);
    assert_eq!(questions(&actions), [(0, 0, FINAL, 1)]);
}

#[test]
fn a_final_model_that_dies_is_loaded_again() {
    let mut scheduler = with_final();
    let actions = scheduler.worker_died(0, Failure::WorkerDied);
    assert_eq!(spawns(&actions), [0]);
    assert_eq!(reports(actions), [PoolEvent::WorkerRestarted { fold: FINAL }]);
    assert_eq!(loads(&scheduler.message(0, FromWorker::Ready)), [FINAL]);
    load(&mut scheduler, 0, FINAL);
    scheduler.worker_died(0, Failure::WorkerDied);
    assert_eq!(scheduler.folds[0].residence, Residence::Unasked, "it does not concern the folds");
}

#[test]
fn an_empty_request_is_answered_by_those_that_are_asked() {
    let mut scheduler = with_final();
    let empty = |fold| PoolEvent::Answer { request: 4, fold, answers: Vec::new() };
    assert_eq!(reports(scheduler.classify(4, Vec::new(), Models::Final)), [empty(FINAL)]);
    let both = reports(scheduler.classify(4, Vec::new(), Models::Folds));
    assert_eq!(both, [empty(0), empty(1)]);
}
