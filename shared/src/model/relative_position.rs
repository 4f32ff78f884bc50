//! The rows of the relative-position table that belong to the distances between tokens.
//!
//! Mirrors `make_log_bucket_position` and `build_relative_position`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L58-L102>.

use super::config::DebertaConfig;
use crate::kernels::Indices;

/// The rows that texts of up to some length can reach, and where each distance finds its own.
#[derive(Debug)]
pub(super) struct Reach {
    /// The rows of the whole table.
    table_rows: u32,
    /// The distinct rows that are reached, the row of the largest distance i - j first.
    pub rows: Indices,
    /// The index in `rows` of each distance, the largest first; `None` if these are 0, 1, 2, ...
    pub expansion: Option<Indices>,
}

impl Reach {
    /// Finds the rows of the 2 * longest - 1 distances that occur in texts of up to `longest` tokens.
    pub fn new(config: &DebertaConfig, longest: usize) -> Self {
        let mut rows: Vec<u32> = Vec::new();
        let expansion: Vec<u32> = distances(longest)
            .map(|distance| {
                let row = table_row(config, distance);
                // Rows never rise as the distance falls, so equal ones are neighbours.
                if rows.last() != Some(&row) {
                    rows.push(row);
                }
                rows.len() as u32 - 1
            })
            .collect();
        let one_to_one = rows.len() == expansion.len();
        let table_rows = config.relative_rows() as u32;
        Self { table_rows, rows: rows.into(), expansion: (!one_to_one).then(|| expansion.into()) }
    }

    /// Returns the row of each distance, the largest first, counted from the last row of the table: these rise.
    pub fn place_of_each_distance(&self) -> Vec<u32> {
        let rows = self.row_of_each_distance();
        rows.iter().map(|row| self.table_rows - 1 - row).collect()
    }

    /// Returns the row of each distance, the largest first.
    pub fn row_of_each_distance(&self) -> Indices {
        let Some(expansion) = &self.expansion else { return self.rows.clone() };
        expansion.iter().map(|&index| self.rows[index as usize]).collect::<Vec<_>>().into()
    }
}

/// Returns the distances i - j from `longest - 1` down to `1 - longest`.
fn distances(longest: usize) -> impl Iterator<Item = i64> {
    let last = longest as i64 - 1;
    (-last..=last).rev()
}

/// Returns the row of the table, 0..2 * span, for query i and key j with i - j = `distance`.
fn table_row(config: &DebertaConfig, distance: i64) -> u32 {
    let span = config.attention_span() as i64;
    let bucket = match config.position_buckets {
        Some(buckets) => log_bucket(distance, buckets, config.max_relative_positions),
        None => distance,
    };
    (bucket + span).clamp(0, 2 * span - 1) as u32
}

/// Returns the bucket of a distance: the distance itself up to `buckets / 2`, beyond that a logarithmic
/// scale that ends at `max_position`. The arithmetic is in f32 as the reference's, as rounding decides the bucket.
fn log_bucket(distance: i64, buckets: usize, max_position: usize) -> i64 {
    let mid = (buckets / 2) as i64;
    let magnitude = distance.abs();
    if magnitude <= mid {
        return distance;
    }
    let mid_f32 = mid as f32;
    let scale = ((max_position as f64 - 1.0) / mid as f64) as f32;
    let log = (magnitude as f32 / mid_f32).ln() / scale.ln() * (mid_f32 - 1.0);
    (log.ceil() as i64 + mid) * distance.signum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> DebertaConfig {
        DebertaConfig::mini(8000)
    }

    #[test]
    fn below_the_middle_bucket_each_distance_has_its_row() {
        let reach = Reach::new(&base(), 129);
        assert_eq!(*reach.rows, (256 - 128..=256 + 128).rev().collect::<Vec<u32>>());
        assert!(reach.expansion.is_none());
    }

    #[test]
    fn longer_texts_share_rows() {
        for (longest, reachable) in [(128, 255), (256, 385), (512, 511)] {
            let reach = Reach::new(&base(), longest);
            assert_eq!(reach.rows.len(), reachable, "length {longest}");
            assert_eq!(reach.row_of_each_distance().len(), 2 * longest - 1);
            assert!(reach.rows.is_sorted_by(|a, b| a > b));
        }
    }

    #[test]
    fn without_buckets_distances_are_clamped() {
        let mut config = base();
        config.position_buckets = None;
        config.max_relative_positions = 3;
        let reach = Reach::new(&config, 6);
        assert_eq!(*reach.row_of_each_distance(), [5, 5, 5, 5, 4, 3, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn buckets_equal_the_references() {
        let shared = std::env::var("QUINTET_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into());
        let path = format!("{shared}/fixtures/tiny-deberta-v3/expected.safetensors");
        let Ok(expected) = candle_core::safetensors::load(&path, &candle_core::Device::Cpu) else {
            eprintln!("skipped: no reference at {path}");
            return;
        };
        for (row, i) in [("row0", 0), ("row511", 511)] {
            let name = format!("rel_pos_bucket256_max512_len512_{row}");
            let expected = expected[&name].to_vec1::<i64>().unwrap();
            let found: Vec<i64> = (0..512).map(|j| log_bucket(i - j, 256, 512)).collect();
            assert_eq!(found, expected);
        }
    }
}
