//! A classifier of a run's own tensors, in the form in which a loaded fold keeps them: without shards in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::encoding::{Encoding, Residency};
use super::sink::flat;
use crate::Result;
use crate::model::{Classifier, DebertaConfig, FrozenClassifier};
use crate::nn::{Prepared, QuantizedEmbedding, Weights};
use crate::quant::{Format, QuantizedMatrix, Segment};

/// Makes a classifier for inference on the CPU. With `f32` every number is the tensor's own; another encoding rounds what a
/// bundle of it rounds. A matrix with outliers is judged by itself, where a bundle judges those of all folds together.
///
/// # Errors
/// If a tensor is missing, has another shape than `config` asks for, or holds a number that is not finite.
///
/// # Panics
/// If the encoding has deltas, which are differences from other folds.
pub fn resident_classifier(
    config: &DebertaConfig,
    labels: usize,
    tensors: BTreeMap<String, Tensor>,
    encoding: Encoding,
) -> Result<FrozenClassifier> {
    assert!(!encoding.has_deltas(), "one model has no deltas");
    let (mut dense, mut prepared) = (BTreeMap::new(), Prepared::default());
    for (name, tensor) in tensors {
        let shape = tensor.dims().to_vec();
        if shape.len() != 2 {
            dense.insert(name, tensor);
            continue;
        }
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let [rows, width] = flat(&shape);
        let values = [values];
        let format = encoding.format_for(&name, &shape, &values);
        let [values] = values;
        let encode = || QuantizedMatrix::encode(format, &values, width);
        match encoding.residency(&name, &shape, format) {
            Residency::Dense if format == Format::F32 => {
                dense.insert(name, tensor);
            }
            Residency::Dense => {
                let tensor = Tensor::from_vec(encode()?.decode(), shape, &Device::Cpu)?;
                dense.insert(name, tensor);
            }
            Residency::Rows => {
                let segment = Segment { rows: encode()?.into(), deltas: None };
                let table = QuantizedEmbedding::new(segment, rows);
                prepared.embeddings.insert(name, Arc::new(table));
            }
            Residency::Packed(_) => {
                prepared.linear.insert(name, encode()?.pack().into());
            }
        }
    }
    let weights = Weights::with_prepared(&dense, &prepared);
    Classifier::new(config, labels, &weights)?.freeze()
}
