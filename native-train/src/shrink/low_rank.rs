//! The factorisation of an embedding table: as few columns as wanted, and the map back to the hidden states.

use nalgebra::{DMatrix, SymmetricEigen};

/// The directions in which rows differ most, and the rows by their shares of these.
pub struct Basis {
    /// [width, rank], the columns orthonormal.
    directions: DMatrix<f64>,
}

impl Basis {
    /// Finds the `rank` directions that keep most of the rows' squared length, where each row counts as often as it
    /// `occurs`: the leading right singular vectors of the table. Rows are `width` long.
    pub fn of(rows: &[f32], occurs: &[f64], width: usize, rank: usize) -> Self {
        let mut gram = DMatrix::<f64>::zeros(width, width);
        for (row, &weight) in rows.chunks_exact(width).zip(occurs) {
            let row = nalgebra::DVectorView::from_slice(row, width).map(f64::from);
            gram.syger(weight, &row, &row, 1.0);
        }
        gram.fill_upper_triangle_with_lower_triangle();
        let eigen = SymmetricEigen::new(gram);
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let leading = order[..rank].iter().map(|&column| eigen.eigenvectors.column(column));
        // An eigenvector's sign is arbitrary: its largest share is made positive.
        let columns: Vec<_> = leading
            .map(|column| if column[column.icamax()] < 0.0 { -column } else { column.into() })
            .collect();
        Self { directions: DMatrix::from_columns(&columns) }
    }

    /// Returns rows of `width` by their shares of the directions [rows, rank].
    pub fn shares(&self, rows: &[f32]) -> Vec<f32> {
        let (width, rank) = self.directions.shape();
        let mut shares = Vec::with_capacity(rows.len() / width * rank);
        for row in rows.chunks_exact(width) {
            let row = nalgebra::DVectorView::from_slice(row, width).map(f64::from);
            shares.extend(self.directions.tr_mul(&row).iter().map(|&share| share as f32));
        }
        shares
    }

    /// Returns the map from shares back to rows, as a linear layer's weight [width, rank].
    pub fn projection(&self) -> Vec<f32> {
        self.directions.transpose().iter().map(|&x| x as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(basis: &Basis, row: &[f32]) -> Vec<f32> {
        let (shares, projection) = (basis.shares(row), basis.projection());
        let rows = projection.chunks_exact(shares.len());
        rows.map(|row| row.iter().zip(&shares).map(|(p, s)| p * s).sum()).collect()
    }

    #[test]
    fn a_table_of_low_rank_comes_back_whole() {
        let rows = [1.0, 2.0, 3.0, -2.0, -4.0, -6.0, 0.5, 1.0, 1.5, 1.0, 0.0, 0.0f32];
        let basis = Basis::of(&rows, &[1.0; 4], 3, 2);
        for row in rows.chunks_exact(3) {
            for (found, expected) in back(&basis, row).iter().zip(row) {
                assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
            }
        }
    }

    #[test]
    fn what_occurs_often_is_kept_rather_than_what_is_long() {
        let rows = [1.0, 0.0, 0.0, 3.0f32];
        let kept = |occurs: [f64; 2]| back(&Basis::of(&rows, &occurs, 2, 1), &[1.0, 1.0]);
        assert_eq!(kept([1.0, 1.0]), [0.0, 1.0]);
        assert_eq!(kept([100.0, 1.0]), [1.0, 0.0]);
    }
}
