//! A table of rows and labels, for targets (0 or 1) and for probabilities.

/// Values in row-major order, a row for each text and a column for each label.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid<T> {
    columns: usize,
    values: Vec<T>,
}

/// The true labels: 1 for a label that is on.
pub type Targets = Grid<u8>;

/// A probability for each row and label.
pub type Probabilities = Grid<f32>;

impl<T: Copy> Grid<T> {
    /// A grid of `values`, which are whole rows of `columns` values.
    pub fn new(columns: usize, values: Vec<T>) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "whole rows");
        Self { columns, values }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number of labels.
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.columns..][..self.columns]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        &mut self.values[row * self.columns..][..self.columns]
    }

    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.values.chunks_exact(self.columns)
    }

    pub fn column(&self, column: usize) -> impl Iterator<Item = T> + '_ {
        assert!(column < self.columns);
        self.values.iter().skip(column).step_by(self.columns).copied()
    }

    /// All values, row by row.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }

    /// The given rows, in the given order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            columns: self.columns,
            values: rows.iter().flat_map(|&row| self.row(row)).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_columns_and_selections_agree() {
        let grid = Grid::new(2, vec![1, 2, 3, 4, 5, 6]);
        assert_eq!((grid.len(), grid.columns()), (3, 2));
        assert_eq!(grid.row(1), [3, 4]);
        assert_eq!(grid.column(1).collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(grid.select(&[2, 0]).row(0), [5, 6]);
    }
}
