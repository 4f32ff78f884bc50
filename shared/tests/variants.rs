//! The model in every shape a config can give it, against Hugging Face transformers and PyTorch in
//! f64 (`variants/README.md`): logits and all gradients.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use shared::autograd::Tape;
use shared::batch::Batch;
use shared::model::{Classifier, DebertaConfig};

use common::{
    Tensors, classifier, largest, loss_and_gradients, pack, read_tensors, relative_error, to_vec,
};

struct Variant {
    name: String,
    classifier: Classifier,
    batch: Batch,
    labels: Vec<f32>,
    /// The tensors `logits` and `gradients/TENSOR`.
    expected: Tensors,
}

fn variants() -> Vec<Variant> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/variants"));
    let tensors = read_tensors(&folder.join("reference.safetensors"));
    let configs = std::fs::read(folder.join("configs.json")).unwrap();
    let configs: BTreeMap<String, Value> = serde_json::from_slice(&configs).unwrap();
    assert!(!configs.is_empty());
    configs.into_iter().map(|(name, config)| Variant::new(name, &config, &tensors)).collect()
}

impl Variant {
    fn new(name: String, config: &Value, tensors: &Tensors) -> Self {
        let config = DebertaConfig::from_json(config.to_string().as_bytes()).unwrap();
        let labels = &tensors["labels"];
        let expected: Tensors = tensors
            .iter()
            .filter_map(|(key, tensor)| {
                let key = key.strip_prefix(&*name)?.strip_prefix('/')?;
                Some((key.to_owned(), tensor.clone()))
            })
            .collect();
        let num_labels = labels.dim(1).unwrap();
        let weights = config
            .tensor_shapes(num_labels)
            .into_keys()
            .map(|tensor| {
                let key = format!("weights/{tensor}");
                let weight = expected.get(&key).unwrap_or_else(|| &tensors[&key]);
                (tensor, weight.clone())
            })
            .collect();
        Self {
            classifier: classifier(&config, num_labels, &weights),
            batch: pack(&expected["input_ids"], &expected["attention_mask"]),
            labels: to_vec(labels),
            expected,
            name,
        }
    }

    fn expected_gradients(&self) -> impl Iterator<Item = (&str, &candle_core::Tensor)> {
        let gradient = |(key, tensor)| Some((str::strip_prefix(key, "gradients/")?, tensor));
        self.expected.iter().filter_map(move |(key, tensor)| gradient((key.as_str(), tensor)))
    }
}

#[test]
fn logits_equal_the_references() {
    let mut worst = (0.0, String::new());
    for variant in variants() {
        let trained = variant.classifier.forward(&variant.batch, Some(&Tape::new(1))).unwrap();
        let frozen = variant.classifier.freeze().unwrap().logits(&variant.batch).unwrap();
        for logits in [trained.tensor(), &frozen] {
            let error = relative_error(logits, &variant.expected["logits"]);
            // Some ten roundings of f32, each of 6e-8, on the way through two layers.
            assert!(error < 2e-6, "{}: relative error of the logits: {error}", variant.name);
            worst =
                std::cmp::max_by(worst, (error, variant.name.clone()), |a, b| a.0.total_cmp(&b.0));
        }
    }
    println!("worst relative error of the logits: {worst:?}");
}

#[test]
fn all_gradients_equal_the_references() {
    let mut worst = (0.0, String::new());
    for variant in variants() {
        let (_, gradients) =
            loss_and_gradients(&variant.classifier, &variant.batch, &variant.labels);
        let found: Vec<&str> = gradients.iter().map(|(name, _)| name).collect();
        let expected: Vec<&str> = variant.expected_gradients().map(|(name, _)| name).collect();
        assert_eq!(found, expected, "{}", variant.name);
        let steepest =
            variant.expected_gradients().map(|(_, gradient)| largest(gradient)).fold(0.0, f32::max);
        for (name, expected) in variant.expected_gradients() {
            let found = gradients.get(name).unwrap();
            let place = format!("{}: {name}", variant.name);
            // A shift of all scores of a query has no gradient but rounding.
            if largest(expected) < 1e-12 * steepest {
                let noise = largest(found) / steepest;
                assert!(noise < 1e-6, "{place}: {noise} of the largest gradient instead of none");
                continue;
            }
            let error = relative_error(found, expected);
            assert!(error < 1e-5, "{place}: relative error {error}");
            worst = std::cmp::max_by(worst, (error, place), |a, b| a.0.total_cmp(&b.0));
        }
    }
    println!("worst relative error of the gradients: {worst:?}");
}
