//! Makes the tensors of the classifier from those of a pretrained model: matched by name, checked by shape,
//! the rest initialised.
//!
//! Models differ in what they hold beside the backbone (language-model heads, another task's
//! classifier) and in their names for it; the report says what was done about each difference:
//!
//! | in the files | what is done |
//! |---|---|
//! | f64, f32, f16, bf16 | read, f64 rounded to f32; other formats are refused, if the model needs the tensor |
//! | names with `module.`, `model.`, `_orig_mod.` or another prefix of all of a model's names | read without it, which is said |
//! | names without `deberta.`; a LayerNorm's `gamma` and `beta` | read |
//! | no head, or a classifier for another number of labels | made from the seed, which is said |
//! | fewer word embeddings than the tokenizer has ids, because tokens were added | new rows at the mean of the others, which is said |
//! | other tensors | not used, which is said |
//! | a tensor of the backbone missing, of another shape, or not finite | refused |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use candle_core::{Device, Tensor};
use shared::model::{DebertaConfig, WORD_EMBEDDINGS};

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
    /// Rows of the word embeddings that were made for added tokens.
    pub new_rows: usize,
    /// Notes on how the files were read: prefixes that were removed, the entry of a checkpoint.
    pub notes: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Resized {
    pub name: String,
    pub stored: Vec<usize>,
    pub needed: Vec<usize>,
}

/// The model to load: `config` has `new_rows` word embeddings more than the files.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub config: &'a DebertaConfig,
    pub new_rows: usize,
    pub num_labels: usize,
}

pub(super) fn load(wanted: Wanted, weights: Option<&WeightFiles>, seed: u64) -> Result<Loaded> {
    let Wanted { config, new_rows, num_labels } = wanted;
    let shapes = config.tensor_shapes(num_labels);
    let (report, stored_names) = plan_from(weights, &wanted.stored_shapes(), new_rows)?;
    let mut tensors = BTreeMap::new();
    for (name, shape) in &shapes {
        let values = match (weights, stored_names.get(name.as_str())) {
            (Some(weights), Some(stored)) => {
                let mut values = weights.read(stored)?;
                if name == WORD_EMBEDDINGS {
                    init::extend_rows(&mut values, shape, seed);
                }
                values
            }
            _ => init::values(name, shape, config, seed),
        };
        let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?;
        tensors.insert(name.clone(), tensor);
    }
    Ok(Loaded { tensors, report })
}

pub(super) fn report(wanted: Wanted, weights: Option<&WeightFiles>) -> Result<LoadReport> {
    Ok(plan_from(weights, &wanted.stored_shapes(), wanted.new_rows)?.0)
}

/// Reads every tensor that [`load`] would read, one after another, so that what it would refuse is refused.
pub(super) fn check(wanted: Wanted, weights: Option<&WeightFiles>) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    let (_, stored_names) = plan_from(Some(weights), &wanted.stored_shapes(), wanted.new_rows)?;
    for stored in stored_names.values() {
        weights.read(stored)?;
    }
    Ok(())
}

impl Wanted<'_> {
    /// The shapes that the files should have.
    fn stored_shapes(self) -> BTreeMap<String, Vec<usize>> {
        let mut shapes = self.config.tensor_shapes(self.num_labels);
        if let Some(words) = shapes.get_mut(WORD_EMBEDDINGS) {
            words[0] -= self.new_rows;
        }
        shapes
    }
}

fn plan_from<'a>(
    weights: Option<&'a WeightFiles>,
    shapes: &BTreeMap<String, Vec<usize>>,
    new_rows: usize,
) -> Result<(LoadReport, BTreeMap<String, &'a str>)> {
    match weights {
        Some(weights) => {
            let (report, names) = plan(weights, shapes)?;
            Ok((LoadReport { new_rows, ..report }, names))
        }
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
    let mut report = LoadReport {
        files: file_names(weights),
        notes: weights.notes().to_vec(),
        ..LoadReport::default()
    };
    let mut stored_names = BTreeMap::new();
    for stored in weights.names().filter(|name| !name.ends_with("position_ids")) {
        match known_name(&weights.plain_name(stored), shapes) {
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
        if !is_classifier(name) || stored_shape == shape {
            weights.check_format(stored)?;
        }
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
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        if self.new_rows > 0 {
            let rows = shared::words::counted(self.new_rows, "new word embedding");
            write!(f, "\n{rows} at the mean of the others, for tokens that the tokenizer adds")?;
        }
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
