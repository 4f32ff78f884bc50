//! Several cards: folds go to them as they become free, and from one that fails to the others.

use super::{Place, with_standin};

const TRAIN: &str = "train --model tiny --lr 5e-4 --epochs 1 --batch-size 8 --threads 2 --train-csv train.csv \
                     --folds 5 --precision f32";

fn four() -> Place {
    Place::on(|machine| machine.cards("80,80,80,80"))
}

#[test]
fn four_cards_train_what_one_does() {
    with_standin(|| {
        let place = four();
        place.runs(&format!("{TRAIN} --device cuda:3 --output one --quiet"));
        assert_eq!(place.account().peak_bytes.keys().copied().collect::<Vec<_>>(), [3]);
        for (devices, used) in [("all", vec![0, 1, 2, 3]), ("cuda:2,cuda:0", vec![0, 2])] {
            let output = devices.replace([':', ','], "-");
            place.runs(&format!(
                "{TRAIN} --device {devices} --parallel-folds 1 --output {output} --quiet"
            ));
            let account = place.account();
            assert_eq!(account.peak_bytes.keys().copied().collect::<Vec<_>>(), used, "{devices}");
            assert_eq!(place.read(&format!("{output}/oof.csv")), place.read("one/oof.csv"));
        }
    });
}

#[test]
fn a_run_goes_on_with_other_cards_but_not_with_the_cpu() {
    with_standin(|| {
        let place = four();
        place.runs(&format!("{TRAIN} --device cuda:3 --output one --quiet"));
        place.runs(&format!("{TRAIN} --device cuda:0 --only-fold 4 --output run --quiet"));
        let resume = "train --output run --resume --threads 2 --quiet";
        let refused = place.run(&format!("{resume} --device cpu"));
        assert_eq!(refused.code, Some(2));
        let told = "device: was \"cuda:0\", now \"cpu\"";
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
        place.runs(&format!("{resume} --device cuda:2,cuda:1"));
        let used = place.account().peak_bytes.keys().copied().collect::<Vec<_>>();
        assert_eq!(used, [1, 2]);
        assert_eq!(place.read("run/oof.csv"), place.read("one/oof.csv"));
    });
}

#[test]
fn the_folds_of_a_card_that_fails_are_trained_by_the_others() {
    with_standin(|| {
        let place = four();
        place.runs(&format!("{TRAIN} --device cuda --output one --quiet"));
        for (card, launches) in [(0, 1), (0, 200), (2, 200)] {
            let failing =
                Place::on(|machine| machine.cards("80,80,80,80").illegal_after(card, launches));
            let ended = failing
                .runs(&format!("{TRAIN} --device all --parallel-folds 2 --output run --quiet"));
            let warning =
                format!("warning: `cuda:{card}` is left out, as it failed, and another GPU");
            assert!(ended.stderr.contains(&warning), "{}", ended.stderr);
            assert!(ended.stderr.contains("ILLEGAL_ADDRESS"), "{}", ended.stderr);
            assert_eq!(failing.read("run/oof.csv"), place.read("one/oof.csv"));
        }
    });
}

/// The handle of cuBLAS that candle has made by then is dropped again, which panics. The first time a card is opened to be
/// checked.
#[test]
fn a_card_that_fails_while_it_is_opened_is_left_out() {
    with_standin(|| {
        let place = Place::on(|machine| machine.cards("80,80").illegal_opening(0, 2));
        let ended = place.runs(&format!("{TRAIN} --device all --output run --quiet"));
        let warning = "warning: `cuda:0` is left out, as it failed, and the other GPUs train the folds: cannot set up `cuda:0`: \
                       DriverError(CUDA_ERROR_ILLEGAL_ADDRESS";
        assert!(ended.stderr.contains(warning), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    });
}

#[test]
fn a_card_that_is_not_there_is_refused_with_those_that_are() {
    with_standin(|| {
        let place = Place::on(|machine| machine.cards("80,80"));
        let ended = place.run(&format!("{TRAIN} --device cuda:1,cuda:2 --output run"));
        assert_eq!(ended.code, Some(2));
        let told = "error: device `cuda:2` was asked for, but there is cuda:0 (stand-in, sm_80), cuda:1 (stand-in, sm_80)\n";
        assert!(ended.stderr.starts_with(told), "{}", ended.stderr);
        let ended = place.run("shrink --teacher run --texts train.csv --output small --device all");
        assert!(ended.stderr.contains("uses one device, not `cuda:0,cuda:1`"), "{}", ended.stderr);
    });
}
