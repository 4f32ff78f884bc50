//! The built-in model `small`: a pretrained encoder within the program, so that no download is needed.
//!
//! Its weights are integers with a scale for each row. Where a training begins they are decoded to f32.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Tensor;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use shared::model::DebertaConfig;
use shared::quant::{Format, QuantizedMatrix, QuantizedRows};
use shared::tokenizer::{TokenizerFiles, Vocabulary};

use super::layout::CONFIG_FILE;
use super::stored::{Location, NumberFormat, Stored};
use super::weights::WeightFiles;
use crate::run::files::write_atomically;

/// The format of its matrices.
const MATRICES: Format = Format::Int8;

/// What is added to a matrix's name for its scales.
const SCALES: &str = ".scales";

const CONFIG: &[u8] = include_bytes!("../../small/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../small/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../small/model.safetensors");

/// The embedded weights, by which a changed program is noticed.
pub const BYTES: [&[u8]; 3] = [CONFIG, TOKENIZER, WEIGHTS];

/// The files of a model, as a folder would hold them.
pub(super) struct Parts {
    pub config: DebertaConfig,
    pub odd_labels: Vec<String>,
    pub tokenizer: TokenizerFiles,
    pub weights: WeightFiles,
}

/// The model as `--model small` finds it.
///
/// # Errors
/// If the program was built with files that are no such model.
pub(super) fn parts() -> Result<Parts> {
    let (config, odd_labels) = DebertaConfig::of_base_model(CONFIG)?;
    Ok(Parts {
        config,
        odd_labels,
        tokenizer: TokenizerFiles::alone(Vocabulary::Json(TOKENIZER.to_vec())),
        weights: WeightFiles::in_memory(unpack(WEIGHTS)?),
    })
}

/// Writes the files of the built-in model: config.json, tokenizer.json, and model.safetensors with integers.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write(
    config: &DebertaConfig,
    tokenizer: &[u8],
    tensors: &BTreeMap<String, Tensor>,
    output: &Path,
) -> Result<()> {
    fs::create_dir_all(output)
        .with_context(|| format!("cannot create the folder `{}`", output.display()))?;
    let mut stored: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, shape) in config.backbone_shapes() {
        let values: Vec<f32> = tensors[&name].flatten_all()?.to_vec1()?;
        match shape[..] {
            [rows, width] => {
                let matrix = QuantizedMatrix::encode(MATRICES, &values, width)?;
                let scales = (Dtype::F32, vec![rows], bytes_of(matrix.scales()));
                stored.insert(format!("{name}{SCALES}"), scales);
                stored.insert(name, (MATRICES.dtype(), shape, matrix.into_data()));
            }
            _ => drop(stored.insert(name, (Dtype::F32, shape, bytes_of(&values)))),
        }
    }
    let views: BTreeMap<&String, TensorView<'_>> = stored
        .iter()
        .map(|(name, (dtype, shape, bytes))| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<_>>()?;
    let weights = safetensors::serialize(views, None)?;
    let config = config.to_backbone_json();
    for (name, bytes) in [
        (CONFIG_FILE, config.as_bytes()),
        ("tokenizer.json", tokenizer),
        ("model.safetensors", &weights),
    ] {
        write_atomically(&output.join(name), |file| Ok(std::io::Write::write_all(file, bytes)?))?;
    }
    Ok(())
}

/// The tensors of packed weights.
pub(super) fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Stored>> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        if name.ends_with(SCALES) {
            continue;
        }
        let shape = view.shape().to_vec();
        let (format, scales) = match file.tensor(&format!("{name}{SCALES}")) {
            Ok(scales) => (MATRICES, floats_of(scales.data())),
            Err(_) => (Format::F32, Vec::new()),
        };
        let width = shape.iter().skip(1).product();
        let rows = QuantizedRows::new(format, width, view.data(), &scales);
        let mut matrix = QuantizedMatrix::unfilled(format, 0, width);
        matrix.push_rows(rows);
        let location = Location::Memory(Arc::new(matrix));
        tensors.insert(name, Stored { shape, strides: None, format: NumberFormat::F32, location });
    }
    Ok(tensors)
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats_of(bytes: &[u8]) -> Vec<f32> {
    let (floats, _) = bytes.as_chunks();
    floats.iter().map(|&float| f32::from_le_bytes(float)).collect()
}
