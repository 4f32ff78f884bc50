//! What a training step asks of the driver. A step is bound by its launches, so that none may be added unnoticed.

use cuda_standin::Counts;

use super::{Place, with_standin};

/// The calls of a step of a model of two layers in bf16 with dropout. They may become fewer: then take what the test prints.
const STEP: Counts = Counts {
    launches: 47,
    products: 36,
    fills_and_copies: 1,
    uploads: 9,
    reads: 0,
    waits: 0,
    allocations: 109,
};

#[test]
fn a_step_asks_for_no_more_than_it_did() {
    with_standin(|| {
        let place = Place::new();
        place.runs(
            "train --model tiny --lr 5e-4 --epochs 2 --folds 2 --only-fold 0 --batch-size 4 --threads 2 --train-csv train.csv \
             --device cuda --precision bf16 --output run --quiet",
        );
        let account = place.account();
        // The first step comes with the setting up, and the first one of an epoch with the validation before it.
        let mut steps = account.steps;
        assert_eq!(steps.len(), 10);
        steps.sort();
        let middle = steps[steps.len() / 2];
        assert_eq!(middle, STEP, "if it is less, renew `STEP`; {:#?}", account.kernels);
    });
}

/// The kernels are compiled for all cards: a T4 has no bf16 and 64 KiB of shared memory, an A100 less than an H100.
#[test]
fn older_cards_take_the_same_jobs() {
    with_standin(|| {
        for card in ["75", "80", "86"] {
            let place = Place::on(|machine| machine.cards(card));
            let line = "train --model tiny --lr 5e-4 --epochs 1 --folds 2 --only-fold 0 --batch-size 8 --threads 2 \
                        --train-csv train.csv --device cuda --output run";
            let ended = place.runs(line);
            let f16 = place.read("run/config.toml").contains("precision = \"f16\"");
            assert_eq!(f16, card == "75", "{}", ended.stderr);
            place.runs(&format!("{line}-f32 --precision f32"));
        }
    });
}
