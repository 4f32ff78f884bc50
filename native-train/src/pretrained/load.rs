//! Makes the tensors of the classifier from those of a pretrained model: matched by name, checked by shape,
//! the rest initialised.
//!
//! Models differ in what they hold beside the backbone (language-model heads, another task's
//! classifier) and in their names for it; the report says what was done about each difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use candle_core::{Device, Tensor};
use shared::model::DebertaConfig;

use super::init;
use super::weights::WeightFiles;
use crate::error::UserError;

/// The tensors of a classifier.
#[derive(Debug)]
pub struct Loaded {
    /// The tensors by HF's names; f32, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
    pub report: LoadReport,
}

/// The origin of each tensor. Every list is in order of name.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// The weight files' names; none for `mini`.
    pub files: Vec<String>,
    pub found: Vec<String>,
    /// Absent from the files, and so initialised.
    pub initialised: Vec<String>,
    /// Tensors that the files have for another number of labels, and so were initialised.
    pub resized: Vec<Resized>,
    /// Tensors that the files have, by their names there, and the classifier has not.
    pub unexpected: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Resized {
    pub name: String,
    pub stored: Vec<usize>,
    pub needed: Vec<usize>,
}

pub(super) fn load(
    config: &DebertaConfig,
    weights: Option<&WeightFiles>,
    num_labels: usize,
    seed: u64,
) -> Result<Loaded> {
    let shapes = config.tensor_shapes(num_labels);
    let (report, stored_names) = plan_from(weights, &shapes)?;
    let mut tensors = BTreeMap::new();
    for (name, shape) in &shapes {
        let values = match (weights, stored_names.get(name.as_str())) {
            (Some(weights), Some(stored)) => weights.read(stored)?,
            _ => init::values(name, shape, config, seed),
        };
        let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?;
        tensors.insert(name.clone(), tensor);
    }
    Ok(Loaded { tensors, report })
}

pub(super) fn report(
    config: &DebertaConfig,
    weights: Option<&WeightFiles>,
    num_labels: usize,
) -> Result<LoadReport> {
    Ok(plan_from(weights, &config.tensor_shapes(num_labels))?.0)
}

fn plan_from<'a>(
    weights: Option<&'a WeightFiles>,
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<(LoadReport, BTreeMap<String, &'a str>)> {
    match weights {
        Some(weights) => plan(weights, shapes),
        None => Ok((all_new(shapes), BTreeMap::new())),
    }
}

fn all_new(shapes: &BTreeMap<String, Vec<usize>>) -> LoadReport {
    LoadReport { initialised: shapes.keys().cloned().collect(), ..LoadReport::default() }
}

/// Decides about each tensor before any is read. The map goes from the classifier's names to those in
/// the files.
fn plan<'a>(
    weights: &'a WeightFiles,
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<(LoadReport, BTreeMap<String, &'a str>)> {
    let mut report = LoadReport { files: file_names(weights), ..LoadReport::default() };
    let mut stored_names = BTreeMap::new();
    for stored in weights.names().filter(|name| !name.ends_with("position_ids")) {
        match known_name(stored, shapes) {
            Some(name) if !stored_names.contains_key(&name) => {
                stored_names.insert(name, stored);
            }
            _ => report.unexpected.push(stored.to_owned()),
        }
    }

    let (mut missing, mut misshaped) = (Vec::new(), Vec::new());
    for (name, shape) in shapes {
        let Some(stored) = stored_names.get(name) else {
            let list = if is_head(name) { &mut report.initialised } else { &mut missing };
            list.push(name.clone());
            continue;
        };
        let stored_shape = weights.shape(stored);
        if stored_shape == shape {
            report.found.push(name.clone());
        } else {
            let stored = stored_shape.to_vec();
            let resized = Resized { name: name.clone(), stored, needed: shape.clone() };
            let list = if is_classifier(name) { &mut report.resized } else { &mut misshaped };
            list.push(resized);
        }
    }
    refuse_missing(weights, &missing, report.found.len())?;
    refuse_misshaped(weights, &misshaped)?;

    let found: BTreeSet<&str> = report.found.iter().map(String::as_str).collect();
    stored_names.retain(|name, _| found.contains(name.as_str()));
    Ok((report, stored_names))
}

/// The classifier's name for a stored tensor.
///
/// Files of the bare backbone lack its prefix; files in TensorFlow's naming call a LayerNorm's weight and bias
/// gamma and beta.
fn known_name(stored: &str, shapes: &BTreeMap<String, Vec<usize>>) -> Option<String> {
    possible_names(stored).into_iter().find(|name| shapes.contains_key(name))
}

/// Whether a stored tensor may be the classifier's tensor `name`.
pub(super) fn is_named(stored: &str, name: &str) -> bool {
    possible_names(stored).iter().any(|possible| possible == name)
}

fn possible_names(stored: &str) -> [String; 2] {
    let modern = match stored.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => stored.to_owned(),
    };
    let prefixed = format!("deberta.{modern}");
    [modern, prefixed]
}

/// Whether fine-tuning usually has to initialise the tensor.
fn is_head(name: &str) -> bool {
    is_classifier(name) || name.starts_with("pooler.")
}

fn is_classifier(name: &str) -> bool {
    name.starts_with("classifier.")
}

fn refuse_missing(weights: &WeightFiles, missing: &[String], found: usize) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let files = file_names(weights).join(", ");
    let message = if found == 0 {
        let held: Vec<&str> = weights.names().take(3).collect();
        format!("`{files}` holds no tensor of this model (it begins with: {})", held.join(", "))
    } else {
        format!("`{files}` lacks {} of the model's tensors: {}", missing.len(), missing.join(", "))
    };
    Err(UserError::new(message).hint("check that config.json belongs to these weights").into())
}

fn refuse_misshaped(weights: &WeightFiles, misshaped: &[Resized]) -> Result<()> {
    if misshaped.is_empty() {
        return Ok(());
    }
    let files = file_names(weights).join(", ");
    let list: Vec<String> = misshaped.iter().map(ToString::to_string).collect();
    Err(UserError::new(format!("`{files}` does not fit the config: {}", list.join("; ")))
        .hint("check that config.json belongs to these weights")
        .into())
}

fn file_names(weights: &WeightFiles) -> Vec<String> {
    let name = |path: &std::path::PathBuf| {
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    weights.files().iter().map(name).collect()
}

impl LoadReport {
    /// Whether every tensor was loaded, as from a trained classifier.
    pub fn is_complete(&self) -> bool {
        self.initialised.is_empty() && self.resized.is_empty()
    }
}

impl fmt::Display for Resized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}, needed {:?}", self.name, self.stored, self.needed)
    }
}

/// A line for each list that is not empty.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            return write!(f, "{} tensors initialised, none loaded", self.initialised.len());
        }
        write!(f, "{} tensors loaded from {}", self.found.len(), self.files.join(", "))?;
        if !self.initialised.is_empty() {
            write!(f, "\ninitialised: {}", self.initialised.join(", "))?;
        }
        for resized in &self.resized {
            write!(f, "\ninitialised for another number of labels: {resized}")?;
        }
        if !self.unexpected.is_empty() {
            write!(f, "\nnot used: {}", self.unexpected.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
