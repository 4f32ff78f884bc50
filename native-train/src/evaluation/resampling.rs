//! How far a score would move with other texts: intervals by the bootstrap, and p-values by permutation.
//!
//! Both draw whole groups of equal texts, because rows with the same text are one observation: intervals of rows that are
//! drawn one by one are too narrow where texts repeat. What is drawn are counts, so a draw takes as many additions as there
//! are labels on, and not as many as there are cells.
//!
//! An interval is of the bias-corrected and accelerated kind (BCa): B. Efron, "Better Bootstrap Confidence Intervals",
//! JASA 82 (1987). It says what these models would score on other texts of the same kind, not what models of another training
//! would.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::decisions::Decisions;
use super::metrics::Counts;
use crate::data::Groups;
use crate::grid::Targets;

/// The draws of an interval.
pub const DRAWS: usize = 1000;

/// The exchanges of a p-value.
pub const EXCHANGES: usize = 4999;

const SEED: u64 = 0x5EED_0F1A;

/// The range that holds the true value in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The counts of one or several decisions on the same rows, by group of rows.
///
/// The counts of decision `d` and label `k` are in column `d * labels + k`.
pub struct GroupedCounts {
    /// The cells of group `g` are `cells[starts[g]..starts[g + 1]]`; those of all zeros are left out.
    starts: Vec<usize>,
    cells: Vec<(usize, Counts)>,
    labels: usize,
    decisions: usize,
}

impl GroupedCounts {
    /// Counts each of `decisions`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(groups: &Groups, targets: &Targets, decisions: &[&Decisions]) -> Self {
        let labels = targets.columns();
        assert_eq!(groups.of_row().len(), targets.len(), "a group for each row");
        assert!(
            decisions.iter().all(|d| (d.len(), d.columns()) == (targets.len(), labels)),
            "targets and decisions of one shape"
        );
        let (mut starts, mut cells) = (vec![0], Vec::new());
        let mut sums = vec![Counts::default(); labels * decisions.len()];
        for rows in groups.rows() {
            for row in rows {
                for (decision, sums) in decisions.iter().zip(sums.chunks_exact_mut(labels)) {
                    let pairs = targets.row(row).iter().zip(decision.row(row));
                    sums.iter_mut().zip(pairs).for_each(|(sum, (&target, &decided))| {
                        *sum += Counts::of_cell(target == 1, decided);
                    });
                }
            }
            for (column, sum) in sums.iter_mut().enumerate() {
                let counts = std::mem::take(sum);
                if counts != Counts::default() {
                    cells.push((column, counts));
                }
            }
            starts.push(cells.len());
        }
        Self { starts, cells, labels, decisions: decisions.len() }
    }

    fn groups(&self) -> usize {
        self.starts.len() - 1
    }

    fn cells(&self, group: usize) -> &[(usize, Counts)] {
        &self.cells[self.starts[group]..self.starts[group + 1]]
    }

    /// The counts of all rows.
    pub fn total(&self) -> Vec<Counts> {
        let mut sums = vec![Counts::default(); self.labels * self.decisions];
        self.cells.iter().for_each(|&(column, counts)| sums[column] += counts);
        sums
    }

    /// The value and interval of each statistic of the counts, of which there are as many whatever the counts.
    pub fn intervals(
        &self,
        statistics: impl Fn(&[Counts]) -> Vec<f64> + Sync,
    ) -> Vec<(f64, Interval)> {
        let total = self.total();
        let values = statistics(&total);
        let draws: Vec<Vec<f64>> = (0..DRAWS)
            .into_par_iter()
            .map_init(
                || vec![0u32; self.groups()],
                |times, draw| statistics(&self.draw(draw, times)),
            )
            .collect();
        let accelerations = self.accelerations(&total, &values, &statistics);
        let of = |(place, (&value, acceleration)): (usize, (&f64, f64))| {
            let mut drawn: Vec<f64> = draws.iter().map(|draw| draw[place]).collect();
            drawn.sort_unstable_by(f64::total_cmp);
            (value, bca(value, &drawn, acceleration))
        };
        values.iter().zip(accelerations).enumerate().map(of).collect()
    }

    /// The counts of as many groups as there are, drawn with replacement. `times` is working space.
    fn draw(&self, draw: usize, times: &mut [u32]) -> Vec<Counts> {
        let mut random = generator(draw);
        times.fill(0);
        for _ in 0..self.groups() {
            times[below(self.groups(), &mut random)] += 1;
        }
        let mut sums = vec![Counts::default(); self.labels * self.decisions];
        for (group, &times) in times.iter().enumerate().filter(|(_, times)| **times > 0) {
            for &(column, counts) in self.cells(group) {
                sums[column] += counts.times(u64::from(times));
            }
        }
        sums
    }

    /// The acceleration of each statistic: a sixth of the skewness of what each group adds to it, found by leaving it out.
    fn accelerations(
        &self,
        total: &[Counts],
        values: &[f64],
        statistics: &(impl Fn(&[Counts]) -> Vec<f64> + Sync),
    ) -> Vec<f64> {
        let groups = self.groups();
        // Of many groups a sample will do: the skewness of a thousand is known well enough.
        let step = groups.div_ceil(2000).max(1);
        let without: Vec<Vec<f64>> = (0..groups)
            .into_par_iter()
            .step_by(step)
            .map_init(
                || total.to_vec(),
                |sums, group| {
                    self.cells(group).iter().for_each(|&(column, counts)| sums[column] -= counts);
                    let left = statistics(sums);
                    self.cells(group).iter().for_each(|&(column, counts)| sums[column] += counts);
                    left
                },
            )
            .collect();
        let influences = |place: usize| without.iter().map(move |left| values[place] - left[place]);
        (0..values.len())
            .map(|place| {
                let mean = influences(place).sum::<f64>() / without.len() as f64;
                let power = |n: i32| influences(place).map(|value| (value - mean).powi(n)).sum();
                let (squares, cubes): (f64, f64) = (power(2), power(3));
                // Of a sample the sums are those of `step` times as many groups.
                let all = (step as f64).sqrt();
                if squares == 0.0 { 0.0 } else { cubes / (6.0 * squares.powf(1.5) * all) }
            })
            .collect()
    }

    /// The p-value of each statistic of two decisions, two-sided: how often it is at least as far from zero when the two are
    /// exchanged in each group by the toss of a coin, so that neither is better.
    ///
    /// # Panics
    /// If there are not two decisions.
    pub fn p_values(&self, statistics: impl Fn(&[Counts]) -> Vec<f64> + Sync) -> Vec<f64> {
        assert_eq!(self.decisions, 2, "two decisions");
        let values = statistics(&self.total());
        let as_far = (0..EXCHANGES)
            .into_par_iter()
            .map(|exchange| {
                let exchanged = statistics(&self.exchange(exchange));
                let pairs = exchanged.iter().zip(&values);
                // Sums in another order may differ in the last bits.
                pairs.map(|(other, value)| u64::from(other.abs() >= value.abs() - 1e-12)).collect()
            })
            .reduce(
                || vec![0; values.len()],
                |one: Vec<u64>, other| one.iter().zip(other).map(|(a, b)| a + b).collect(),
            );
        as_far.iter().map(|&count| (count + 1) as f64 / (EXCHANGES + 1) as f64).collect()
    }

    fn exchange(&self, exchange: usize) -> Vec<Counts> {
        let mut random = generator(exchange);
        let mut coins = 0;
        let mut sums = vec![Counts::default(); 2 * self.labels];
        for group in 0..self.groups() {
            if group % 64 == 0 {
                coins = random.next_u64();
            }
            let shift = if coins >> (group % 64) & 1 == 1 { self.labels } else { 0 };
            for &(column, counts) in self.cells(group) {
                sums[(column + shift) % (2 * self.labels)] += counts;
            }
        }
        sums
    }
}

/// The bias-corrected and accelerated interval of a value, of which `drawn` are the ascending values of the draws.
fn bca(value: f64, drawn: &[f64], acceleration: f64) -> Interval {
    let below = drawn.iter().filter(|&&drawn| drawn < value).count() as f64;
    let equal = drawn.iter().filter(|&&drawn| drawn == value).count() as f64;
    let count = drawn.len() as f64;
    let share = ((below + equal / 2.0) / count).clamp(0.5 / count, 1.0 - 0.5 / count);
    let bias = normal_quantile(share);
    let end = |z: f64| {
        let shifted = bias + z;
        quantile(drawn, normal_cdf(bias + shifted / (1.0 - acceleration * shifted)))
    };
    Interval { low: end(-Z_95), high: end(Z_95) }
}

/// The quantile of the standard normal distribution that 2.5% lie above.
const Z_95: f64 = 1.959_963_984_540_054;

/// Between the two nearest values, as `numpy.quantile` interpolates.
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let place = share * (ascending.len() - 1) as f64;
    let (low, high) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The share of the standard normal distribution below `z`.
fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The inverse of [`normal_cdf`], by bisection.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        if normal_cdf(middle) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// A generator for each draw, so that it does not matter in which order threads draw.
fn generator(draw: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    random.set_stream(draw as u64);
    random
}

/// A number from 0 to `count - 1`. Its bias is below `count` in 2^32.
fn below(count: usize, random: &mut ChaCha8Rng) -> usize {
    ((u64::from(random.next_u32()) * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::grid::Grid;

    const LABELS: usize = 3;

    /// A world of texts, each of which may be there several times, and a model that labels them.
    fn world(texts: usize, most_twins: usize, seed: u64) -> (Groups, Targets, Decisions) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut names, mut targets, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
        for text in 0..texts {
            let twins = if random.random_bool(0.25) { most_twins } else { 1 };
            let mood: f64 = random.random();
            let row: [(bool, bool); LABELS] = std::array::from_fn(|label| {
                let on = random.random_bool(0.15 + 0.1 * label as f64 + 0.2 * mood);
                (on, random.random_bool(if on { 0.7 } else { 0.12 }))
            });
            for _ in 0..twins {
                names.push(text.to_string());
                targets.extend(row.map(|(on, _)| u8::from(on)));
                decisions.extend(row.map(|(_, decided)| decided));
            }
        }
        let (targets, decisions) = (Grid::new(LABELS, targets), Grid::new(LABELS, decisions));
        (Groups::of_equal(&names), targets, decisions)
    }

    fn macro_f1(counts: &[Counts]) -> Vec<f64> {
        vec![counts.iter().map(Counts::f1).sum::<f64>() / counts.len() as f64]
    }

    /// The share of a thousand worlds in which the interval holds the true score: over groups, and over single rows.
    fn coverage(texts: usize, most_twins: usize) -> [f64; 2] {
        let (groups, targets, decisions) = world(300_000, most_twins, 0);
        let truth = macro_f1(&GroupedCounts::new(&groups, &targets, &[&decisions]).total())[0];
        let worlds = 1000;
        let hits = (1..=worlds).into_par_iter().map(|seed| {
            let (groups, targets, decisions) = world(texts, most_twins, seed);
            [groups, Groups::single(targets.len())].map(|groups| {
                let counts = GroupedCounts::new(&groups, &targets, &[&decisions]);
                let (_, Interval { low, high }) = counts.intervals(macro_f1)[0];
                u64::from((low..=high).contains(&truth))
            })
        });
        let hits = hits.reduce(|| [0; 2], |one, other| [one[0] + other[0], one[1] + other[1]]);
        hits.map(|hits| hits as f64 / worlds as f64)
    }

    #[test]
    fn an_interval_holds_the_truth_in_95_of_100_worlds() {
        let [over_groups, over_rows] = coverage(300, 1);
        eprintln!("no twins: over groups {over_groups}, over rows {over_rows}");
        assert!((0.94..=0.96).contains(&over_groups), "{over_groups}");
        assert_eq!(over_groups, over_rows);
    }

    #[test]
    fn where_texts_repeat_rows_that_are_drawn_alone_make_it_too_narrow() {
        let [over_groups, over_rows] = coverage(300, 5);
        eprintln!(
            "five twins of every fourth text: over groups {over_groups}, over rows {over_rows}"
        );
        assert!((0.94..=0.96).contains(&over_groups), "{over_groups}");
        assert!(over_rows < 0.85, "{over_rows}");
    }

    /// Two models that decide alike but for luck differ below 0.05 in one of twenty worlds.
    #[test]
    fn p_values_of_no_difference_are_uniform() {
        let difference = |counts: &[Counts]| {
            let (a, b) = counts.split_at(LABELS);
            vec![macro_f1(b)[0] - macro_f1(a)[0]]
        };
        let worlds = 400;
        let p: Vec<f64> = (1..=worlds)
            .into_par_iter()
            .map(|seed| {
                let (groups, targets, a) = world(150, 3, seed);
                let mut random = ChaCha8Rng::seed_from_u64(1000 + seed);
                let mut b = a.clone();
                for rows in groups.rows() {
                    for label in 0..LABELS {
                        let on = targets.row(rows[0])[label] == 1;
                        let decided = random.random_bool(if on { 0.7 } else { 0.12 });
                        rows.iter().for_each(|&row| b.row_mut(row)[label] = decided);
                    }
                }
                GroupedCounts::new(&groups, &targets, &[&a, &b]).p_values(difference)[0]
            })
            .collect();
        let share = |below: f64| p.iter().filter(|p| **p <= below).count() as f64 / worlds as f64;
        for (below, tolerance) in [(0.05, 0.03), (0.25, 0.06), (0.5, 0.07), (0.75, 0.06)] {
            assert!((share(below) - below).abs() < tolerance, "{below}: {}", share(below));
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let (groups, targets, decisions) = world(200, 2, 5);
        let counts = GroupedCounts::new(&groups, &targets, &[&decisions]);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(counts.intervals(macro_f1), alone.install(|| counts.intervals(macro_f1)));
    }

    /// Checked with Python's `statistics.NormalDist` and `numpy.quantile`.
    #[test]
    fn quantiles_are_those_of_python() {
        assert!((normal_cdf(-1.2) - 0.11506967022170833).abs() < 1e-15);
        assert!((normal_quantile(0.975) - Z_95).abs() < 1e-12);
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 8.0], 0.4), 2.4000000000000004);
        // Neither biased nor accelerated: the plain percentiles.
        let drawn: Vec<f64> = (0..1001).map(f64::from).collect();
        let Interval { low, high } = bca(500.0, &drawn, 0.0);
        assert!((low - 25.0).abs() < 1e-6 && (high - 975.0).abs() < 1e-6, "{low} {high}");
    }
}
