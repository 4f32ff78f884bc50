//! Groups of rows with equal texts. They stand or fall together: a fold must not learn one row of a group and be scored on
//! another, and a hundred equal rows say no more about a model than one.

use std::collections::HashMap;

use super::text_key::text_key;

/// The group of each row, by first appearance from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    of_row: Vec<usize>,
    count: usize,
}

impl Groups {
    /// Groups rows whose texts have the same [`text_key`].
    pub fn of_equal(texts: &[impl AsRef<str>]) -> Self {
        let mut known = HashMap::with_capacity(texts.len());
        let of_row = texts
            .iter()
            .map(|text| {
                let next = known.len();
                *known.entry(text_key(text.as_ref())).or_insert(next)
            })
            .collect();
        Self { of_row, count: known.len() }
    }

    /// A group for each row.
    pub fn single(rows: usize) -> Self {
        Self { of_row: (0..rows).collect(), count: rows }
    }

    /// The number of groups.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The group of each row.
    pub fn of_row(&self) -> &[usize] {
        &self.of_row
    }

    /// The rows of each group, ascending.
    pub fn rows(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.count];
        self.of_row.iter().enumerate().for_each(|(row, &group)| rows[group].push(row));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_group() {
        let texts = ["a b", "c", "A  B", "d", "c"].map(str::to_owned);
        let groups = Groups::of_equal(&texts);
        assert_eq!((groups.of_row(), groups.count()), (&[0, 1, 0, 2, 1][..], 3));
        assert_eq!(groups.rows(), [vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(Groups::single(2).rows(), [[0], [1]]);
    }
}
