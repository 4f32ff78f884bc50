//! The seeds of a training: each use of random numbers has its own, derived from the run's seed and
//! from the place of use. No generator lives across steps, so none has to be saved.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use shared::kernels::random::splitmix64;

/// The uses of random numbers. Part of the derivation, so that no two uses share numbers.
enum Use {
    Initialisation,
    Order,
    Dropout,
}

/// The seed of the initial weights that no pretrained file holds.
pub fn initialisation_seed(seed: u32, fold: usize) -> u64 {
    derive(seed, fold, Use::Initialisation, 0)
}

/// The seed of all dropout masks of one micro-batch of an optimizer step.
pub fn dropout_seed(seed: u32, fold: usize, step: usize, micro_batch: usize) -> u64 {
    let of_step = derive(seed, fold, Use::Dropout, step);
    (0..micro_batch).fold(of_step, |seed, _| splitmix64(seed))
}

/// Shuffles the rows of an epoch.
pub fn shuffle(rows: &mut [usize], seed: u32, fold: usize, epoch: usize) {
    let seed = derive(seed, fold, Use::Order, epoch);
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
}

fn derive(seed: u32, fold: usize, purpose: Use, index: usize) -> u64 {
    [fold as u64, purpose as u64, index as u64]
        .into_iter()
        .fold(u64::from(seed), |state, part| splitmix64(state) ^ part)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_use_has_its_own_seed() {
        let mut seeds = BTreeSet::new();
        for seed in [0, 1, 42] {
            for fold in 0..5 {
                seeds.insert(initialisation_seed(seed, fold));
                for index in 0..100 {
                    for micro_batch in 0..4 {
                        seeds.insert(dropout_seed(seed, fold, index, micro_batch));
                    }
                    seeds.insert(derive(seed, fold, Use::Order, index));
                }
            }
        }
        assert_eq!(seeds.len(), 3 * 5 * (1 + (4 + 1) * 100));
    }

    #[test]
    fn an_epochs_order_is_a_permutation_of_its_own() {
        let order = |seed, fold, epoch| {
            let mut rows: Vec<usize> = (0..50).collect();
            shuffle(&mut rows, seed, fold, epoch);
            rows
        };
        assert_eq!(order(42, 0, 1), order(42, 0, 1));
        let distinct: BTreeSet<_> =
            [order(42, 0, 1), order(42, 0, 2), order(42, 1, 1), order(1, 0, 1)].into();
        assert_eq!(distinct.len(), 4);
        for rows in distinct {
            assert_eq!(rows.into_iter().collect::<BTreeSet<_>>().len(), 50);
        }
    }
}
