//! One answer from several models: the mean of their probabilities.

/// Returns the mean of the folds' probabilities, each fold's in the same order and of the same number.
///
/// It is summed in f32 in the order of the folds, as NumPy does, so that a mean that is equal to a
/// threshold in NumPy is equal to it here.
///
/// # Panics
/// If there is no fold.
pub fn mean(folds: &[Vec<f32>]) -> Vec<f32> {
    let (first, others) = folds.split_first().expect("an ensemble has a fold");
    let mut sums = first.clone();
    for fold in others {
        debug_assert_eq!(fold.len(), sums.len());
        for (sum, probability) in sums.iter_mut().zip(fold) {
            *sum += probability;
        }
    }
    let count = folds.len() as f32;
    sums.iter().map(|sum| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_own_mean() {
        assert_eq!(mean(&[vec![0.25, 1.0], vec![0.75, 0.5]]), [0.5, 0.75]);
        assert_eq!(mean(&[vec![0.3]]), [0.3]);
    }

    /// A mean of these in f64, and one that multiplies by 1/5, are both 0.33.
    #[test]
    fn rounds_as_numpy_does() {
        let folds = [0.02, 0.43, 0.3, 0.77, 0.13].map(|probability| vec![probability]);
        assert_eq!(mean(&folds), [0.329_999_98]);
    }
}
