//! Cards that fail: each run ends with a sentence that names the reason, and with none of the program's own mistakes.

use super::{Ended, Place, with_standin};

const TRAIN: &str = "train --model tiny --lr 5e-4 --epochs 1 --folds 2 --batch-size 8 --threads 2 --train-csv train.csv \
                     --device cuda --precision f32 --output run --quiet";

/// The last line on stderr that says what went wrong; a panic or an abort is none.
fn words(ended: &Ended) -> &str {
    let stderr = &ended.stderr;
    assert!(!stderr.contains("panicked") && !stderr.contains("VIOLATION"), "{stderr}");
    assert!(matches!(ended.code, Some(1 | 2)), "{:?}\n{stderr}", ended.code);
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    error.unwrap_or_else(|| panic!("no error in\n{stderr}"))
}

#[test]
fn without_a_usable_driver_the_reason_is_said() {
    with_standin(|| {
        let said = |place: Place| words(&place.run(TRAIN)).to_owned();
        let asked = "error: device `cuda:0` was asked for, but";
        assert_eq!(
            said(Place::on(|machine| machine.driver(12040))),
            format!("{asked} the driver supports CUDA 12.4, and this program was built with 13.0")
        );
        assert_eq!(
            said(Place::on(|machine| machine.without("libcublas.so.13"))),
            format!("{asked} libcublas.so.13 was not found (set LD_LIBRARY_PATH to its folder)")
        );
        assert_eq!(
            said(Place::on(|machine| machine.without("libcuda.so.1"))),
            format!("{asked} libcuda.so.1 was not found")
        );
        assert_eq!(
            said(Place::on(|machine| machine.cards("none"))),
            format!("{asked} the driver cannot start (no CUDA-capable device is detected)")
        );
    });
}

#[test]
fn a_full_card_is_named_with_what_it_does_not_hold() {
    with_standin(|| {
        // What two folds hold at a time differs from run to run.
        let train = format!("{TRAIN} --parallel-folds 1");
        let peak = {
            let place = Place::new();
            place.runs(&train);
            place.account().peak_bytes[&0]
        };
        // In the middle of a step, where it holds most, and before the first one.
        for bytes in [peak - 1000, peak / 2, 100_000] {
            let place = Place::on(|machine| machine.full_at(bytes));
            let ended = place.run(&train);
            let said = words(&ended);
            assert!(said.contains("out of memory"), "full at {bytes}: {said}");
            assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
            assert_eq!(place.account().violations, [""; 0]);
        }
    });
}

/// What a card does wrong is noticed at a later call; all of them fail from then on, those that clean up as well.
#[test]
fn an_illegal_address_ends_the_run_with_the_first_error() {
    with_standin(|| {
        for launches in [1, 2, 40, 300] {
            for folds in [1, 2] {
                let place = Place::on(|machine| machine.illegal_after(0, launches));
                let ended = place.run(&format!("{TRAIN} --parallel-folds {folds}"));
                assert_eq!(place.account().faults.len(), 1);
                let said = words(&ended);
                assert!(said.contains("illegal memory access"), "launch {launches}: {said}");
                assert!(said.contains("the GPU has failed"), "{said}");
            }
        }
    });
}

/// The error is that of a later call. With `QUINTET_CUDA_SYNC` each launch is waited for, and the first to fail is named.
#[test]
fn a_launch_that_is_waited_for_is_named() {
    with_standin(|| {
        let place = Place::on(|machine| machine.illegal_after(0, 40));
        let ended = place.run_with(TRAIN, &[("QUINTET_CUDA_SYNC", "1")]);
        let fault = &place.account().faults[0];
        let kernel = fault.split_once('(').unwrap().1.split_once(')').unwrap().0;
        let said = words(&ended);
        assert!(ended.stderr.contains(kernel), "{fault}: {}", ended.stderr);
        assert!(said.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{said}");
    });
}

#[test]
fn a_card_older_than_the_kernels_is_refused_in_words() {
    with_standin(|| {
        let place = Place::on(|machine| machine.cards("75").images(80));
        let ended = place.run(TRAIN);
        let said = words(&ended);
        assert!(said.starts_with("error: this program has no code for the GPU: "), "{said}");
        assert!(said.contains("no kernel image is available"), "{said}");
        assert!(ended.stderr.contains("hint: ") && ended.stderr.contains("CUDA_COMPUTE_CAP"));
    });
}
