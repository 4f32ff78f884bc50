//! The folder of a bundle. New shards are written first, each under a name of its own, so that readers of the old manifest
//! notice nothing. Then the new manifest replaces the old one in a single step, and shards that it does not list are
//! removed. Other files in the folder stay as they are.
//!
//! The new manifest is begun first and finished last: as long as it is, no other export writes in the folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shared::bundle::{Integrity, Manifest, OpenShard, Shard};

use crate::error::UserError;
use crate::run::files::{self, write_atomically};
use crate::run::new_file::{NewFile, is_temporary};

pub const MANIFEST: &str = "manifest.json";
const SHARD_ENDING: &str = ".safetensors";
const HASH_DIGITS: usize = 64;

/// A folder that a bundle is written into. If it is dropped before [`publish`](Self::publish), the shards that it added are
/// removed.
pub struct BundleFolder {
    folder: PathBuf,
    /// Shards that were not there before.
    added: Vec<PathBuf>,
    made_folder: bool,
    /// The manifest to come; taken when it is published.
    manifest: Option<NewFile>,
    published: bool,
}

impl BundleFolder {
    /// Opens or creates a folder, which may hold an older bundle and other files.
    ///
    /// # Errors
    /// If it is a run, cannot be created, or another export is writing there.
    pub fn open(folder: &Path) -> Result<Self> {
        if folder.join("config.toml").is_file() {
            let message = format!("`{}` is a run", folder.display());
            return Err(UserError::new(message).hint("pass another folder as `--output`").into());
        }
        let made_folder = !folder.exists();
        fs::create_dir_all(folder).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => anyhow::Error::from(
                UserError::new(format!("`{}` is a file, not a folder", folder.display()))
                    .hint("pass another `--output`"),
            ),
            _ => anyhow::Error::new(error)
                .context(format!("cannot make the folder `{}`", folder.display())),
        })?;
        let manifest = Some(NewFile::begin(&folder.join(MANIFEST))?);
        Ok(Self {
            folder: folder.to_owned(),
            added: Vec::new(),
            made_folder,
            manifest,
            published: false,
        })
    }

    /// Writes a shard, unless it is there already.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, shard: &Shard, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(shard.file_name());
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let is_new = !path.exists();
        write_atomically(&path, |output| {
            output.expect_bytes(bytes.len() as u64);
            Ok(output.write_all(bytes)?)
        })?;
        if is_new {
            self.added.push(path);
        }
        Ok(())
    }

    /// Reads a shard back.
    ///
    /// # Errors
    /// If it is not what was written.
    pub fn read(&self, shard: &Shard) -> Result<OpenShard> {
        read_shard(&self.folder, shard)
    }

    /// Removes the shards of a bundle that will not be published, except those that `needed_by` lists.
    pub fn discard(&mut self, manifest: &Manifest, needed_by: Option<&Manifest>) {
        let files = |manifest: &Manifest| -> BTreeSet<PathBuf> {
            manifest.shards().iter().map(|shard| self.folder.join(shard.file_name())).collect()
        };
        let needed = needed_by.map(files).unwrap_or_default();
        let unneeded = &files(manifest) - &needed;
        self.added.retain(|path| {
            let is_unneeded = unneeded.contains(path);
            if is_unneeded {
                // What stays behind goes when a bundle is published.
                let _ = fs::remove_file(path);
            }
            !is_unneeded
        });
    }

    /// Makes `manifest` the folder's manifest and removes the shards that it does not list.
    ///
    /// # Errors
    /// If the manifest cannot be written, or if an old shard cannot be removed once the new bundle is in place.
    pub fn publish(mut self, manifest: &Manifest) -> Result<()> {
        let file = self.manifest.take().expect("it is published once");
        let json = manifest.to_json();
        let written = file.write(|output| Ok(output.write_all(json.as_bytes())?));
        // An error may come after the manifest has got its name.
        self.published = written.is_ok()
            || fs::read(self.folder.join(MANIFEST)).is_ok_and(|there| there == json.as_bytes());
        written?;
        let named: BTreeSet<String> = manifest.shards().iter().map(Shard::file_name).collect();
        for name in files::names(&self.folder)? {
            let stale = is_shard(&name) && !named.contains(&name);
            if stale || is_unfinished(&name) {
                let path = self.folder.join(name);
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }
}

impl Drop for BundleFolder {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // The error that brought us here is the one to tell.
        for path in &self.added {
            let _ = fs::remove_file(path);
        }
        self.manifest = None;
        if self.made_folder {
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Reads the manifest of a bundle.
///
/// # Errors
/// If it is missing or not valid.
pub fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let bytes = fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
    Manifest::from_json(&bytes)
        .map_err(|error| UserError::new(format!("`{}`: {error}", path.display())).into())
}

/// Returns the integrity of a bundle's manifest.
///
/// # Errors
/// If it cannot be read.
pub fn integrity(folder: &Path) -> Result<Integrity> {
    let path = folder.join(MANIFEST);
    let bytes = fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok(Integrity::of(&bytes))
}

/// Reads a shard of a bundle.
///
/// # Errors
/// If it is missing or damaged.
pub fn read_shard(folder: &Path, shard: &Shard) -> Result<OpenShard> {
    let path = folder.join(shard.file_name());
    let bytes = fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok(shard.open(bytes)?)
}

/// Whether a file of this name is a shard, of this bundle or an older one.
fn is_shard(name: &str) -> bool {
    let hexadecimal = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    name.strip_suffix(SHARD_ENDING)
        .is_some_and(|hash| hash.len() == HASH_DIGITS && hash.bytes().all(hexadecimal))
}

/// Whether it is the unfinished shard or manifest of an export that was killed.
fn is_unfinished(name: &str) -> bool {
    let Some(finished) = name.strip_prefix('.').filter(|_| is_temporary(name)) else {
        return false;
    };
    let shard = finished.get(..HASH_DIGITS + SHARD_ENDING.len());
    shard.is_some_and(is_shard)
        || finished.strip_prefix(MANIFEST).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shards_are_taken_for_shards() {
        let shard = format!("{}.safetensors", "0a".repeat(32));
        assert!(is_shard(&shard));
        for other in ["model.safetensors", "manifest.json", &shard[1..], &shard.to_uppercase()] {
            assert!(!is_shard(other), "{other}");
        }
        for killed in [&shard[..], "manifest.json"] {
            assert!(is_unfinished(&format!(".{killed}.tmp")), "{killed}");
            assert!(is_unfinished(&format!(".{killed}.123.tmp")), "{killed} of an older version");
        }
        for other in [".manifest.jsonl.tmp", ".notes.tmp", "manifest.json", &shard, "", ".é.tmp"] {
            assert!(!is_unfinished(other), "{other}");
        }
    }
}
