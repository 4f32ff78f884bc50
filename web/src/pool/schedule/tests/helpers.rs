//! Stories about long lists where cores are left.

use super::*;

const NOBODY: [usize; 0] = [];

/// One fold in memory and kept in the cache, a helper for it, and two cores.
fn one_and_a_helper() -> Scheduler {
    let mut scheduler = scheduler_on(2, &[(&[0], 1)]).with_helpers(&[0]);
    scheduler.start(vec![true; 2]);
    scheduler.message(0, FromWorker::Ready);
    load(&mut scheduler, 0, 0);
    scheduler
}

/// The same with the helper's copy in memory; both workers are at slices of a list of 80 texts, which is request 1.
fn at_a_list() -> Scheduler {
    let mut scheduler = one_and_a_helper();
    let actions = scheduler.classify(1, long_texts(80), Models::Folds);
    assert_eq!((spawned(&actions), questions(&actions)), (vec![1], vec![(0, 0, 0, 8)]));
    let actions = scheduler.message(1, FromWorker::Ready);
    assert_eq!((loads(&actions), actions.len()), (vec![0], 2), "it is told where the bundle is");
    let actions = load(&mut scheduler, 1, 0);
    assert_eq!(questions(&actions), [(1, 0, 0, 8)]);
    assert_eq!(reports(actions), [], "that the fold is ready was said before");
    scheduler
}

fn spawned(actions: &[Action]) -> Vec<usize> {
    let spawned = |action: &Action| match action {
        Action::Spawn { worker } => Some(*worker),
        _ => None,
    };
    actions.iter().filter_map(spawned).collect()
}

fn terminated(actions: &[Action]) -> Vec<usize> {
    let terminated = |action: &Action| match action {
        Action::Terminate { worker } => Some(*worker),
        _ => None,
    };
    actions.iter().filter_map(terminated).collect()
}

fn answer(ticket: u32, count: usize) -> FromWorker {
    FromWorker::Answer { ticket, fold: 0, answers: said(count) }
}

/// Answers what each worker is at, in turns, until nothing is left. Returns the sizes of all slices and the reports.
fn finish(
    scheduler: &mut Scheduler,
    mut at: Vec<(usize, u32, usize)>,
) -> (Vec<usize>, Vec<PoolEvent>) {
    let (mut sizes, mut told) = (Vec::new(), Vec::new());
    while !at.is_empty() {
        let (worker, ticket, count) = at.remove(0);
        let actions = scheduler.message(worker, answer(ticket, count));
        at.extend(
            questions(&actions).iter().map(|&(worker, ticket, _, count)| (worker, ticket, count)),
        );
        sizes.push(count);
        told.extend(reports(actions));
    }
    (sizes, told)
}

#[test]
fn a_long_list_is_shared_and_its_end_is_divided() {
    let mut scheduler = at_a_list();
    let (sizes, told) = finish(&mut scheduler, vec![(0, 0, 8), (1, 0, 8)]);
    assert_eq!(sizes.iter().sum::<usize>(), 80);
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(sizes[0] == 8 && sizes[sizes.len() - 1] <= 2, "{sizes:?}");
    assert_eq!(told, [PoolEvent::Answer { request: 1, fold: 0, answers: answers(80) }]);
}

#[test]
fn short_lists_and_single_texts_call_nobody() {
    let mut scheduler = one_and_a_helper();
    assert_eq!(spawned(&scheduler.classify(1, texts(1), Models::Folds)), NOBODY);
    assert_eq!(spawned(&scheduler.classify(2, long_texts(32), Models::Folds)), NOBODY);
    // Many requests are a long list, too, when each comes before the last is done.
    assert_eq!(spawned(&scheduler.classify(3, long_texts(32), Models::Folds)), [1]);
}

#[test]
fn a_helper_stays_for_the_next_list_and_ends_with_a_single_text() {
    let mut scheduler = at_a_list();
    assert_eq!(
        terminated(&scheduler.classify(2, texts(1), Models::Folds)),
        NOBODY,
        "beside the list"
    );
    scheduler.cancel(1);
    scheduler.cancel(2);
    // Both are still at their slices.
    assert_eq!(scheduler.classify(3, long_texts(16), Models::Folds), []);
    assert_eq!(questions(&scheduler.message(1, answer(0, 8))), [(1, 2, 0, 4)]);
    scheduler.cancel(3);
    let actions = scheduler.classify(4, texts(1), Models::Folds);
    assert_eq!((terminated(&actions), questions(&actions)), (vec![1], vec![]));
    assert_eq!(questions(&scheduler.message(0, answer(0, 8))), [(0, 3, 0, 1)]);
}

#[test]
fn what_a_helper_did_not_answer_its_original_does() {
    for death in
        [FromWorker::OutOfMemory, FromWorker::Failed { fold: 0, failure: Failure::Offline }]
    {
        let mut scheduler = at_a_list();
        let actions = scheduler.message(1, death);
        assert_eq!((terminated(&actions), reports(actions)), (vec![1], vec![]));
        let (sizes, told) = finish(&mut scheduler, vec![(0, 0, 8)]);
        assert_eq!(sizes, [8; 10]);
        assert_eq!(told, [PoolEvent::Answer { request: 1, fold: 0, answers: answers(80) }]);
        assert_eq!(
            spawned(&scheduler.classify(2, long_texts(80), Models::Folds)),
            NOBODY,
            "for good"
        );
        assert_eq!(spawned(&scheduler.retry()), NOBODY);
    }
}

#[test]
fn a_helper_goes_on_while_its_original_is_started_again() {
    let mut scheduler = at_a_list();
    let actions = scheduler.worker_died(0, Failure::WorkerDied);
    assert_eq!(reports(actions), [PoolEvent::WorkerRestarted { fold: 0 }]);
    let (sizes, told) = finish(&mut scheduler, vec![(1, 0, 8)]);
    assert_eq!(sizes, [8; 10]);
    assert_eq!(told, [PoolEvent::Answer { request: 1, fold: 0, answers: answers(80) }]);
}

#[test]
fn helpers_end_at_rest_and_do_not_come_back_by_waking() {
    let mut scheduler = at_a_list();
    assert_eq!(scheduler.rest(), []);
    finish(&mut scheduler, vec![(0, 0, 8), (1, 0, 8)]);
    assert_eq!(terminated(&scheduler.rest()), [1, 0]);
    assert_eq!(spawned(&scheduler.wake()), [0]);
}

#[test]
fn nobody_is_called_for_what_is_not_cached() {
    let mut scheduler = scheduler_on(2, &[(&[0], 1)]).with_helpers(&[0]);
    scheduler.start(vec![false; 2]);
    scheduler.message(0, FromWorker::Ready);
    for shard in [0, 1] {
        scheduler.message(0, FromWorker::Taken { shard, cached: false });
    }
    scheduler.message(0, FromWorker::Loaded { fold: 0 });
    assert_eq!(spawned(&scheduler.classify(1, long_texts(80), Models::Folds)), NOBODY);
}

#[test]
fn a_helper_leaves_rare_words_to_its_original() {
    let hot_and_cold = ShardsOfFold { hot: vec![0], cold: vec![1] };
    let share = Share { folds: vec![0], capacity: 1 };
    let mut scheduler =
        Scheduler::new(vec![share], 2, vec![hot_and_cold], &[SHARD; 2]).with_helpers(&[0]);
    scheduler.start(vec![true; 2]);
    scheduler.message(0, FromWorker::Ready);
    scheduler.message(0, FromWorker::Loaded { fold: 0 });
    scheduler.message(0, FromWorker::ColdLoaded { fold: 0 });
    scheduler.classify(1, long_texts(65), Models::Folds);
    scheduler.message(1, FromWorker::Ready);
    let actions = scheduler.message(1, FromWorker::Loaded { fold: 0 });
    assert_eq!(questions(&actions), [(1, 0, 0, 8)]);
    assert_eq!(actions.len(), 1, "it loads no cold rows");
    let mut found = said(8);
    found[3] = None;
    let actions = scheduler.message(1, FromWorker::Answer { ticket: 0, fold: 0, answers: found });
    assert_eq!(questions(&actions), [(1, 0, 0, 8)]);
    assert_eq!(reports(actions), [], "the fold has its cold rows");
    assert_eq!(questions(&scheduler.message(0, answer(0, 8))), [(0, 0, 0, 1)], "that text");
}

#[test]
fn the_final_models_helpers_end_when_the_folds_are_asked_for() {
    let shares: Vec<Share> = [1, 0].map(|fold| Share { folds: vec![fold], capacity: 1 }).into();
    let hot = |fold| ShardsOfFold { hot: vec![fold], cold: Vec::new() };
    let scheduler = Scheduler::new(shares, 2, vec![hot(0), hot(1)], &[SHARD; 2]);
    let mut scheduler = scheduler.with_final_model().with_helpers(&[1]);
    scheduler.start(vec![true; 2]);
    scheduler.message(0, FromWorker::Ready);
    scheduler.message(0, FromWorker::Loaded { fold: 1 });
    let actions = scheduler.classify(1, long_texts(80), Models::Final);
    assert_eq!((spawned(&actions), questions(&actions)), (vec![2], vec![(0, 0, 1, 8)]));
    assert_eq!(loads(&scheduler.message(2, FromWorker::Ready)), [1]);
    let actions = scheduler.message(2, FromWorker::Loaded { fold: 1 });
    assert_eq!(questions(&actions), [(2, 0, 1, 8)]);
    let actions = scheduler.load_folds();
    assert_eq!((terminated(&actions), spawned(&actions)), (vec![2], vec![1]));
    let late = FromWorker::Answer { ticket: 0, fold: 1, answers: said(8) };
    assert_eq!(questions(&scheduler.message(0, late)), [(0, 0, 1, 8)]);
}
