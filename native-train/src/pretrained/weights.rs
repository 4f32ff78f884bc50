//! The weight files of a folder: which there are, what tensors they list, and one tensor's numbers at a time.
//!
//! Tensors are decoded piece by piece straight into f32, so loading never holds a file and its tensors together.
//! The listings are `safetensors_file`'s and `pickle`'s.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{pickle, safetensors_file};
use crate::error::UserError;

/// What a folder's weights may be called, best first. An index names the files it is spread over.
pub(super) const WEIGHT_FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Bytes decoded at a time; a multiple of every encoding's width.
const PIECE: usize = 1 << 16;

/// The tensors of one checkpoint.
#[derive(Debug)]
pub(super) struct WeightFiles {
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, (usize, Stored)>,
}

/// One tensor as it lies in its file.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub shape: Vec<usize>,
    pub encoding: Encoding,
    pub place: Place,
}

/// How a number is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Encoding {
    F32,
    F16,
    Bf16,
    /// One that is no parameter's: matters only if the model asks for the tensor.
    Unusable(String),
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// From this byte of the file.
    At(u64),
    /// In this entry of a zip archive, after so many bytes of it.
    ZipEntry { name: String, skip: u64 },
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Lists the tensors of the folder's weights.
    pub fn open(folder: &Path) -> Result<Self> {
        let Some(name) = WEIGHT_FILES.into_iter().find(|name| folder.join(name).exists()) else {
            return Err(UserError::new(format!(
                "no weights in `{}` (looked for {})",
                folder.display(),
                WEIGHT_FILES.join(", ")
            ))
            .into());
        };
        Self::of(folder.join(name))
    }

    /// Lists the tensors of a weights file, or of the files that an index names.
    pub fn of(path: PathBuf) -> Result<Self> {
        let mut weights = Self { files: Vec::new(), tensors: BTreeMap::new() };
        if path.to_string_lossy().ends_with(".index.json") {
            weights.add_shards(&path)?;
        } else {
            weights.add(path, |_| true)?;
        }
        Ok(weights)
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

    /// How the numbers of a listed tensor are written.
    pub fn encoding(&self, name: &str) -> &Encoding {
        &self.tensors[name].1.encoding
    }

    /// The numbers of a listed tensor, row by row.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        self.read_rows(name, 0..self.shape(name).first().copied().unwrap_or(1))
    }

    /// Some rows of a listed tensor. In an archive that costs the reading of the rows before them.
    pub fn read_rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let (file, stored) = &self.tensors[name];
        let path = &self.files[*file];
        if let Encoding::Unusable(kind) = &stored.encoding {
            return Err(UserError::new(format!(
                "`{}`: tensor `{name}` is stored as {kind}; f32, f16 and bf16 can be read",
                path.display()
            ))
            .into());
        }
        let values = stored
            .read(path, rows)
            .map_err(|error| broken(path, &format!("tensor `{name}`: {error}")))?;
        if !values.iter().all(|value| value.is_finite()) {
            let what = format!("tensor `{name}` holds values that are infinite or not a number");
            return Err(broken(path, &what));
        }
        Ok(values)
    }

    fn add_shards(&mut self, index: &Path) -> Result<()> {
        let weight_map = read_index(index)?;
        for shard in shards(&weight_map) {
            let path = index.with_file_name(shard);
            if !path.exists() {
                let what = format!("it names `{shard}`, which is not in the folder");
                return Err(broken(index, &what));
            }
            self.add(path, |name| weight_map.get(name).is_some_and(|file| file == shard))?;
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let listed = if path.extension().is_some_and(|extension| extension == "safetensors") {
            safetensors_file::list(&path)?
        } else {
            pickle::list(&path)?
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

/// The error that a file is not what its name says.
pub(super) fn broken(path: &Path, what: &str) -> anyhow::Error {
    if is_lfs_pointer(path) {
        return UserError::new(format!(
            "`{}` is a Git LFS pointer, not the file itself",
            path.display()
        ))
        .hint("run `git lfs pull` in the folder, or download the file from the hub's page")
        .into();
    }
    UserError::new(format!("`{}` is truncated or damaged: {what}", path.display()))
        .hint("copy or download the file again")
        .into()
}

fn is_lfs_pointer(path: &Path) -> bool {
    const START: &[u8] = b"version https://git-lfs";
    let mut start = [0; START.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == START
}

fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| broken(path, &error.to_string()))?;
    // The names come from whoever made the file: none may lead out of the folder.
    let outside = |file: &&String| Path::new(file).file_name() != Some(file.as_ref());
    match index.weight_map.values().find(outside) {
        Some(file) => Err(broken(path, &format!("`{file}` is not the name of a file beside it"))),
        None => Ok(index.weight_map),
    }
}

fn shards(weight_map: &BTreeMap<String, String>) -> std::collections::BTreeSet<&str> {
    weight_map.values().map(String::as_str).collect()
}

impl Stored {
    fn read(&self, path: &Path, rows: Range<usize>) -> io::Result<Vec<f32>> {
        let number_bytes = if self.encoding == Encoding::F32 { 4 } else { 2 };
        let width: usize = self.shape.iter().skip(1).product();
        let before = (rows.start * width * number_bytes) as u64;
        let count = rows.len() * width;
        let mut file = File::open(path)?;
        match &self.place {
            Place::At(offset) => {
                file.seek(SeekFrom::Start(*offset + before))?;
                self.decode(&mut file, number_bytes, count)
            }
            Place::ZipEntry { name, skip } => {
                let mut archive = zip::ZipArchive::new(io::BufReader::new(file))?;
                let mut entry = archive.by_name(name)?;
                io::copy(&mut entry.by_ref().take(*skip + before), &mut io::sink())?;
                let values = self.decode(&mut entry, number_bytes, count)?;
                // The checksum is compared at the entry's end only.
                io::copy(&mut entry, &mut io::sink())?;
                Ok(values)
            }
        }
    }

    fn decode(
        &self,
        reader: &mut impl Read,
        number_bytes: usize,
        count: usize,
    ) -> io::Result<Vec<f32>> {
        let mut values = Vec::with_capacity(count);
        let mut piece = vec![0; PIECE.min(count * number_bytes)];
        while values.len() < count {
            let bytes = &mut piece[..PIECE.min((count - values.len()) * number_bytes)];
            reader.read_exact(bytes)?;
            match self.encoding {
                Encoding::F32 => values.extend(numbers(bytes, f32::from_le_bytes)),
                Encoding::F16 => {
                    values.extend(numbers(bytes, |b| half::f16::from_le_bytes(b).to_f32()));
                }
                Encoding::Bf16 => {
                    values.extend(numbers(bytes, |b| half::bf16::from_le_bytes(b).to_f32()));
                }
                Encoding::Unusable(_) => unreachable!("refused before it is read"),
            }
        }
        Ok(values)
    }
}

fn numbers<const WIDTH: usize>(
    bytes: &[u8],
    decode: impl Fn([u8; WIDTH]) -> f32,
) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(move |&number| decode(number))
}
