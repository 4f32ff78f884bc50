//! A folder that is made, found to be ours or empty, and leased.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;

use super::files;
use super::lease::{Lease, Purpose, held, is_lease};
use super::new_file::is_temporary;
use crate::error::UserError;

/// What older releases left in a folder in which they had trained.
const OLDER_LOCK: &str = ".lock";

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
    let is_ours = |name: &str| {
        name == OLDER_LOCK || ours.contains(&name) || is_lease(name) || is_temporary(name)
    };
    let foreign = names.iter().find(|name| !is_ours(name));
    foreign.map_or(Ok(()), |name| {
        let message = format!("`{}` holds other files (`{name}`) and {lacks}", folder.display());
        Err(UserError::new(message).hint("pass an empty or new folder as `--output`").into())
    })
}

/// Leases a folder for a training; a holder that may be dead is not waited for.
///
/// # Errors
/// If another process holds it.
pub fn lease(folder: &Path) -> Result<Lease> {
    Ok(Lease::take(folder, Purpose::Training)?.map_err(|holder| held(folder, &holder))?)
}
