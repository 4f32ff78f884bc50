//! SIGKILL at any moment of `distil`: `--resume` ends in the bits of an undisturbed one.

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::place::{Place, assert_same, contents, end, undisturbed};

const DISTIL: &str = "distil --run run --model mini --texts test.csv --epochs 2 --batch-size 12 --max-len 16 \
                      --threads 1 --baseline --test-csv test.csv --output student";

/// Files in the order in which a distillation comes to them.
const MOMENTS: [&str; 13] = [
    "student",
    "student/.lease-1",
    "student/distil.toml",
    "student/config.toml",
    "student/folds.csv",
    "student/teacher/fold-0/00000.safetensors",
    "student/teacher/fold-2/00000.safetensors",
    "student/fold-0/checkpoint",
    "student/fold-2/model.safetensors",
    "student/final/checkpoint",
    "student/final/model.safetensors",
    "student/baseline/fold-1/checkpoint",
    "student/oof.csv",
];

/// A place with a teacher.
fn with_a_teacher() -> Place {
    Place::with_a_finished_run()
}

fn distil(place: &Place, more: &str) -> Command {
    place.program(&format!("{DISTIL} {more}"))
}

/// The distillation that nothing happened to.
fn straight() -> &'static Place {
    static STRAIGHT: OnceLock<Place> = OnceLock::new();
    STRAIGHT.get_or_init(|| {
        let place = with_a_teacher();
        end(distil(&place, "")).must_say(0, &[]);
        place
    })
}

fn must_end_in_the_same_bits(place: &Place, after: &str) {
    end(distil(place, "--resume")).must_say(0, &[]);
    let (expected, found) =
        (contents(&straight().path("student")), contents(&place.path("student")));
    assert_same(&expected, &found, after);
    assert_same(&contents(&undisturbed().path("run")), &contents(&place.path("run")), "teacher");
}

#[test]
fn a_distillation_killed_at_every_stage_ends_in_the_same_bits() {
    let place = with_a_teacher();
    for moment in MOMENTS {
        let is_time = |place: &Place| place.has(moment) || place.has("student/oof.csv");
        if place.kill_when(distil(&place, "--resume"), is_time) {
            eprintln!("killed when `{moment}` was there");
        }
    }
    must_end_in_the_same_bits(&place, "killed at every stage");
}

#[test]
fn a_distillation_killed_again_and_again_at_random_ends_in_the_same_bits() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let place = with_a_teacher();
    let mut longest = 400;
    loop {
        let patience = Duration::from_millis(random.random_range(0..longest));
        let started = Instant::now();
        let is_time = |_: &Place| started.elapsed() > patience;
        if !place.kill_when(distil(&place, "--resume"), is_time) {
            break;
        }
        // Ever longer, so that it comes to an end on a busy machine too.
        longest = longest * 3 / 2;
    }
    must_end_in_the_same_bits(&place, "killed at random");
}

/// Killed between its two files of settings, and then forgotten: the folder is as good as empty.
#[test]
fn a_folder_in_which_a_distillation_was_killed_before_it_began_is_free() {
    let place = with_a_teacher();
    std::fs::create_dir(place.path("student")).unwrap();
    std::fs::copy(straight().path("student/distil.toml"), place.path("student/distil.toml"))
        .unwrap();
    let train = "train --output student --model mini --train-csv train.csv --folds 2 --epochs 1 --threads 1";
    end(place.program(train)).must_say(0, &[]);
    assert!(!place.has("student/distil.toml"));
}
