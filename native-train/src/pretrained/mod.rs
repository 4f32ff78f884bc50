//! Pretrained models: a local folder, a hub id, or the built-in `small` and `mini`.
//!
//! A [`Pretrained`] has a config, a tokenizer's file and, on demand, tensors by HF's names. Tokenizers and
//! models are made of them in `shared`.

mod foreign;
mod hub;
mod init;
pub mod layout;
mod listing;
mod load;
mod pickle;
mod prefix;
mod safetensors_file;
mod small;
mod state_dict;
mod stored;
mod tokenizer_files;
mod unpickle;
mod weights;

#[cfg(test)]
mod test_files;

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shared::model::DebertaConfig;
use shared::tokenizer::{TokenizerFiles, Vocabulary};

use crate::error::UserError;
use crate::progress::Downloads;
pub use foreign::by_content as foreign_file;
use layout::CONFIG_FILE;
pub use layout::SMALL;
pub use listing::Listing;
pub use load::{LoadReport, Loaded, Resized};
pub use tokenizer_files::{beside as tokenizer_files_beside, find as tokenizer_file};
use weights::WeightFiles;

/// The name of the small model that is trained from scratch; a folder of that name is `./mini`.
pub const MINI: &str = "mini";

/// The vocabulary that `mini`'s tokenizer aims at; where the texts give fewer pieces, set the config's
/// `vocab_size` to their number.
pub const MINI_VOCAB_SIZE: usize = 8000;

/// A model to fine-tune or to use.
#[derive(Debug)]
pub struct Pretrained {
    pub config: DebertaConfig,
    /// `None` for `mini`: it learns its own from the training texts.
    pub tokenizer: Option<TokenizerFiles>,
    /// The oddity of the labels in the config, which are then not used.
    pub odd_labels: Vec<String>,
    weights: Option<WeightFiles>,
    /// Word embeddings that the config has and the weights lack.
    new_rows: usize,
}

/// The origin that `--model` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Mini,
    Small,
    Folder(PathBuf),
    Hub { id: String, revision: String },
}

/// Finds `model`, and fetches from the hub the files that the cache lacks.
///
/// # Errors
/// If there is no such folder or repository, or it lacks a config, a tokenizer or weights that can be used.
pub fn resolve(model: &str, downloads: Downloads) -> Result<Pretrained> {
    match Source::parse(model)? {
        Source::Mini => Ok(Pretrained::mini()),
        Source::Small => Pretrained::small(),
        Source::Folder(folder) => Pretrained::from_folder(&folder),
        Source::Hub { id, revision } => {
            let folder = hub::Hub::from_env(downloads).fetch(&id, &revision)?;
            Pretrained::from_folder(&folder)
        }
    }
}

/// A model's name without the path to it, which is private.
pub fn public_name(model: &str) -> String {
    let is_folder = matches!(Source::parse(model), Ok(Source::Folder(_)));
    if !is_folder && !Path::new(model).is_absolute() {
        return model.to_owned();
    }
    let name = Path::new(model).file_name();
    name.map_or_else(|| "a local folder".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes the files of the built-in model `small` from a model's folder.
///
/// # Errors
/// If the folder holds no model with a tokenizer.json, or a file cannot be written.
pub fn pack(folder: &Path, output: &Path) -> Result<()> {
    let model = Pretrained::from_folder(folder)?;
    let Some(TokenizerFiles { vocabulary: Vocabulary::Json(tokenizer), .. }) = &model.tokenizer
    else {
        return Err(UserError::new(format!("no tokenizer.json in `{}`", folder.display())).into());
    };
    small::write(&model.config, tokenizer, &model.load(1, 0)?.tensors, output)
}

impl Source {
    /// Reads `mini` or `small`, else a folder that exists, else `owner/name` with or without `@revision`.
    ///
    /// # Errors
    /// If `model` is none of these.
    pub fn parse(model: &str) -> Result<Self> {
        let path = Path::new(model);
        if model == MINI {
            Ok(Self::Mini)
        } else if model == SMALL {
            Ok(Self::Small)
        } else if path.is_dir() {
            Ok(Self::Folder(path.to_owned()))
        } else if path.exists() {
            Err(UserError::new(format!("model `{model}` is a file, not a folder"))
                .hint("pass the folder that holds config.json, the tokenizer and the weights")
                .into())
        } else {
            Self::hub(model).ok_or_else(|| {
                UserError::new(format!(
                    "model `{model}` not found: there is no such folder, and it is not a hub id (`owner/name`)"
                ))
                .hint("pass a folder, a hub id such as `microsoft/deberta-v3-base`, `small` or `mini`")
                .into()
            })
        }
    }

    fn hub(model: &str) -> Option<Self> {
        let (id, revision) = model.split_once('@').unwrap_or((model, "main"));
        let (owner, name) = id.split_once('/')?;
        let is_name = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let is_revision = !revision.is_empty()
            && revision.split('/').all(|part| {
                !matches!(part, "" | "." | "..")
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            });
        (is_name(owner) && is_name(name) && is_revision)
            .then(|| Self::Hub { id: id.to_owned(), revision: revision.to_owned() })
    }
}

impl Pretrained {
    fn mini() -> Self {
        Self {
            config: DebertaConfig::mini(MINI_VOCAB_SIZE),
            tokenizer: None,
            odd_labels: Vec::new(),
            weights: None,
            new_rows: 0,
        }
    }

    fn small() -> Result<Self> {
        let small::Parts { config, odd_labels, tokenizer, weights } = small::parts()?;
        let (tokenizer, weights) = (Some(tokenizer), Some(weights));
        Ok(Self { config, odd_labels, tokenizer, weights, new_rows: 0 })
    }

    /// Opens a folder in HF's layout. Tensors are read by [`Self::load`].
    ///
    /// # Errors
    /// If a file is missing or cannot be used.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG_FILE);
        if !path.exists() {
            return Err(UserError::new(format!("no {CONFIG_FILE} in `{}`", folder.display()))
                .hint(
                    "a model's folder holds config.json, tokenizer.json or spm.model, and weights",
                )
                .into());
        }
        let (config, odd_labels) = read_config(&path)?;
        Ok(Self {
            config,
            odd_labels,
            tokenizer: Some(tokenizer_files::in_folder(folder)?),
            weights: Some(WeightFiles::open(folder)?),
            new_rows: 0,
        })
    }

    /// Reads the tensors of a classifier with `num_labels` labels, all f32 on the CPU.
    ///
    /// A head that the files lack, or one for another number of labels, is initialised from `seed`, and
    /// so is all of `mini`. The report says which tensors that were.
    ///
    /// # Errors
    /// If a tensor of the backbone is missing or has another shape, or a file is damaged.
    pub fn load(&self, num_labels: usize, seed: u64) -> Result<Loaded> {
        load::load(self.wanted(num_labels), self.weights.as_ref(), seed)
    }

    /// Reads the tensors as [`Self::load`] does, and keeps none.
    ///
    /// # Errors
    /// If `load` would fail.
    pub fn check(&self, num_labels: usize) -> Result<()> {
        load::check(self.wanted(num_labels), self.weights.as_ref())
    }

    /// Gives the model word embeddings for so many ids, as transformers' `resize_token_embeddings` does.
    pub fn extend_vocabulary(&mut self, ids: usize) {
        let more = ids.saturating_sub(self.config.vocab_size);
        self.config.vocab_size += more;
        self.new_rows += more;
    }

    fn wanted(&self, num_labels: usize) -> load::Wanted<'_> {
        load::Wanted { config: &self.config, new_rows: self.new_rows, num_labels }
    }

    /// Some rows of a tensor of a complete classifier (see [`Self::report`]), f32.
    ///
    /// # Errors
    /// If the files have no tensor of that name, or are damaged.
    pub fn read_rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        match &self.weights {
            Some(weights) if weights.names().any(|stored| stored == name) => {
                weights.read_rows(name, rows)
            }
            _ => Err(shared::Error::MissingTensor { name: name.to_owned() }.into()),
        }
    }

    /// Whether there are weights. `mini` has none.
    pub fn has_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// Some rows of the tensor that has this name and shape in a classifier, f32; `None` if the files
    /// have no such tensor.
    ///
    /// # Errors
    /// If the files are damaged.
    pub fn read_backbone_rows(
        &self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
    ) -> Result<Option<Vec<f32>>> {
        let Some(weights) = &self.weights else { return Ok(None) };
        let is_it = |stored: &&str| {
            load::is_named(&weights.plain_name(stored), name) && weights.shape(stored) == shape
        };
        let stored = weights.names().find(is_it);
        stored.map(|stored| weights.read_rows(stored, rows)).transpose()
    }

    /// Passes the bytes of the weight files to `take`, piece by piece. `mini` has none.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read_weight_files(&self, mut take: impl FnMut(&[u8])) -> Result<()> {
        if self.weights.as_ref().is_some_and(WeightFiles::is_in_memory) {
            small::BYTES.into_iter().for_each(take);
            return Ok(());
        }
        let mut piece = vec![0; 1 << 20];
        for path in self.weights.iter().flat_map(WeightFiles::files) {
            let context = || format!("cannot read `{}`", path.display());
            let mut file = File::open(path).with_context(context)?;
            loop {
                let read = file.read(&mut piece).with_context(context)?;
                if read == 0 {
                    break;
                }
                take(&piece[..read]);
            }
        }
        Ok(())
    }

    /// The report of [`Self::load`], without reading any tensor.
    ///
    /// # Errors
    /// If a tensor of the backbone is missing or has another shape.
    pub fn report(&self, num_labels: usize) -> Result<LoadReport> {
        load::report(self.wanted(num_labels), self.weights.as_ref())
    }
}

/// A base model's config, and what is odd about its labels.
///
/// # Errors
/// If it cannot be read, or is not that of a model that can be used.
pub fn read_config(path: &Path) -> Result<(DebertaConfig, Vec<String>)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    DebertaConfig::of_base_model(&bytes)
        .map_err(|error| UserError::new(format!("`{}`: {error}", path.display())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(id: &str, revision: &str) -> Source {
        Source::Hub { id: id.to_owned(), revision: revision.to_owned() }
    }

    #[test]
    fn sources_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(Source::parse("mini").unwrap(), Source::Mini);
        assert_eq!(Source::parse("small").unwrap(), Source::Small);
        assert_eq!(Source::parse(path).unwrap(), Source::Folder(path.into()));
        let base = "microsoft/deberta-v3-base";
        assert_eq!(Source::parse(base).unwrap(), hub(base, "main"));
        assert_eq!(Source::parse("a/b@refs/pr/7").unwrap(), hub("a/b", "refs/pr/7"));
    }

    #[test]
    fn what_is_neither_folder_nor_hub_id_says_what_was_looked_for() {
        for model in
            ["deberta", "./a/b", "../b", "a/b/c", "a/", "/a", "a/b@", "a/b@..", "a b/c", ""]
        {
            let error = Source::parse(model).unwrap_err();
            let user = error.downcast_ref::<UserError>().unwrap();
            assert!(user.to_string().contains(&format!("model `{model}` not found")), "{user}");
            assert!(user.remedy().unwrap().contains("microsoft/deberta-v3-base"));
        }
    }

    #[test]
    fn the_built_in_model_is_whole_and_small() {
        let small = Pretrained::small().unwrap();
        let loaded = small.load(5, 1).unwrap();
        let head =
            ["classifier.bias", "classifier.weight", "pooler.dense.bias", "pooler.dense.weight"];
        assert_eq!(loaded.report.initialised, head);
        assert_eq!(loaded.report.found.len(), small.config.backbone_shapes().len());
        let tokenizer = small.tokenizer.unwrap().tokenizer().unwrap().0;
        assert_eq!(tokenizer.vocab_size(), small.config.vocab_size);
        let bytes: usize = small::BYTES.into_iter().map(<[u8]>::len).sum();
        assert!(bytes < 8_000_000, "{bytes}");
    }

    /// Integers of 8 bits are off by half a step at most, and a step is the row's largest number by 127.
    #[test]
    fn what_is_packed_comes_back_rounded() {
        let model = Pretrained::small().unwrap();
        let tensors = model.load(1, 0).unwrap().tensors;
        let folder = tempfile::tempdir().unwrap();
        let Some(TokenizerFiles { vocabulary: Vocabulary::Json(tokenizer), .. }) = &model.tokenizer
        else {
            panic!("a tokenizer.json")
        };
        small::write(&model.config, tokenizer, &tensors, folder.path()).unwrap();
        let bytes = fs::read(folder.path().join("model.safetensors")).unwrap();
        let packed = small::unpack(&bytes).unwrap();
        assert_eq!(packed.len(), model.config.backbone_shapes().len());
        for (name, stored) in packed {
            let rows = 0..stored.shape[0];
            let found = stored.read(Path::new("unused"), rows).unwrap();
            let expected: Vec<f32> = tensors[&name].flatten_all().unwrap().to_vec1().unwrap();
            let width: usize = stored.shape[1..].iter().product();
            for (found, expected) in found.chunks_exact(width).zip(expected.chunks_exact(width)) {
                let largest = expected.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() <= 0.51 * largest / 127.0, "{name}");
                }
            }
        }
    }

    #[test]
    fn a_file_is_not_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        fs::write(&path, "x").unwrap();
        let error = Source::parse(path.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("is a file, not a folder"), "{error}");
    }

    #[test]
    fn each_absent_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |expected: &str| {
            let error = Pretrained::from_folder(folder.path()).unwrap_err();
            let user = error.downcast_ref::<UserError>().expect("the user can mend it");
            assert!(user.to_string().contains(expected), "{user}");
        };
        refused("no config.json in");
        fs::write(folder.path().join(CONFIG_FILE), r#"{"model_type": "bert"}"#).unwrap();
        refused("config field `model_type`");
        fs::write(folder.path().join(CONFIG_FILE), r#"{"model_type": "deberta-v2"}"#).unwrap();
        refused("looked for tokenizer.json, spm.model");
        fs::write(folder.path().join("spm.model"), "pieces").unwrap();
        refused("looked for model.safetensors");
    }
}
