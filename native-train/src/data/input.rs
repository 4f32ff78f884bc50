//! Files to read: opened, decompressed, and the errors for those that cannot be.

use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;

use crate::error::UserError;

const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Opens a file that is no folder.
///
/// # Errors
/// If there is none, or it may not be read.
pub fn open_file(path: &Path) -> Result<File> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| cannot_open(&name, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        let message = format!("`{name}` is a folder, not a file");
        return Err(UserError::new(message).hint("name the file inside it").into());
    }
    Ok(file)
}

/// Checks that a file can be read again: a pipe cannot. `why` ends the sentence that refuses one.
///
/// # Errors
/// If it is a pipe.
pub fn refuse_pipe(path: &Path, why: &str) -> Result<(), UserError> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let message = format!("`{}` is a pipe, and {why}", path.display());
        return Err(UserError::new(message).hint("save it as a file first"));
    }
    Ok(())
}

/// The content of a file, decompressed if it begins as gzip does.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = open_file(path)?;
    decompressed(file).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Reads until something comes; 0 bytes are the end.
///
/// # Errors
/// If the file is damaged or cannot be read.
pub fn read_some(source: &mut dyn Read, block: &mut [u8], name: &str) -> Result<usize> {
    loop {
        match source.read(block) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.map_err(|error| unreadable(name, error)),
        }
    }
}

/// An error in the middle of a file. What gzip reports is a fault of the file, not of the machine.
pub fn unreadable(name: &str, error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            UserError::new(format!("`{name}`: the compressed data is damaged or cut off ({error})"))
                .hint("copy or download the file again; `gzip --test` checks it")
                .into()
        }
        _ => anyhow::Error::new(error).context(format!("cannot read `{name}`")),
    }
}

/// The content of a file, which is read from its beginning once, as it may be a pipe.
fn decompressed(mut file: File) -> std::io::Result<Box<dyn Read + Send>> {
    let mut beginning = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut beginning)?;
    let is_gzip = beginning == GZIP;
    let whole = Cursor::new(beginning).chain(file);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

fn cannot_open(name: &str, error: &std::io::Error) -> anyhow::Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    UserError::new(format!("cannot open `{name}`: {reason}"))
        .hint("check the path; a relative one starts at the current folder")
        .into()
}
