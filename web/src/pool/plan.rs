//! The distribution of folds among workers, by the machine's cores and memory.
//!
//! [`plan`] is a pure function; [`Machine::here`] reads what the browser says about the machine.

use crate::{browser, preference};

/// The machine that the browser runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    pub cores: usize,
    pub memory_bytes: u64,
}

/// The folds of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub folds: Vec<usize>,
    /// The number of folds it may hold at a time. If that is not all, its folds take turns.
    pub capacity: usize,
}

const GIB: u64 = 1 << 30;

/// Assumed if the browser does not tell, as Firefox and Safari: that of an older computer.
const ASSUMED_MEMORY: u64 = 4 * GIB;

/// Assumed of a phone that does not tell. Its browser ends a page that takes about 1 GiB, and the models are not the whole page.
const ASSUMED_OF_PHONE: u64 = 2 * GIB;

/// Memory of a worker for weights. wasm32 ends at 4 GiB, and loading and long texts need the rest.
const WORKER_LIMIT: u64 = 3 * GIB;

impl Machine {
    pub fn here() -> Self {
        let cores = browser::navigator_number("hardwareConcurrency").map_or(2, |n| n as usize);
        let memory = browser::navigator_number("deviceMemory").map(|gib| (gib * GIB as f64) as u64);
        let assumed = if browser::is_phone() { ASSUMED_OF_PHONE } else { ASSUMED_MEMORY };
        let machine = Self { cores, memory_bytes: memory.unwrap_or(assumed) };
        machine.limited_to(preference::most_for_models().unwrap_or(u64::MAX))
    }

    /// A machine whose models may not take more than this.
    fn limited_to(self, most: u64) -> Self {
        Self { memory_bytes: self.memory_bytes.min(most.saturating_mul(5) / 2), ..self }
    }

    /// The same with other memory, of which the models may take `budget` bytes.
    pub fn with_budget(self, budget: u64) -> Self {
        Self { memory_bytes: budget.div_ceil(2).saturating_mul(5), ..self }
    }

    /// The share of the memory that the folds may take; other tabs and the system need the rest.
    fn budget(&self) -> u64 {
        self.memory_bytes / 5 * 2
    }
}

/// Distributes the folds among workers, given the folds' sizes in memory. Worker w begins with fold w. Of each
/// size, `common_bytes` are needed only once per worker.
///
/// There is a worker for each core, and one for each fold that remains after every core has had the same number
/// of folds: then all cores share the last round of work. (`schedule::Scheduler` holds these
/// workers back until then.) There are fewer workers if they can hold more folds at a time, as each needs the
/// common bytes. If the memory does not hold all folds, they take turns. At least one fold is always tried.
pub fn plan(resident_bytes: &[u64], common_bytes: u64, machine: &Machine) -> Vec<Share> {
    within(machine.budget(), resident_bytes, common_bytes, machine.cores)
}

/// Distributes the folds like [`plan`], and adds a worker of its own for the final model, the model after the last fold.
/// Its memory counts beside that of the folds, although it gives it back when they are in.
pub fn with_final_model(
    resident_bytes: &[u64],
    final_bytes: u64,
    common_bytes: u64,
    machine: &Machine,
) -> Vec<Share> {
    let budget = machine.budget().saturating_sub(final_bytes);
    let alone = Share { folds: vec![resident_bytes.len()], capacity: 1 };
    let folds = within(budget, resident_bytes, common_bytes, machine.cores);
    // The worker that is dispatched to first.
    std::iter::once(alone).chain(folds).collect()
}

/// The models that helpers hold copies of while there is a long list: several of each, if cores and memory are left beside
/// the plan's workers. Without a final model `final_bytes` is 0; with one, it is copied while no fold is in memory.
pub fn copies(
    shares: &[Share],
    resident_bytes: &[u64],
    final_bytes: u64,
    machine: &Machine,
) -> Vec<usize> {
    let folds = resident_bytes.len();
    let used = if machine.cores > 2 { (machine.cores / 2).max(2) } else { machine.cores };
    // As many of each: a list takes as long as the model with the fewest.
    let copies = |models: usize, bytes: u64| {
        let room = machine.budget() / bytes.max(1);
        (used / models.max(1)).min(room as usize).saturating_sub(1)
    };
    let mut all = Vec::new();
    let in_memory: usize = shares.iter().map(|share| share.capacity).sum();
    let has_final_model = final_bytes > 0;
    if shares.len() == in_memory && in_memory == folds + usize::from(has_final_model) {
        for _ in 0..copies(folds, resident_bytes.iter().sum()) {
            all.extend(0..folds);
        }
    }
    if has_final_model {
        all.extend(std::iter::repeat_n(folds, copies(1, final_bytes)));
    }
    all
}

/// The memory that the weights take at most by a plan, for models of `resident_bytes` each.
pub fn most_held(plan: &[Share], resident_bytes: u64, common_bytes: u64) -> u64 {
    let own = resident_bytes.saturating_sub(common_bytes);
    plan.iter().map(|share| common_bytes + own * share.capacity as u64).sum()
}

fn within(budget: u64, resident_bytes: &[u64], common_bytes: u64, cores: usize) -> Vec<Share> {
    let own: Vec<u64> = resident_bytes.iter().map(|all| all.saturating_sub(common_bytes)).collect();
    let fitting = |workers: usize| {
        let common = common_bytes.saturating_mul(workers as u64);
        folds_within(budget.saturating_sub(common), &own)
    };
    let (folds, cores) = (own.len(), cores.max(1));
    let possible = 1..=if folds > cores { cores + folds % cores } else { folds };
    let holding = possible.map(|workers| (fitting(workers), workers));
    // A worker without a fold would only hold the common bytes.
    let useful = holding.filter(|&(folds, workers)| workers == 1 || folds >= workers);
    let Some((fitting, workers)) = useful.max() else { return Vec::new() };

    let largest = own.iter().copied().max().unwrap_or(0).max(1);
    let most_in_one = (WORKER_LIMIT.saturating_sub(common_bytes) / largest).max(1) as usize;
    (0..workers)
        .map(|worker| {
            let folds: Vec<usize> = (worker..own.len()).step_by(workers).collect();
            let fair = fitting / workers + usize::from(worker < fitting % workers);
            let capacity = folds.len().min(fair).min(most_in_one);
            Share { folds, capacity }
        })
        .collect()
}

/// The number of folds that fit into the budget, whichever they are; at least one.
fn folds_within(budget: u64, bytes: &[u64]) -> usize {
    let mut sizes = bytes.to_vec();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = budget;
    let fitting = sizes.iter().take_while(|&&size| {
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn shares(folds: usize, mib: u64, cores: usize, gib: u64) -> Vec<(Vec<usize>, usize)> {
        let machine = Machine { cores, memory_bytes: gib * GIB };
        let plan = plan(&vec![mib * MIB; folds], 0, &machine);
        plan.into_iter().map(|share| (share.folds, share.capacity)).collect()
    }

    #[test]
    fn a_worker_for_each_fold_where_there_is_room() {
        let expected: Vec<_> = (0..5).map(|fold| (vec![fold], 1)).collect();
        assert_eq!(shares(5, 300, 8, 8), expected);
        assert_eq!(shares(1, 300, 8, 8), [(vec![0], 1)]);
    }

    #[test]
    fn few_cores_hold_several_folds_each() {
        assert_eq!(shares(4, 20, 2, 4), [(vec![0, 2], 2), (vec![1, 3], 2)]);
        assert_eq!(shares(5, 20, 1, 4), [(vec![0, 1, 2, 3, 4], 5)]);
    }

    #[test]
    fn a_fold_that_is_left_over_has_a_worker_of_its_own() {
        assert_eq!(shares(5, 20, 2, 4), [(vec![0, 3], 2), (vec![1, 4], 2), (vec![2], 1)]);
        assert_eq!(shares(5, 20, 4, 4).len(), 5);
    }

    #[test]
    fn little_memory_takes_folds_in_turn() {
        // 1.6 GiB of 4 hold two of 700 MiB.
        assert_eq!(shares(5, 700, 8, 4), [(vec![0, 2, 4], 1), (vec![1, 3], 1)]);
        // None fits: one is tried all the same.
        assert_eq!(shares(3, 900, 8, 1), [(vec![0, 1, 2], 1)]);
    }

    #[test]
    fn a_budget_holds_what_fits_into_it() {
        let machine = Machine { cores: 8, memory_bytes: GIB };
        for (mib, expected) in [(299, 1), (600, 2), (899, 2), (900, 3), (64 * 1024, 5)] {
            let plan = plan(&[300 * MIB; 5], 0, &machine.with_budget(mib * MIB));
            assert_eq!(plan.iter().map(|share| share.capacity).sum::<usize>(), expected, "{mib}");
        }
    }

    #[test]
    fn the_final_model_has_a_worker_of_its_own_and_counts() {
        let machine = Machine { cores: 8, memory_bytes: 4 * GIB };
        let with = |folds: usize, mib: u64| {
            let shares = with_final_model(&vec![mib * MIB; folds], mib * MIB, 0, &machine);
            shares.into_iter().map(|share| (share.folds, share.capacity)).collect::<Vec<_>>()
        };
        assert_eq!(with(2, 300), [(vec![2], 1), (vec![0], 1), (vec![1], 1)]);
        // 1.6 GiB of 4 hold five of 320 MiB, the final model among them.
        assert_eq!(shares(5, 320, 8, 4).len(), 5);
        assert_eq!(with(5, 320)[1..].iter().map(|(_, capacity)| capacity).sum::<usize>(), 4);
    }

    #[test]
    fn helpers_have_copies_where_cores_and_memory_are_left() {
        const NONE: [usize; 0] = [];
        let copies_of = |folds: usize, mib: u64, final_mib: u64, cores: usize, gib: u64| {
            let machine = Machine { cores, memory_bytes: gib * GIB };
            let resident = vec![mib * MIB; folds];
            let shares = match final_mib {
                0 => plan(&resident, 0, &machine),
                _ => with_final_model(&resident, final_mib * MIB, 0, &machine),
            };
            copies(&shares, &resident, final_mib * MIB, &machine)
        };
        assert_eq!(copies_of(1, 300, 0, 2, 8), [0]);
        assert_eq!(copies_of(1, 300, 0, 1, 8), NONE);
        // Of eight cores four, of which 1.6 GiB of 4 would hold five.
        assert_eq!(copies_of(1, 300, 0, 8, 4), [0, 0, 0]);
        assert_eq!(copies_of(1, 700, 0, 8, 4), [0]);
        // Two for each, or none.
        assert_eq!(copies_of(2, 300, 0, 8, 8), [0, 1]);
        assert_eq!(copies_of(3, 300, 0, 8, 8), NONE);
        assert_eq!(copies_of(5, 20, 0, 2, 8), NONE);
        assert_eq!(copies_of(5, 300, 300, 4, 8), [5]);
        // Folds that take turns have no room for copies.
        assert_eq!(copies_of(2, 900, 0, 8, 4), NONE);
    }

    #[test]
    fn a_device_that_was_short_of_memory_holds_less() {
        let machine = Machine { cores: 8, memory_bytes: 8 * GIB };
        let all = [400 * MIB; 5];
        let first = plan(&all, 0, &machine);
        assert_eq!(most_held(&first, 400 * MIB, 0), 2000 * MIB);
        let second = plan(&all, 0, &machine.limited_to(1000 * MIB));
        assert!(most_held(&second, 400 * MIB, 0) <= 1000 * MIB, "{second:?}");
        // A limit that holds no model still tries one.
        let third = plan(&all, 0, &machine.limited_to(MIB));
        assert_eq!(third, [Share { folds: vec![0, 1, 2, 3, 4], capacity: 1 }]);
    }

    #[test]
    fn a_worker_stays_below_the_end_of_its_address_space() {
        assert_eq!(shares(5, 1500, 1, 64), [(vec![0, 1, 2, 3, 4], 2)]);
    }

    #[test]
    fn what_is_common_counts_once_a_worker() {
        let shares = |common, gib| {
            let machine = Machine { cores: 2, memory_bytes: gib * GIB };
            let plan = plan(&[500 * MIB; 5], common * MIB, &machine);
            plan.into_iter().map(|share| share.capacity).collect::<Vec<_>>()
        };
        // 1638 MiB of 4 GiB hold three of 500; of 400 own and 100 common, three workers hold three and one does not four.
        assert_eq!(shares(0, 4), [1, 1, 1]);
        assert_eq!(shares(100, 4), [1, 1, 1]);
        // One worker holds all, two would not.
        assert_eq!(shares(250, 4), [5]);
        assert_eq!(shares(250, 8), [2, 2, 1]);
    }

    #[test]
    fn every_fold_has_exactly_one_worker() {
        for folds in 1..8 {
            for cores in 1..10 {
                for gib in 1..10 {
                    let plan = shares(folds, 500, cores, gib);
                    let mut all: Vec<usize> =
                        plan.iter().flat_map(|(folds, _)| folds.clone()).collect();
                    all.sort_unstable();
                    assert_eq!(all, (0..folds).collect::<Vec<_>>());
                    assert!(plan.iter().all(|(folds, n)| (1..=folds.len()).contains(n)));
                }
            }
        }
    }
}
