//! The model against a tiny DeBERTa-v3 computed by Hugging Face transformers and PyTorch in f32:
//! forward, every gradient, five AdamW steps; and against candle-transformers' forward.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use shared::autograd::{ParameterGradients, Tape};
use shared::batch::Batch;
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::optimizer::{AdamW, ParamGroup};
use shared::kernels::{Target, WriteMode};
use shared::model::{Classifier, DebertaConfig};
use shared::nn::Weights;

use common::{Tensors, largest, loss_and_gradients, pack, read_tensors, relative_error, to_vec};

/// Returns the reference's folder, or `None` with a message on stderr if it is missing.
fn fixture() -> Option<PathBuf> {
    let shared = std::env::var_os("QUINTET_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("fixtures/tiny-deberta-v3");
    if !folder.is_dir() {
        eprintln!("skipped: no reference at {}", folder.display());
        return None;
    }
    Some(folder)
}

struct Reference {
    folder: PathBuf,
    config: DebertaConfig,
    weights: Tensors,
    expected: Tensors,
    labels: Vec<f32>,
    batch: Batch,
}

impl Reference {
    fn load() -> Option<Self> {
        let folder = fixture()?;
        let json = std::fs::read(folder.join("config.json")).unwrap();
        let expected = read_tensors(&folder.join("expected.safetensors"));
        Some(Self {
            config: DebertaConfig::from_json(&json).unwrap(),
            weights: read_tensors(&folder.join("model.safetensors")),
            labels: to_vec(&expected["labels"]),
            batch: pack(&expected["input_ids"], &expected["attention_mask"]),
            expected,
            folder,
        })
    }

    fn classifier(&self) -> Classifier {
        common::classifier(&self.config, 5, &self.weights)
    }

    fn tensors(&self, name: &str) -> Tensors {
        read_tensors(&self.folder.join(name))
    }

    fn loss_and_gradients(&self, classifier: &Classifier) -> (f32, ParameterGradients) {
        loss_and_gradients(classifier, &self.batch, &self.labels)
    }
}

#[test]
fn logits_equal_the_references() {
    let Some(reference) = Reference::load() else { return };
    let classifier = reference.classifier();
    let trained = classifier.forward(&reference.batch, Some(&Tape::new(1))).unwrap();
    let frozen = classifier.freeze().unwrap().logits(&reference.batch).unwrap();
    let expected = &reference.expected["logits"];
    for logits in [trained.tensor(), &frozen] {
        let error = relative_error(logits, expected);
        assert!(error < 2e-6, "relative error of the logits: {error}");
    }
}

#[test]
fn loss_and_all_gradients_equal_the_references() {
    let Some(reference) = Reference::load() else { return };
    let (loss, gradients) = reference.loss_and_gradients(&reference.classifier());
    let expected_loss = reference.expected["loss"].to_vec1::<f32>().unwrap()[0];
    assert!((loss - expected_loss).abs() < 1e-6, "loss {loss}, expected {expected_loss}");

    let expected = reference.tensors("grads.safetensors");
    let found: Vec<&str> = gradients.iter().map(|(name, _)| name).collect();
    assert_eq!(found, expected.keys().map(String::as_str).collect::<Vec<_>>());
    let mut worst = (0.0, "");
    for (name, gradient) in gradients.iter() {
        let error = relative_error(gradient, &expected[name]);
        // The key bias shifts all scores of a query alike, so its exact gradient through content and
        // position keys is near zero and the rest of it is rounding: hence 1e-5.
        assert!(error < 1e-5, "{name}: relative error {error}");
        if error > worst.0 {
            worst = (error, name);
        }
    }
    println!("worst relative error of {} gradients: {} in {}", expected.len(), worst.0, worst.1);
}

/// Half precision rounds operands and results of products, some thirty of them one after another.
#[test]
fn half_precision_stays_near_the_reference() {
    let Some(reference) = Reference::load() else { return };
    let expected = reference.tensors("grads.safetensors");
    let length = |tensor: &Tensor| {
        let squares = to_vec(tensor).into_iter().map(|x| f64::from(x).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let steepest = expected.values().map(length).fold(0.0, f64::max);
    for (format, tolerance) in [(DType::BF16, 0.1), (DType::F16, 0.0125)] {
        let halves: Tensors = reference
            .weights
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.to_dtype(format).unwrap()))
            .collect();
        let mut config = reference.config.clone();
        config.hidden_dropout_prob = 0.0;
        config.attention_probs_dropout_prob = 0.0;
        let weights = Weights::new(&reference.weights).with_halves(&halves);
        let classifier = Classifier::new(&config, 5, &weights).unwrap();

        let trained = classifier.forward(&reference.batch, Some(&Tape::new(1))).unwrap();
        let frozen = classifier.freeze().unwrap().logits(&reference.batch).unwrap();
        for logits in [trained.tensor(), &frozen] {
            assert_eq!(logits.dtype(), DType::F32, "the last product is not rounded");
            let error = relative_error(logits, &reference.expected["logits"]);
            assert!(error < tolerance as f32, "{format:?}: relative error of the logits: {error}");
            assert!(error > 1e-6, "{format:?}: nothing was rounded");
        }
        let (_, gradients) = reference.loss_and_gradients(&classifier);
        let mut worst = (0.0, "");
        for (name, gradient) in gradients.iter() {
            assert_eq!(gradient.dtype(), DType::F32);
            // Small gradients are small differences of large terms, rounded as those are; that of a
            // key's bias, most of which cancels out, is the worst.
            let scale = length(&expected[name]).max(1e-2 * steepest);
            let error = length(&(gradient - &expected[name]).unwrap()) / scale;
            worst = if error > worst.0 { (error, name) } else { worst };
        }
        println!("{format:?}: worst relative error of a gradient: {worst:?}");
        assert!(worst.0 < tolerance, "{format:?}: {worst:?}");
    }
}

#[test]
fn five_adamw_steps_equal_the_references() {
    let Some(reference) = Reference::load() else { return };
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(reference.folder.join("meta.json")).unwrap())
            .unwrap();
    let classifier = reference.classifier();
    let zeros = |n: usize| Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
    let moments: BTreeMap<&str, [Tensor; 2]> = reference
        .weights
        .iter()
        .map(|(name, tensor)| (&**name, [(); 2].map(|()| zeros(tensor.elem_count()))))
        .collect();
    let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
    for (step, log) in (1..).zip(meta["adamw_log"].as_array().unwrap()) {
        let (loss, gradients) = reference.loss_and_gradients(&classifier);
        let flat = |(_, gradient): (&str, &Tensor)| gradient.flatten_all().unwrap();
        let all = Tensor::cat(&gradients.iter().map(flat).collect::<Vec<_>>(), 0).unwrap();
        let norm = Target { tensor: zeros(1), write: WriteMode::Replace };
        scaler.unscale_and_clip(&all, 1.0, &norm).unwrap();
        let norm = norm.tensor.to_vec1::<f32>().unwrap()[0];
        for (found, key) in [(loss, "loss"), (norm, "grad_norm")] {
            let (found, expected) = (f64::from(found), log[key].as_f64().unwrap());
            assert!((found / expected - 1.0).abs() < 2e-6, "step {step} {key}: {found} {expected}");
        }
        for (name, gradient) in gradients.iter() {
            let decays = !name.contains("bias") && !name.contains("LayerNorm.weight");
            let adamw = AdamW {
                lr: log["lr"].as_f64().unwrap(),
                weight_decay: if decays { 0.01 } else { 0.0 },
            };
            let [exp_avg, exp_avg_sq] = moments[name].clone();
            let group = ParamGroup {
                weights: reference.weights[name].flatten_all().unwrap(),
                half: None,
                gradients: gradient.flatten_all().unwrap(),
                exp_avg,
                exp_avg_sq,
            };
            adamw.step(&group, &scaler).unwrap();
        }
    }
    let expected = reference.tensors("after5_adamw.safetensors");
    assert_eq!(expected.len(), reference.weights.len());
    let mut worst = 0f32;
    for (name, expected) in &expected {
        let error = largest(&(&reference.weights[name] - expected).unwrap());
        assert!(error < 1e-6, "{name}: {error}");
        worst = worst.max(error);
    }
    println!("largest difference of a weight after five steps: {worst}");
}

#[test]
fn forward_equals_candle_transformers() {
    use candle_transformers::models::debertav2;

    let Some(reference) = Reference::load() else { return };
    let json = std::fs::read(reference.folder.join("config.json")).unwrap();
    let config: debertav2::Config = serde_json::from_slice(&json).unwrap();
    let weights = reference.weights.clone().into_iter().collect();
    let builder = candle_nn::VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
    let builder = builder.set_prefix("deberta");
    let model = debertav2::DebertaV2SeqClassificationModel::load(builder, &config, None).unwrap();

    let ids = &reference.expected["input_ids"];
    let mask = reference.expected["attention_mask"].to_dtype(DType::U32).unwrap();
    let types = ids.zeros_like().unwrap();
    let theirs = model.forward(ids, Some(types), Some(mask)).unwrap();
    let ours = reference.classifier().freeze().unwrap().logits(&reference.batch).unwrap();
    let error = relative_error(&ours, &theirs);
    assert!(error < 5e-6, "relative error of the logits: {error}");
}

#[test]
fn a_texts_logits_do_not_depend_on_its_neighbours() {
    let Some(reference) = Reference::load() else { return };
    let classifier = reference.classifier().freeze().unwrap();
    let together = classifier.logits(&reference.batch).unwrap();
    for (text, bounds) in reference.batch.cumulative_seq_lengths().windows(2).enumerate() {
        let alone = Batch::pack([&reference.batch.input_ids()[bounds[0]..bounds[1]]]);
        let alone = classifier.logits(&alone).unwrap();
        // Not bit-equal, as a product of another height is divided into other blocks.
        let error = relative_error(&alone, &together.narrow(0, text, 1).unwrap());
        assert!(error < 2e-6, "text {text}: {error}");
    }
}
