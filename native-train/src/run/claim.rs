//! A folder that is made, found to be ours or empty, and locked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use super::files;
use super::new_file::is_temporary;
use crate::error::UserError;

const LOCK: &str = ".lock";

/// Creates a folder if it does not exist.
///
/// # Errors
/// If it cannot be made.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => UserError::new(format!(
            "cannot create the folder `{}`: a file is in the way",
            folder.display()
        ))
        .hint("pass another `--output`")
        .into(),
        _ => anyhow::Error::new(error)
            .context(format!("cannot create the folder `{}`", folder.display())),
    })
}

/// Rejects a folder with files that are none of `ours`. The first of these makes the folder ours, whatever else it holds.
///
/// # Errors
/// If there is such a file, or the folder cannot be read.
pub fn refuse_foreign(folder: &Path, ours: &[&str], lacks: &str) -> Result<()> {
    if folder.join(ours[0]).is_file() {
        return Ok(());
    }
    let names = files::names(folder)?;
    let is_ours = |name: &str| name == LOCK || ours.contains(&name) || is_temporary(name);
    let foreign = names.iter().find(|name| !is_ours(name));
    foreign.map_or(Ok(()), |name| {
        let message = format!("`{}` holds other files (`{name}`) and {lacks}", folder.display());
        Err(UserError::new(message).hint("pass an empty or new folder as `--output`").into())
    })
}

/// Locks a folder for a training. The system releases the lock however the process ends.
///
/// # Errors
/// If another training holds it.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let cannot_lock = || format!("cannot lock `{}`", path.display());
    let file =
        OpenOptions::new().create(true).append(true).open(&path).with_context(cannot_lock)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another training is writing in `{}`", folder.display());
            Err(UserError::new(message)
                .hint("wait until it ends, or pass another `--output`")
                .into())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot_lock),
    }
}
