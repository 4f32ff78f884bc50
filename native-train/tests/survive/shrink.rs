//! SIGKILL at any moment of `shrink`: `--resume` ends in the bits of an undisturbed one.

use std::process::Command;
use std::sync::OnceLock;

use crate::place::{Place, assert_same, contents, end};

const SHRINK: &str = "shrink --teacher run/fold-0 --texts train.csv --layers 1 --embedding-size 64 --vocab-size 100 \
                      --hidden 128 --epochs 3 --batch-size 12 --threads 1 --output student";

/// Files in the order in which a shrinking comes to them.
const MOMENTS: [&str; 5] = [
    "student/.lease-1",
    "student/shrink.toml",
    "student/checkpoint",
    "student/config.json",
    "student/model.safetensors",
];

fn shrink(place: &Place, more: &str) -> Command {
    place.program(&format!("{SHRINK} {more}"))
}

/// The shrinking that nothing happened to.
fn straight() -> &'static Place {
    static STRAIGHT: OnceLock<Place> = OnceLock::new();
    STRAIGHT.get_or_init(|| {
        let place = Place::with_a_finished_run();
        end(shrink(&place, "")).must_say(0, &[]);
        place
    })
}

#[test]
fn a_shrinking_killed_at_every_stage_ends_in_the_same_bits() {
    let place = Place::with_a_finished_run();
    for moment in MOMENTS {
        let is_time = |place: &Place| place.has(moment);
        if place.kill_when(shrink(&place, "--resume"), is_time) {
            eprintln!("killed when `{moment}` was there");
        }
    }
    end(shrink(&place, "--resume")).must_say(0, &[]);
    let (expected, found) =
        (contents(&straight().path("student")), contents(&place.path("student")));
    assert_same(&expected, &found, "killed at every stage");
}
