//! Helpers of the tests against PyTorch's numbers.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use shared::autograd::{ParameterGradients, Tape};
use shared::batch::Batch;
use shared::kernels::cross_entropy::bce_with_logits_backward;
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::{Target, WriteMode};
use shared::model::{Classifier, DebertaConfig};
use shared::nn::Weights;

pub type Tensors = BTreeMap<String, Tensor>;

pub fn read_tensors(path: &Path) -> Tensors {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

pub fn to_vec(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Packs padded texts [text, token] without their padding.
pub fn pack(input_ids: &Tensor, attention_mask: &Tensor) -> Batch {
    let rows = |tensor: &Tensor| tensor.to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let texts: Vec<Vec<u32>> = rows(input_ids)
        .iter()
        .zip(rows(attention_mask))
        .map(|(ids, mask)| {
            ids.iter().zip(mask).filter(|(_, m)| *m == 1).map(|(&id, _)| id).collect()
        })
        .collect();
    Batch::pack(texts.iter().map(Vec::as_slice))
}

/// The references were computed without dropout, which a tape would apply.
pub fn classifier(config: &DebertaConfig, labels: usize, weights: &Tensors) -> Classifier {
    let mut config = config.clone();
    config.hidden_dropout_prob = 0.0;
    config.attention_probs_dropout_prob = 0.0;
    Classifier::new(&config, labels, &Weights::new(weights)).unwrap()
}

/// One forward and backward pass.
pub fn loss_and_gradients(
    classifier: &Classifier,
    batch: &Batch,
    labels: &[f32],
) -> (f32, ParameterGradients) {
    let tape = Tape::new(1);
    let logits = classifier.forward(batch, Some(&tape)).unwrap();
    let targets = Tensor::from_slice(labels, logits.tensor().shape(), &Device::Cpu).unwrap();
    let loss = Target {
        tensor: Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
        write: WriteMode::Replace,
    };
    let scaler = GradScaler::disabled(&Device::Cpu).unwrap();
    let logits_grad =
        bce_with_logits_backward(logits.tensor(), &targets, labels.len(), &scaler, &loss).unwrap();
    let mut gradients = ParameterGradients::default();
    tape.backward(&logits, logits_grad, &mut gradients).unwrap();
    (loss.tensor.to_vec1::<f32>().unwrap()[0], gradients)
}

pub fn largest(tensor: &Tensor) -> f32 {
    to_vec(tensor).into_iter().map(f32::abs).fold(0.0, f32::max)
}

/// The largest difference, relative to the largest expected magnitude.
pub fn relative_error(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    largest(&(found - expected).unwrap()) / largest(expected).max(f32::MIN_POSITIVE)
}
