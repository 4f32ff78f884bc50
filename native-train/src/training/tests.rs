//! Whole trainings of a tiny model.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use candle_core::{Device, Tensor};
use shared::kernels::random::RandomKey;
use shared::model::{DebertaConfig, WORD_EMBEDDINGS};

use super::fine_tuning::{self, Trained};
use super::metrics_log::{EpochRecord, read_epochs};
use super::trainer::Files;
use super::{Compute, Examples, FoldContext, Hyperparameters, Order, Precision, Subject};
use crate::grid::Targets;
use crate::progress::Progress;

const LABELS: usize = 3;
const VOCABULARY: u32 = 50;

const HYPERPARAMETERS: Hyperparameters = Hyperparameters {
    epochs: 1,
    batch_size: 4,
    grad_accumulation: 1,
    learning_rate: 3e-3,
    warmup_ratio: 0.1,
    weight_decay: 0.01,
    max_grad_norm: 1.0,
    order: Order::Shuffled,
    seed: 42,
};

const F32: Compute = Compute { device: Device::Cpu, precision: Precision::F32 };

fn files<'a>(checkpoint: &'a Path, metrics: &'a Path) -> Files<'a> {
    Files { lease: None, checkpoint, checkpoint_interval: Duration::ZERO, metrics, events: None }
}

/// A fold that is validated on the rows it trains on.
fn context<'a>(
    fold: usize,
    examples: &'a Examples,
    rows: &'a [usize],
    hyperparameters: &'a Hyperparameters,
) -> FoldContext<'a> {
    FoldContext {
        subject: Subject::Fold(fold),
        examples,
        teacher: None,
        train_rows: rows,
        validation_rows: rows,
        hyperparameters,
        compute: &F32,
    }
}

fn config() -> DebertaConfig {
    let json = format!(
        r#"{{"model_type": "deberta-v2", "vocab_size": {VOCABULARY}, "hidden_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "max_position_embeddings": 64, "relative_attention": true, "position_buckets": 16,
            "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
            "position_biased_input": false, "type_vocab_size": 0, "hidden_dropout_prob": 0.1}}"#
    );
    DebertaConfig::from_json(json.as_bytes()).unwrap()
}

fn initial_weights(config: &DebertaConfig, seed: u64) -> BTreeMap<String, Tensor> {
    let shapes = config.tensor_shapes(LABELS);
    (0..)
        .zip(shapes)
        .map(|(site, (name, shape))| {
            let key = RandomKey::new(seed, site);
            let norm = if name.contains("LayerNorm.weight") { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| norm + 0.05 * (key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0))
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect()
}

/// Texts of ids from 3 to 29, a label on where the text has one of its ids.
fn examples(texts: usize) -> Examples {
    let key = RandomKey::new(7, 0);
    let input_ids: Vec<Vec<u32>> = (0..texts as u32)
        .map(|t| {
            let length = 4 + key.bits(1000 + t) % 9;
            let words = (0..length).map(|i| 3 + key.bits(100 * t + i) % 27);
            [1].into_iter().chain(words).chain([2]).collect()
        })
        .collect();
    let label = |ids: &[u32], label: u32| u8::from(ids.iter().any(|id| id % 9 == label));
    let targets = input_ids.iter().flat_map(|ids| (0..3).map(|l| label(ids, l))).collect();
    Examples { input_ids, targets: Targets::new(LABELS, targets), soft_targets: None }
}

fn train(
    examples: &Examples,
    train_rows: &[usize],
    validation_rows: &[usize],
    hyperparameters: &Hyperparameters,
    compute: &Compute,
) -> (Trained, String) {
    train_model(&config(), examples, train_rows, validation_rows, hyperparameters, compute)
}

fn train_model(
    config: &DebertaConfig,
    examples: &Examples,
    train_rows: &[usize],
    validation_rows: &[usize],
    hyperparameters: &Hyperparameters,
    compute: &Compute,
) -> (Trained, String) {
    let folder = tempfile::tempdir().unwrap();
    let [checkpoint, metrics] = ["checkpoint", "metrics.jsonl"].map(|f| folder.path().join(f));
    let context = FoldContext {
        subject: Subject::Fold(0),
        examples,
        teacher: None,
        train_rows,
        validation_rows,
        hyperparameters,
        compute,
    };
    let files = self::files(&checkpoint, &metrics);
    let mut progress = Progress::quiet();
    let trained =
        fine_tuning::train(config, initial_weights(config, 1), context, &files, &mut progress)
            .unwrap();
    let epochs = read_epochs(&metrics).unwrap();
    assert_eq!(epochs.len(), hyperparameters.epochs);
    let best = super::metrics_log::best_epoch(&epochs).unwrap();
    assert_eq!(best, &trained.best);
    (trained, std::fs::read_to_string(&metrics).unwrap())
}

fn macro_f1(epoch: &EpochRecord) -> Option<f64> {
    epoch.validation.and_then(|validation| validation.macro_f1)
}

fn bits(weights: &BTreeMap<String, Tensor>) -> BTreeMap<&str, Vec<u32>> {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    weights
        .iter()
        .map(|(name, tensor)| (&**name, values(tensor).into_iter().map(f32::to_bits).collect()))
        .collect()
}

#[test]
fn a_tiny_model_learns_eight_rows_by_heart() {
    let examples = examples(8);
    let rows: Vec<usize> = (0..8).collect();
    let hyperparameters = Hyperparameters { epochs: 60, ..HYPERPARAMETERS };
    let (trained, _) = train(&examples, &rows, &rows, &hyperparameters, &F32);
    assert_eq!(macro_f1(&trained.best), Some(1.0));
}

/// Training in half precision learns as much as in f32, and f16's gradients do not underflow.
#[test]
fn half_precision_learns_as_well() {
    let examples = examples(8);
    let rows: Vec<usize> = (0..8).collect();
    let hyperparameters = Hyperparameters { epochs: 60, ..HYPERPARAMETERS };
    let first_loss = |log: &str| {
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        line["loss"].as_f64().unwrap()
    };
    let (_, exact) = train(&examples, &rows, &rows, &hyperparameters, &F32);
    for (precision, tolerance) in [(Precision::Bf16, 2e-3), (Precision::F16, 3e-4)] {
        let compute = Compute { precision, ..F32 };
        let (trained, log) = train(&examples, &rows, &rows, &hyperparameters, &compute);
        assert_eq!(macro_f1(&trained.best), Some(1.0), "{precision:?}");
        let error = (first_loss(&log) / first_loss(&exact) - 1.0).abs();
        assert!(error < tolerance, "{precision:?}: {error}");
        assert_ne!(log, exact, "{precision:?} rounds");
    }
}

/// The whole training by the CUDA kernels' sources, dropout and all, beside the CPU's own.
#[cfg(feature = "cuda-emulator")]
#[test]
fn the_cuda_kernels_train_as_the_cpu_does() {
    use shared::kernels::cuda::emulate;

    let examples = examples(12);
    let (train_rows, validation_rows): (Vec<usize>, Vec<usize>) =
        (0..12).partition(|row| row % 3 > 0);
    let hyperparameters = Hyperparameters { epochs: 2, grad_accumulation: 2, ..HYPERPARAMETERS };
    let losses = |log: &str| -> Vec<f64> {
        let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
        lines.filter_map(|line| line.unwrap()["loss"].as_f64()).collect()
    };
    // AdamW's first steps have the size of the learning rate however small a gradient is, and so
    // make more of a rounding than it was.
    for (precision, tolerance) in
        [(Precision::F32, 1e-4), (Precision::F16, 2e-3), (Precision::Bf16, 1e-2)]
    {
        let compute = Compute { precision, ..F32 };
        let run = || train(&examples, &train_rows, &validation_rows, &hyperparameters, &compute);
        let ((_, native), (emulated, log)) = (run(), emulate(run));
        let (expected, found) = (losses(&native), losses(&log));
        assert_eq!(found.len(), 4);
        if precision == Precision::F32 {
            assert!(
                (found[0] / expected[0] - 1.0).abs() < 1e-6,
                "before the first update: {found:?}"
            );
        }
        for (found, expected) in found.iter().zip(&expected) {
            let error = (found / expected - 1.0).abs();
            assert!(error < tolerance, "{precision:?}: {found}, expected {expected}");
        }
        assert_eq!(bits(&emulate(run).0.weights), bits(&emulated.weights), "{precision:?}");
    }
}

/// The launches of one training step of 12 layers, by kernel: each costs its time to start whatever it computes. The texts
/// are of 15 to 26 tokens.
#[cfg(feature = "cuda-emulator")]
#[test]
fn a_step_of_twelve_layers_takes_so_many_launches() {
    use shared::kernels::cuda::{emulate, launches_by_name};

    const LAUNCHES: &str = "\
\x20 2 adamw_bf16
  1 add_bias_bf16
  1 add_bias_f32
 24 add_norm_backward_bf16
  2 add_norm_backward_f32
 24 add_norm_forward_bf16_bf16
  2 add_norm_forward_f32_bf16
 12 attention_backward_bf16_32
 12 attention_forward_bf16_32
 12 attention_positions_bf16_32
  1 bce_with_logits_backward_f32
  2 cast_f32_bf16
  1 column_sums_bf16
  1 column_sums_f32
  2 dropout_bf16_f32
  1 dropout_each_backward
  1 dropout_each_bf16
  1 dropout_f32_bf16
  1 dropout_f32_f32
  3 gather_f32
 13 gelu_backward_bf16
 13 gelu_forward_bf16
130 product
 13 product_bias
 13 product_row_sums
  3 scatter_add_f32_f32
  1 unscale_and_clip
  2 zero
  1 zeros
295 in all
";

    let texts: Vec<Vec<u32>> = (0..16)
        .map(|text| (0..15 + text % 12).map(|i| 3 + (7 * text + i) % 27).collect())
        .collect();
    let targets = Targets::new(LABELS, (0..16 * LABELS).map(|i| (i % 2) as u8).collect());
    let examples = Examples { input_ids: texts, targets, soft_targets: None };
    let rows: Vec<usize> = (0..16).collect();
    let mut config = config();
    config.num_hidden_layers = 12;
    (config.position_buckets, config.max_relative_positions) = (Some(256), 512);
    let steps = |epochs| {
        let hyperparameters = Hyperparameters { epochs, batch_size: 16, ..HYPERPARAMETERS };
        let compute = Compute { precision: Precision::Bf16, ..F32 };
        let train = || train_model(&config, &examples, &rows, &[], &hyperparameters, &compute);
        emulate(|| launches_by_name(train)).1
    };
    // What precedes the first step is in both counts.
    let (one, two) = (steps(1), steps(2));
    let step: Vec<(String, u64)> = two
        .into_iter()
        .map(|(name, count)| (name.clone(), count - one.get(&name).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let total = ("in all".to_owned(), step.iter().map(|(_, count)| count).sum());
    let listed = step.iter().chain([&total]).map(|(name, count)| format!("{count:3} {name}\n"));
    assert_eq!(listed.collect::<String>(), LAUNCHES);
}

/// Without dropout, whose masks are another part's, the parts of a batch sum up to the batch.
#[test]
fn a_batch_in_parts_gives_the_update_of_the_whole() {
    let (examples, rows) = (examples(8), [0, 1, 2, 3, 4, 5, 6, 7]);
    let mut config = config();
    config.hidden_dropout_prob = 0.0;
    config.attention_probs_dropout_prob = 0.0;
    let run = |grad_accumulation| {
        let hyperparameters = Hyperparameters { grad_accumulation, ..HYPERPARAMETERS };
        train_model(&config, &examples, &rows, &rows, &hyperparameters, &F32).0.weights
    };
    let whole = run(1);
    for parts in [2, 3, 4] {
        for (name, tensor) in run(parts) {
            let difference = (tensor - &whole[&name]).unwrap().abs().unwrap();
            let largest = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(largest < 2e-5, "{parts} parts, {name}: {largest}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_training_and_another_seed_another() {
    let examples = examples(24);
    let (train_rows, validation_rows): (Vec<usize>, Vec<usize>) =
        (0..24).partition(|row| row % 4 > 0);
    let run = |seed| {
        let hyperparameters = Hyperparameters { epochs: 2, seed, ..HYPERPARAMETERS };
        train(&examples, &train_rows, &validation_rows, &hyperparameters, &F32)
    };
    let (first, first_log) = run(42);
    let (second, second_log) = run(42);
    assert_eq!(first_log, second_log);
    assert_eq!(bits(&first.weights), bits(&second.weights));
    assert_ne!(first_log, run(43).1);
}

/// A validation text with every id there is makes the compact vocabulary the whole one.
#[test]
fn training_only_the_rows_in_use_equals_training_all_rows() {
    let mut examples = examples(16);
    examples.input_ids.push((0..VOCABULARY).collect());
    let targets = examples.targets.rows().flatten().copied().chain([1, 0, 1]).collect();
    examples.targets = Targets::new(LABELS, targets);
    let train_rows: Vec<usize> = (0..12).collect();
    let run = |validation_rows: &[usize]| {
        train(&examples, &train_rows, validation_rows, &HYPERPARAMETERS, &F32).0.weights
    };
    let (compact, whole) = (run(&[12, 13, 14]), run(&[12, 13, 16]));
    assert_eq!(bits(&compact), bits(&whole));
    let initial = initial_weights(&config(), 1);
    assert_ne!(bits(&compact)[WORD_EMBEDDINGS], bits(&initial)[WORD_EMBEDDINGS]);
}

#[test]
fn a_diverging_training_says_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let [checkpoint, metrics] = ["checkpoint", "metrics.jsonl"].map(|f| folder.path().join(f));
    let (examples, rows) = (examples(8), [0, 1, 2, 3]);
    let files = self::files(&checkpoint, &metrics);
    let hyperparameters = Hyperparameters { epochs: 40, learning_rate: 1e30, ..HYPERPARAMETERS };
    let context = context(3, &examples, &rows, &hyperparameters);
    let mut progress = Progress::quiet();
    let trained = fine_tuning::train(
        &config(),
        initial_weights(&config(), 1),
        context,
        &files,
        &mut progress,
    );
    let message = trained.err().unwrap().to_string();
    assert!(message.contains("fold 3 diverged at step "), "{message}");
}

/// The probability of the logit 30 rounds to 1 in f32, so a loss computed from it would be infinite.
#[test]
fn a_confident_mistake_in_validation_costs_its_logit() {
    let folder = tempfile::tempdir().unwrap();
    let [checkpoint, metrics] = ["checkpoint", "metrics.jsonl"].map(|f| folder.path().join(f));
    let mut weights = initial_weights(&config(), 1);
    for (name, value) in [("classifier.weight", 0.0), ("classifier.bias", 30f32)] {
        let shape = weights[name].shape().clone();
        weights.insert(name.to_owned(), Tensor::full(value, shape, &Device::Cpu).unwrap());
    }
    let (examples, rows) = (examples(8), [0, 1, 2, 3, 4, 5, 6, 7]);
    let files = self::files(&checkpoint, &metrics);
    let hyperparameters = Hyperparameters { learning_rate: 0.0, ..HYPERPARAMETERS };
    let context = context(0, &examples, &rows, &hyperparameters);
    fine_tuning::train(&config(), weights, context, &files, &mut Progress::quiet()).unwrap();

    let mistakes = examples.targets.rows().flatten().filter(|&&on| on == 0).count() as f32;
    assert!(mistakes > 0.0);
    let expected = 30.0 * mistakes / (8 * LABELS) as f32;
    let found = read_epochs(&metrics).unwrap()[0].validation.unwrap().loss;
    assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
}

#[test]
fn without_held_out_rows_the_last_epoch_is_kept() {
    let examples = examples(8);
    let rows: Vec<usize> = (0..8).collect();
    let hyperparameters = Hyperparameters { epochs: 3, ..HYPERPARAMETERS };
    let (trained, log) = train(&examples, &rows, &[], &hyperparameters, &F32);
    assert_eq!(trained.best, EpochRecord { epoch: 3, step: 6, validation: None });
    assert!(log.ends_with("{\"epoch\":3,\"step\":6}\n"), "{log}");
}
