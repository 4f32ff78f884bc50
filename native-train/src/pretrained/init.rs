//! Initial tensors as HF's `_init_weights` makes them: normal weights, zero biases, LayerNorm weights
//! of one.
//!
//! Each depends on the seed and its own name alone, whatever other tensors there are.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use shared::model::{DebertaConfig, WORD_EMBEDDINGS};

/// The values of tensor `name`, row by row.
pub fn values(name: &str, shape: &[usize], config: &DebertaConfig, seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if name.ends_with(".bias") {
        vec![0.0; count]
    } else if name.ends_with("LayerNorm.weight") {
        vec![1.0; count]
    } else {
        let mut weights = normal(name, count, config.initializer_range, seed);
        if let (WORD_EMBEDDINGS, Some(row)) = (name, config.pad_token_id) {
            weights[row * config.embedding_size..][..config.embedding_size].fill(0.0);
        }
        weights
    }
}

/// Appends the rows that a word embedding [rows, width] lacks: at the mean of the others, with a little noise so that they
/// differ. transformers' `resize_token_embeddings` draws them like that, with a thousand-millionth of the others' covariance.
pub fn extend_rows(table: &mut Vec<f32>, shape: &[usize], seed: u64) {
    /// The share of the variance in the noise.
    const NOISE: f64 = 1e-9;
    let &[rows, width] = shape else { return };
    let there = table.len() / width;
    if there == 0 || there >= rows {
        return;
    }
    let (mut sums, mut squares) = (vec![0.0; width], vec![0.0; width]);
    for row in table.chunks_exact(width) {
        for ((sum, square), &value) in sums.iter_mut().zip(&mut squares).zip(row) {
            *sum += f64::from(value);
            *square += f64::from(value) * f64::from(value);
        }
    }
    let noise = normal("new rows", (rows - there) * width, 1.0, seed);
    for (place, draw) in noise.into_iter().enumerate() {
        let column = place % width;
        let mean = sums[column] / there as f64;
        let variance = (squares[column] / there as f64 - mean * mean).max(0.0);
        table.push((mean + f64::from(draw) * (NOISE * variance).sqrt()) as f32);
    }
}

fn normal(name: &str, count: usize, deviation: f64, seed: u64) -> Vec<f32> {
    let distribution = Normal::new(0.0, deviation as f32).expect("the config's range is above 0");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name));
    distribution.sample_iter(rng).take(count).collect()
}

/// A hash that is the same in every release, unlike the standard library's.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 2] = [300, 192];

    fn weights(name: &str, seed: u64) -> Vec<f32> {
        values(name, &SHAPE, &DebertaConfig::mini(300), seed)
    }

    #[test]
    fn weights_are_normal_with_the_configs_deviation() {
        let weights = weights("pooler.dense.weight", 42);
        let deviation = DebertaConfig::mini(300).initializer_range;
        let count = weights.len() as f64;
        let moment = |power: i32| {
            weights.iter().map(|&w| (f64::from(w) / deviation).powi(power)).sum::<f64>() / count
        };
        // Five standard errors of each moment of 57,600 draws from a standard normal.
        let within = |moment: f64, expected: f64, variance: f64| {
            assert!((moment - expected).abs() < 5.0 * (variance / count).sqrt(), "{moment}");
        };
        within(moment(1), 0.0, 1.0);
        within(moment(2), 1.0, 2.0);
        within(moment(3), 0.0, 15.0);
        within(moment(4), 3.0, 96.0);
    }

    #[test]
    fn seed_and_name_decide_the_values() {
        let first = weights("classifier.weight", 1);
        assert_eq!(first, weights("classifier.weight", 1));
        assert_ne!(first, weights("classifier.weight", 2));
        assert_ne!(first, weights("pooler.dense.weight", 1));
    }

    #[test]
    fn only_the_padding_row_of_the_word_embeddings_is_zero() {
        let rows = weights(WORD_EMBEDDINGS, 42);
        let zero: Vec<usize> = rows
            .chunks(192)
            .enumerate()
            .filter_map(|(row, values)| values.iter().all(|&v| v == 0.0).then_some(row))
            .collect();
        assert_eq!(zero, [0]);
        assert!(
            weights("deberta.encoder.rel_embeddings.weight", 42)[..192].iter().all(|&v| v != 0.0)
        );
    }

    #[test]
    fn new_rows_are_near_the_mean_and_differ() {
        let rows = |seed| {
            let mut table = vec![1.0, -2.0, 3.0, 2.0, 5.0, 3.0];
            extend_rows(&mut table, &[5, 2], seed);
            table
        };
        let table = rows(42);
        assert_eq!(table[..6], [1.0, -2.0, 3.0, 2.0, 5.0, 3.0]);
        assert_eq!(table.len(), 10);
        for row in table[6..].chunks(2) {
            // Six standard deviations of the noise, sqrt(1e-9 * 8 / 3) and sqrt(1e-9 * 14 / 3).
            assert!((row[0] - 3.0).abs() < 4e-4 && (row[1] - 1.0).abs() < 5e-4, "{row:?}");
        }
        assert_ne!(table[6..8], table[8..10]);
        assert_eq!(rows(42), table);
        assert_ne!(rows(43), table);
    }

    #[test]
    fn biases_and_layer_norms_start_neutral() {
        let config = DebertaConfig::mini(300);
        let of = |name: &str| values(name, &[3], &config, 42);
        assert_eq!(of("classifier.bias"), [0.0; 3]);
        assert_eq!(of("deberta.encoder.LayerNorm.bias"), [0.0; 3]);
        assert_eq!(of("deberta.encoder.layer.0.output.LayerNorm.weight"), [1.0; 3]);
    }
}
