//! SIGKILL at any moment, and Ctrl-C: `--resume` ends in the bits of an undisturbed run.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::place::{Place, end, ended, traces, wait_until};

/// An event, and the way to see that it has happened.
type Moment = (&'static str, fn(&Place) -> bool);

/// Moments in the order in which a run comes to them.
const MOMENTS: [Moment; 13] = [
    ("the run folder appeared", |place| place.has("run")),
    ("the run was leased", |place| place.has("run/.lease-1")),
    ("the settings were saved", |place| place.has("run/config.toml")),
    ("the first epoch began", |place| place.has("run/fold-0/metrics.jsonl")),
    ("the first checkpoint was being written", |place| place.is_writing("fold-0", "checkpoint")),
    ("the first checkpoint was written", |place| place.has("run/fold-0/checkpoint")),
    ("the model was being written", |place| place.is_writing("fold-0", "model.safetensors")),
    ("the first fold was finished", |place| place.has("run/fold-0/model.safetensors")),
    ("the second fold began", |place| place.has("run/fold-1")),
    ("the last fold has a checkpoint", |place| place.has("run/fold-2/checkpoint")),
    ("the last fold was finished", |place| place.has("run/fold-2/model.safetensors")),
    ("the first result was written", |place| place.has("run/oof.csv")),
    ("the thresholds were written", |place| place.has("run/thresholds.json")),
];

impl Place {
    fn is_writing(&self, folder: &str, file: &str) -> bool {
        let Ok(entries) = fs::read_dir(self.path("run").join(folder)) else { return false };
        let start = format!(".{file}.");
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(&start))
    }
}

#[test]
fn a_run_killed_at_every_stage_ends_in_the_same_bits() {
    let place = Place::new();
    for (moment, is_time) in MOMENTS {
        // A moment that is over in a blink may be missed; then a later one kills.
        let is_time = |place: &Place| is_time(place) || place.has("run/thresholds.json");
        if place.kill_when(place.train("--resume"), is_time) {
            eprintln!("killed when {moment}");
        }
    }
    place.must_end_in_the_same_bits("killed at every stage");
}

#[test]
fn a_run_killed_in_the_middle_of_an_epoch_ends_in_the_same_bits() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-0/checkpoint"));
    // Steps of the second epoch in the log that no checkpoint knows of.
    let log = place.path("run/fold-0/metrics.jsonl");
    let mut lines = fs::read_to_string(&log).unwrap();
    lines.push_str("{\"step\":5,\"lr\":0.1,\"loss\":9.5,\"grad_n");
    fs::write(&log, lines).unwrap();
    place.must_end_in_the_same_bits("killed within a line of the log");
}

#[test]
fn a_run_killed_again_and_again_at_random_ends_in_the_same_bits() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for round in 0..3 {
        let place = Place::new();
        let mut longest = 250;
        loop {
            let patience = Duration::from_millis(random.random_range(0..longest));
            let started = Instant::now();
            let killed = place.kill_when(place.train("--resume"), |_| started.elapsed() > patience);
            if !killed {
                break;
            }
            // Ever longer, so that it comes to an end on a busy machine too.
            longest = longest * 3 / 2;
        }
        place.must_end_in_the_same_bits(&format!("round {round}"));
    }
}

/// Between the writing of the model and the removal of the checkpoint.
#[test]
fn a_checkpoint_left_beside_a_finished_model_is_removed() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-1/checkpoint"));
    let checkpoint = fs::read(place.path("run/fold-1/checkpoint")).unwrap();
    end(place.resume()).must_say(0, &[]);
    fs::write(place.path("run/fold-1/checkpoint"), checkpoint).unwrap();
    fs::remove_file(place.path("run/summary.json")).unwrap();
    place.must_end_in_the_same_bits("killed before the checkpoint's removal");
}

#[test]
fn finished_folds_are_not_trained_again() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-1/checkpoint"));
    // The card of a model tells the scores of all folds, and so is written once they are known.
    let without_card = || {
        let mut traces = traces(&place.path("run/fold-0"));
        traces.remove(&place.path("run/fold-0/README.md"));
        traces
    };
    let before = without_card();
    end(place.resume()).must_say(0, &["fold 0 is trained already"]);
    assert!(before == without_card(), "bytes and times of the finished fold");
    let all = traces(&place.path("run"));
    end(place.resume()).must_say(0, &["this run is finished"]);
    assert!(all == traces(&place.path("run")), "bytes and times of the finished run");
}

#[test]
#[cfg(unix)]
fn ctrl_c_says_how_to_go_on_and_ends_in_the_same_bits() {
    let place = Place::new();
    let mut child = place.train("").stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(&mut child, || place.has("run/fold-0/checkpoint")));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = ended(&child.wait_with_output().unwrap());
    ended.must_say(130, &["interrupted; `native-train train --resume --output run` continues"]);
    place.must_end_in_the_same_bits("Ctrl-C");
}

#[test]
fn a_second_training_is_refused_and_the_first_unharmed() {
    let place = Place::new();
    let mut first = place.train("").spawn().unwrap();
    assert!(wait_until(&mut first, || place.has("run/fold-0/metrics.jsonl")));
    for second in [place.train(""), place.train("--resume"), place.resume()] {
        end(second).must_say(2, &["another training is writing in `run`", "hint: "]);
    }
    ended(&first.wait_with_output().unwrap()).must_say(0, &[]);
    place.must_end_in_the_same_bits("beside another");
}
