//! The weight files of a folder: which there are, which tensors they hold, and their values.
//!
//! The headers of the two file formats are read in `safetensors_file` and `pickle`.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::foreign;
use super::layout::{SMALL, WEIGHT_FILES};
use super::prefix::Prefix;
use super::stored::{Location, NumberFormat, Stored, damaged};
use super::{pickle, safetensors_file};
use crate::error::UserError;

/// The tensors of one checkpoint.
#[derive(Debug)]
pub(super) struct WeightFiles {
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, (usize, Stored)>,
    prefix: Prefix,
    /// Notes for the user on how the files were read.
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Lists the tensors of the folder's weights.
    pub fn open(folder: &Path) -> Result<Self> {
        let Some(name) = WEIGHT_FILES.into_iter().find(|name| folder.join(name).exists()) else {
            if let Some(foreign) = foreign::in_folder(folder) {
                return Err(foreign.into());
            }
            return Err(UserError::new(format!(
                "no weights in `{}` (looked for {})",
                folder.display(),
                WEIGHT_FILES.join(", ")
            ))
            .hint("pass a folder that holds one of these files")
            .into());
        };
        Self::of(folder.join(name))
    }

    /// Lists the tensors of a weights file, or of the files that an index names.
    pub fn of(path: PathBuf) -> Result<Self> {
        let mut weights = Self {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            prefix: Prefix::default(),
            notes: Vec::new(),
        };
        if path.to_string_lossy().ends_with(".index.json") {
            weights.add_shards(&path)?;
        } else {
            weights.add(path, |_| true)?;
        }
        weights.find_prefix()?;
        Ok(weights)
    }

    /// The tensors of a model that is no file.
    pub fn in_memory(tensors: BTreeMap<String, Stored>) -> Self {
        Self {
            files: vec![PathBuf::from(SMALL)],
            tensors: tensors.into_iter().map(|(name, stored)| (name, (0, stored))).collect(),
            prefix: Prefix::default(),
            notes: Vec::new(),
        }
    }

    /// Whether the tensors are within this program.
    pub fn is_in_memory(&self) -> bool {
        let mut locations = self.tensors.values().map(|(_, stored)| &stored.location);
        locations.any(|location| matches!(location, Location::Memory(_)))
    }

    fn find_prefix(&mut self) -> Result<()> {
        let prefix = Prefix::of(self.names()).map_err(|several| {
            let path =
                self.files.first().map(|path| path.display().to_string()).unwrap_or_default();
            let several = several.join("`, `");
            UserError::new(format!(
                "`{path}` holds several models, whose names begin with `{several}`"
            ))
            .hint("load it in PyTorch and save the tensors of the one to use")
        })?;
        if let Some(removed) = prefix.removed(self.names()) {
            self.notes.push(format!("the tensors' names were read without {removed}"));
        }
        self.prefix = prefix;
        Ok(())
    }

    /// The name of a listed tensor without what training programs put before it.
    pub fn plain_name(&self, name: &str) -> String {
        self.prefix.strip(name)
    }

    /// Notes for the user on how the files were read.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].1.shape
    }

    /// The number format of a listed tensor.
    pub fn format(&self, name: &str) -> &NumberFormat {
        &self.tensors[name].1.format
    }

    /// # Errors
    /// If a listed tensor's numbers are of a format that cannot be read.
    pub fn check_format(&self, name: &str) -> Result<(), UserError> {
        let (file, stored) = &self.tensors[name];
        let NumberFormat::Unusable(format) = &stored.format else { return Ok(()) };
        Err(UserError::new(format!(
            "`{}`: tensor `{name}` is stored as {format}; f64, f32, f16 and bf16 can be read",
            self.files[*file].display()
        ))
        .hint("convert the weights to one of these formats"))
    }

    /// The values of a listed tensor, row by row.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        self.read_rows(name, 0..self.shape(name).first().copied().unwrap_or(1))
    }

    /// Some rows of a listed tensor. In a zip archive the rows before them are read as well, and of a view all.
    pub fn read_rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        self.check_format(name)?;
        let (file, stored) = &self.tensors[name];
        let path = &self.files[*file];
        let values = stored
            .read(path, rows)
            .map_err(|error| damaged(path, &format!("tensor `{name}`: {error}")))?;
        if !values.iter().all(|value| value.is_finite()) {
            let what = format!("tensor `{name}` holds values that are infinite or not a number");
            return Err(damaged(path, &what));
        }
        Ok(values)
    }

    fn add_shards(&mut self, index: &Path) -> Result<()> {
        let weight_map = read_index(index)?;
        for shard in shards(&weight_map) {
            let path = index.with_file_name(shard);
            if !path.exists() {
                let what = format!("it names `{shard}`, which is not in the folder");
                return Err(damaged(index, &what));
            }
            self.add(path, |name| weight_map.get(name).is_some_and(|file| file == shard))?;
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let listed = if path.extension().is_some_and(|extension| extension == "safetensors") {
            safetensors_file::list(&path)?
        } else {
            let listed = pickle::list(&path)?;
            if !listed.entries.is_empty() {
                let (name, entries) =
                    (path.file_name().unwrap_or_default(), listed.entries.join("`, there `"));
                let name = name.to_string_lossy();
                self.notes.push(format!("the tensors of `{name}` come from its entry `{entries}`"));
            }
            listed.tensors
        };
        let file = self.files.len();
        let listed = listed.into_iter().filter(|(name, _)| wanted(name));
        self.tensors.extend(listed.map(|(name, stored)| (name, (file, stored))));
        self.files.push(path);
        Ok(())
    }
}

/// The files that an index names, each once, in order.
pub(super) fn shard_names(index: &Path) -> Result<Vec<String>> {
    Ok(shards(&read_index(index)?).into_iter().map(str::to_owned).collect())
}

fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| damaged(path, &error.to_string()))?;
    // The names come from a stranger's file: none may lead out of the folder.
    let outside = |file: &&String| Path::new(file).file_name() != Some(file.as_ref());
    match index.weight_map.values().find(outside) {
        Some(file) => Err(damaged(path, &format!("`{file}` is not the name of a file beside it"))),
        None => Ok(index.weight_map),
    }
}

fn shards(weight_map: &BTreeMap<String, String>) -> std::collections::BTreeSet<&str> {
    weight_map.values().map(String::as_str).collect()
}
