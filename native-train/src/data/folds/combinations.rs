//! Combinations of labels, the classes that folds are stratified by.

use std::collections::HashMap;

use crate::grid::Targets;

/// Numbers the combinations by first appearance and returns the number of each row's.
pub fn combinations(targets: &Targets) -> Vec<usize> {
    let mut known = HashMap::new();
    targets
        .rows()
        .map(|row| {
            let next = known.len();
            *known.entry(row).or_insert(next)
        })
        .collect()
}

/// The number of rows that have each combination.
pub fn member_counts(combinations: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; combinations.iter().max().map_or(0, |last| last + 1)];
    for &combination in combinations {
        counts[combination] += 1;
    }
    counts
}
