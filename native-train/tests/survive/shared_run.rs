//! Several processes train the folds of one run, and are killed, raced and asked to stop.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::place::{
    Ended, Place, assert_same, contents, end, ended, train_arguments, undisturbed, wait_until,
};

const FOLDS: usize = 3;

fn spawn(mut command: Command) -> Child {
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn wait(child: Child) -> Ended {
    ended(&child.wait_with_output().unwrap())
}

#[test]
fn folds_trained_by_a_process_each_are_the_run_of_one_process() {
    let place = Place::new();
    let children: Vec<Child> =
        (0..FOLDS).map(|fold| spawn(place.train(&format!("--only-fold {fold}")))).collect();
    children.into_iter().for_each(|child| wait(child).must_say(0, &[]));
    let whole = contents(&undisturbed().path("run"));
    assert_same(&whole, &contents(&place.path("run")), "by a process each");

    for result in ["oof.csv", "thresholds.json", "summary.json", "submission.csv"] {
        fs::remove_file(place.path(&format!("run/{result}"))).unwrap();
    }
    end(place.program("gather --run run")).must_say(0, &[]);
    assert_same(&whole, &contents(&place.path("run")), "gathered");
}

#[test]
fn a_process_with_other_settings_cannot_join() {
    let place = Place::new();
    end(place.train("--only-fold 0")).must_say(0, &[]);
    end(place.train("--only-fold 1 --lr 1e-3"))
        .must_say(2, &["`run` was begun with other settings:", "lr: was 0.0005, now 0.001"]);
    place.edit("train.csv", "I", "We");
    end(place.train("--only-fold 1"))
        .must_say(2, &["of `train.csv` are not those that the training of `run` began with"]);
}

#[test]
fn what_is_missing_is_said() {
    let place = Place::new();
    end(place.program("gather --run run")).must_say(2, &["`run` is not a run"]);
    end(place.train("--only-fold 1")).must_say(0, &[]);
    let gathered = end(place.program("gather --run run"));
    gathered.must_say(0, &["warning: these of the 3 folds are not trained: 0, 2"]);
    place.must_end_in_the_same_bits("one fold first");
}

#[test]
fn a_fold_is_not_trained_while_another_process_has_it() {
    let place = Place::new();
    let mut first = spawn(place.train("--only-fold 1"));
    let trains = || place.has("run/fold-1/.lease-1") && !place.has("run/.lease-1");
    assert!(wait_until(&mut first, trains));
    stop(&first, "STOP");
    end(place.train("--only-fold 1"))
        .must_say(2, &["another training is writing in `run/fold-1`: process ", "hint: "]);
    end(place.resume()).must_say(2, &["another training is writing in `run/fold-1`"]);
    end(place.train("--only-fold 0")).must_say(0, &[]);
    stop(&first, "CONT");
    wait(first).must_say(0, &[]);
    place.must_end_in_the_same_bits("two folds by two processes");
}

/// Three processes want one fold, and one of them is killed.
fn race(random: &mut ChaCha8Rng) {
    let place = Place::new();
    let mut trained = false;
    for attempt in 0.. {
        let mut children: Vec<Child> =
            (0..3).map(|_| spawn(place.train("--only-fold 0"))).collect();
        let victim = (attempt == 0).then(|| {
            std::thread::sleep(Duration::from_millis(random.random_range(0..600)));
            let mut victim = children.swap_remove(random.random_range(0..3));
            victim.kill().unwrap();
            victim
        });
        for child in children {
            let ended = wait(child);
            match ended.code {
                Some(0) => trained = true,
                _ => ended.must_say(2, &["another training is writing in `run"]),
            }
        }
        victim.into_iter().for_each(|mut victim| drop(victim.wait()));
        if trained {
            break;
        }
        assert!(attempt < 3, "the fold is lost");
    }
    // The card of a model tells the scores of all folds that are trained.
    let of_fold_0 = |place: &Place| {
        let mut contents = contents(&place.path("run/fold-0"));
        contents.remove("README.md").expect("a card");
        contents
    };
    assert_same(&of_fold_0(undisturbed()), &of_fold_0(&place), "one training, and no step twice");
}

#[test]
fn of_three_processes_that_want_one_fold_one_trains_it() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    (0..6).for_each(|_| race(&mut random));
}

#[test]
#[ignore = "minutes; for figures"]
fn fifty_races_of_three_processes_for_one_fold() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for round in 1..=50 {
        race(&mut random);
        eprintln!("race {round}: one training");
    }
}

/// A step of one text, so that an epoch takes long enough to be asked within it.
#[test]
#[cfg(unix)]
fn a_training_that_is_asked_to_stop_saves_its_step_and_goes_on_from_there() {
    let arguments = train_arguments().replace("--batch-size 12", "--batch-size 1");
    let undisturbed = Place::new();
    end(undisturbed.program(&arguments)).must_say(0, &[]);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let place = Place::new();
    let mut inside_an_epoch = 0;
    for attempt in 0.. {
        let mut child = spawn(place.program(&format!("{arguments} --resume")));
        // More and more, so that a slow machine comes to its end as well.
        let patience = Duration::from_millis(random.random_range(100..400 + 20 * attempt));
        let started = std::time::Instant::now();
        let running = wait_until(&mut child, || started.elapsed() > patience);
        if running {
            stop(&child, "TERM");
        }
        let ended = wait(child);
        match ended.code {
            Some(75) => {
                ended.must_say(75, &["was asked to stop (SIGTERM): its state after step "]);
                inside_an_epoch += usize::from(is_inside_an_epoch(&place));
            }
            // Before or after all training it ends as any program.
            None => {}
            Some(0) => break,
            _ => ended.must_say(0, &[]),
        }
        assert!(attempt < 200, "it never comes to its end");
    }
    assert!(inside_an_epoch > 0, "no request came inside an epoch");
    assert_same(
        &contents(&undisturbed.path("run")),
        &contents(&place.path("run")),
        "asked to stop again and again",
    );
}

#[cfg(unix)]
fn is_inside_an_epoch(place: &Place) -> bool {
    (0..FOLDS).any(|fold| {
        let checkpoint = fs::read(place.path(&format!("run/fold-{fold}/checkpoint")));
        checkpoint.is_ok_and(|bytes| {
            let words = b"inside_epoch";
            bytes.windows(words.len()).take(4096).any(|window| window == words)
        })
    })
}

#[cfg(unix)]
fn stop(child: &Child, signal: &str) {
    let process = child.id().to_string();
    let sent = Command::new("kill").args([&format!("-{signal}"), &process]).status().unwrap();
    assert!(sent.success());
}
