//! Calibration: of the texts that a model gives a probability, how many have the label.

use crate::grid::{Probabilities, Targets};

const BINS: usize = 10;

/// The fewest cells of a bin of [`with_enough`]: of 30, the share that has the label is known to within 18 points.
pub const ENOUGH: usize = 30;

/// The cells whose probability is from `low` to below `high`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    pub low: f64,
    pub high: f64,
    pub count: usize,
    /// The sum of their probabilities.
    probabilities: f64,
    /// Those that have the label.
    pub positives: usize,
}

impl Bin {
    /// The mean probability; 0 if it is empty.
    pub fn mean_probability(&self) -> f64 {
        self.probabilities / self.count.max(1) as f64
    }

    /// The share that has the label; 0 if it is empty.
    pub fn share(&self) -> f64 {
        self.positives as f64 / self.count.max(1) as f64
    }

    /// Takes the cells of the bin that follows.
    fn take(&mut self, next: Self) {
        self.high = next.high;
        self.count += next.count;
        self.probabilities += next.probabilities;
        self.positives += next.positives;
    }
}

/// Ten bins of equal width for one label, or with `None` for all.
pub fn reliability(
    targets: &Targets,
    probabilities: &Probabilities,
    label: Option<usize>,
) -> [Bin; BINS] {
    let mut bins: [Bin; BINS] = std::array::from_fn(|bin| Bin {
        low: bin as f64 / BINS as f64,
        high: (bin + 1) as f64 / BINS as f64,
        ..Bin::default()
    });
    for (targets, probabilities) in targets.rows().zip(probabilities.rows()) {
        let cells = targets.iter().zip(probabilities).enumerate();
        for (_, (&target, &probability)) in
            cells.filter(|(column, _)| label.is_none_or(|label| label == *column))
        {
            let bin = ((f64::from(probability) * BINS as f64) as usize).min(BINS - 1);
            bins[bin].count += 1;
            bins[bin].probabilities += f64::from(probability);
            bins[bin].positives += usize::from(target);
        }
    }
    bins
}

/// The bins with each that has fewer than [`ENOUGH`] cells made one with those that follow, and at the end with the one before.
/// Where there are too few cells in all, one bin has them.
pub fn with_enough(bins: &[Bin]) -> Vec<Bin> {
    let mut merged: Vec<Bin> = Vec::new();
    for &bin in bins {
        match merged.last_mut() {
            Some(last) if last.count < ENOUGH => last.take(bin),
            _ => merged.push(bin),
        }
    }
    if let [.., before, last] = &mut merged[..]
        && last.count < ENOUGH
    {
        before.take(*last);
        merged.pop();
    }
    merged
}

/// The expected calibration error: the mean distance of probability and share, each bin weighing as many cells as it has.
/// M. P. Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).
pub fn expected_calibration_error(bins: &[Bin]) -> f64 {
    let cells: usize = bins.iter().map(|bin| bin.count).sum();
    let off = |bin: &Bin| (bin.mean_probability() - bin.share()).abs() * bin.count as f64;
    bins.iter().map(off).sum::<f64>() / cells.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_by_their_probability() {
        let targets = Targets::new(2, vec![1, 0, 0, 1, 1, 1]);
        let probabilities = Probabilities::new(2, vec![0.75, 0.05, 0.75, 1.0, 0.95, 0.0]);
        let bins = reliability(&targets, &probabilities, None);
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<usize>(), 6);
        assert_eq!((bins[7].count, bins[7].share(), bins[7].mean_probability()), (2, 0.5, 0.75));
        assert_eq!((bins[9].count, bins[9].positives), (2, 2));
        // By hand: |0.75 - 0.5| * 2, |0.975 - 1| * 2, |0.025 - 0.5| * 2, of 6.
        let error = expected_calibration_error(&bins);
        assert!((error - (0.5 + 0.05 + 0.95) / 6.0).abs() < 1e-7, "{error}");
        assert_eq!(reliability(&targets, &probabilities, Some(1))[9].count, 1);
    }
    #[test]
    fn bins_of_few_cells_are_made_one() {
        let merged = |counts: [usize; BINS]| -> Vec<(f64, usize, usize)> {
            let bins = reliability(&Targets::new(1, vec![]), &Probabilities::new(1, vec![]), None);
            let filled = bins.iter().zip(counts);
            let filled: Vec<Bin> =
                filled.map(|(bin, count)| Bin { count, positives: count / 2, ..*bin }).collect();
            let merged = with_enough(&filled);
            merged.iter().map(|bin| (bin.high, bin.count, bin.positives)).collect()
        };
        assert_eq!(merged([30; BINS]).len(), BINS);
        // 20 and 12 are enough together; of the last 28 there are too few.
        assert_eq!(
            merged([900, 100, 20, 12, 40, 10, 0, 8, 6, 4]),
            [(0.1, 900, 450), (0.2, 100, 50), (0.4, 32, 16), (1.0, 68, 34)]
        );
        assert_eq!(merged([0, 0, 0, 5, 0, 0, 0, 0, 0, 3]), [(1.0, 8, 3)]);
        assert_eq!(merged([0; BINS]), [(1.0, 0, 0)]);
    }
}
