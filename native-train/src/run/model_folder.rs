//! The folder of a model: that of a fold within a run, or of a student.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::claim::{lease, make_folder, refuse_foreign};
use super::files;
use super::lease::{Holder, Lease};
use crate::error::UserError;

const SHRINK: &str = "shrink.toml";

/// One model's folder within a run.
#[derive(Debug)]
pub struct FoldFolder {
    folder: PathBuf,
}

/// The folder of a student that a shrinking makes: a model's folder, and `shrink.toml`.
#[derive(Debug)]
pub struct StudentFolder {
    model: FoldFolder,
    lease: Lease,
}

impl FoldFolder {
    /// The model's folder at this path, whether or not it exists.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Creates the folder if it does not exist.
    pub fn make(&self) -> Result<()> {
        make_folder(&self.folder)
    }

    /// Leases the folder for a training, and removes the unfinished files of a killed one. `pause` is as for
    /// [`Lease::take_for_training`].
    ///
    /// # Errors
    /// If another process holds it, a file cannot be written, or `pause` fails.
    pub fn lease(&self, pause: impl FnMut(&Holder) -> Result<()>) -> Result<Lease> {
        self.make()?;
        let lease = Lease::take_for_training(&self.folder, pause)?;
        files::remove_leftovers(&self.folder)?;
        Ok(lease)
    }

    /// The process that is training here, if there is one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn holder(&self) -> Result<Option<Holder>> {
        if self.folder.is_dir() { Lease::holder(&self.folder) } else { Ok(None) }
    }

    /// Whether the fold is trained, so that its model can be loaded.
    pub fn has_model(&self) -> bool {
        [self.config_json(), self.model_safetensors(), self.tokenizer_json()]
            .iter()
            .all(|file| file.is_file())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder's own name, `fold-0` say.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub fn config_json(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    pub fn model_safetensors(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }

    pub fn tokenizer_json(&self) -> PathBuf {
        self.folder.join("tokenizer.json")
    }

    /// The file from which HF's `AutoTokenizer` knows the class of the tokenizer.
    pub fn tokenizer_config_json(&self) -> PathBuf {
        self.folder.join("tokenizer_config.json")
    }

    pub fn readme_md(&self) -> PathBuf {
        self.folder.join("README.md")
    }

    pub fn metrics_jsonl(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// The files that a model, a resumed training or a report is read from.
    pub fn own_files(&self) -> [PathBuf; 6] {
        [
            self.config_json(),
            self.model_safetensors(),
            self.tokenizer_json(),
            self.tokenizer_config_json(),
            self.metrics_jsonl(),
            self.checkpoint(),
        ]
    }
}

impl StudentFolder {
    /// Opens an empty or missing folder, or with `resume` one in which a shrinking has begun, whose unfinished files are
    /// removed.
    ///
    /// # Errors
    /// If another training is writing there, or the folder holds other files.
    pub fn open(folder: &Path, resume: bool) -> Result<Self> {
        make_folder(folder)?;
        refuse_foreign(folder, &[SHRINK], "no student")?;
        let lease = lease(folder)?;
        files::remove_leftovers(folder)?;
        let student = Self { model: FoldFolder::new(folder.to_owned()), lease };
        if student.shrink_toml().exists() && !resume {
            return Err(UserError::new(format!("`{}` already holds a student", folder.display()))
                .hint("pass `--resume` to continue it, or another `--output`")
                .into());
        }
        Ok(student)
    }

    /// The right to write here.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The files of the model.
    pub fn model(&self) -> &FoldFolder {
        &self.model
    }

    /// The settings that the shrinking began with.
    pub fn shrink_toml(&self) -> PathBuf {
        self.model.folder.join(SHRINK)
    }
}
