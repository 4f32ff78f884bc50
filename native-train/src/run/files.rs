//! The files of a run, read and written whole, and the errors for those that are missing or damaged. The contents of the
//! files are defined by their writers.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::new_file::{NewFile, Output, is_temporary};
use crate::error::UserError;

/// Writes the file at `path` by `write`, whole or not at all.
///
/// An earlier file of that name stays until the new one is on the disk, and stays if anything fails.
///
/// A path that is not a regular file (a pipe, `/dev/stdout`) is written directly.
///
/// # Errors
/// The errors of `write`. A failure to write names the path and, on a full disk, the size.
pub fn write_atomically<T>(path: &Path, write: impl FnOnce(&mut Output) -> Result<T>) -> Result<T> {
    NewFile::begin(path)?.write(write)
}

/// Writes `text` as it is.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, |output| Ok(output.write_all(text.as_bytes())?))
}

/// Writes `value` as indented JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_atomically(path, |output| {
        serde_json::to_writer_pretty(&mut *output, value)?;
        Ok(output.write_all(b"\n")?)
    })
}

/// Reads what [`write_json`] wrote.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read(path)?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))
}

/// Reads a file of a run.
///
/// # Errors
/// If the file is missing or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => UserError::new(format!("`{}` does not exist", path.display()))
            .hint(format!(
                "the run may be unfinished: `{} --resume` continues a training that was stopped",
                begun_by(path)
            ))
            .into(),
        _ => Error::new(error).context(format!("cannot read `{}`", path.display())),
    })
}

/// The error for a file that is not what was written: cut off, or changed since.
pub fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    UserError::new(format!("`{}` is damaged: {what}", path.display())).hint(remedy(path)).into()
}

/// The command that began the run of a file or folder, and continues it.
pub fn begun_by(path: &Path) -> &'static str {
    let mut folders = path.ancestors().take(4);
    if folders.any(|folder| folder.join("distil.toml").is_file()) { "distil" } else { "train" }
}

/// The remedy for a damaged file: everything but the settings can be computed again.
pub fn remedy(path: &Path) -> String {
    let command = begun_by(path);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_model = |folder: &String| folder.starts_with("fold-") || folder == "final";
    let folder = path.parent().map(name).filter(is_model);
    match (name(path).as_str(), folder) {
        ("config.toml" | "distil.toml", _) => {
            "restore it from a copy, or train again into another `--output`".to_owned()
        }
        ("checkpoint", _) | (_, None) => {
            format!("remove it and pass `{command} --resume`: it will be written again")
        }
        (_, Some(folder)) => {
            format!("remove `{folder}` and pass `{command} --resume`: it will be trained again")
        }
    }
}

/// Removes the temporary files that killed processes left in `folder`.
///
/// Only who holds the folder's lease may do that. Others write nothing there but the beginnings of leases, which come and go
/// and are begun again if they are removed.
pub fn remove_leftovers(folder: &Path) -> Result<()> {
    for name in names(folder)?.iter().filter(|name| is_temporary(name)) {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove `{}`", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The names of the entries of `folder`, sorted.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let cannot_list = || format!("cannot list the folder `{}`", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot_list)? {
        names.push(entry.with_context(cannot_list)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::process::Command;

    use anyhow::bail;

    use super::*;

    fn here(folder: &tempfile::TempDir) -> Vec<String> {
        names(folder.path()).unwrap()
    }

    #[test]
    fn a_write_that_fails_in_the_middle_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oof.csv");
        fs::write(&path, "old").unwrap();
        let error = write_atomically(&path, |output| {
            output.write_all(&vec![b'n'; 1 << 20])?;
            bail!("row 7 has no text") as Result<()>
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "row 7 has no text", "not an error of writing");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(here(&folder), ["oof.csv"]);
    }

    #[test]
    fn a_panic_while_writing_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oof.csv");
        fs::write(&path, "old").unwrap();
        let panicked = std::panic::catch_unwind(|| {
            write_atomically(&path, |output| -> Result<()> {
                output.write_all(b"new")?;
                panic!("on purpose")
            })
        });
        assert!(panicked.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(here(&folder), ["oof.csv"]);
    }

    #[test]
    fn the_new_file_takes_the_place_of_the_old_and_the_value_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oof.csv");
        fs::write(&path, "old and longer").unwrap();
        let value = write_atomically(&path, |output| {
            output.write_all(b"new")?;
            assert_eq!(fs::read(&path)?, b"old and longer", "until all is written");
            Ok(7)
        });
        assert_eq!(value.unwrap(), 7);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(here(&folder), ["oof.csv"]);
    }

    #[test]
    fn a_missing_folder_is_named_with_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("oof.csv");
        let error = write_atomically(&path, |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write `{}`", path.display()));
        let cause = error.root_cause().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_atomically(&link, |output| Ok(output.write_all(b"new")?)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_device_is_called_full_and_is_not_replaced() {
        let error = write_atomically(Path::new("/dev/full"), |output| {
            output.expect_bytes(2_500_000);
            Ok(output.write_all(&[0; 2_500_000])?)
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the disk is full: `/dev/full` needs 2.5 MB, of which 0 B were written; \
             make room and try again"
        );
        assert!(!fs::metadata("/dev/full").unwrap().is_file());
    }

    /// Fills a real, tiny file system. Mounted in a mount namespace of its own, in which this test
    /// runs itself again, so nothing stays mounted whatever happens.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_leaves_the_old_file_and_no_temporary() {
        const MOUNTED: &str = "QUINTET_TEST_TINY_DISK";
        if let Some(disk) = std::env::var_os(MOUNTED) {
            return fill_the_disk(Path::new(&disk));
        }
        let folder = tempfile::tempdir().unwrap();
        let test = "run::files::tests::a_full_disk_leaves_the_old_file_and_no_temporary";
        let may_mount = |script: &str| {
            Command::new("unshare")
                .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
                .arg(format!("mount -t tmpfs -o size=256k none \"${MOUNTED}\" && {script}"))
                .env(MOUNTED, folder.path())
                .arg("sh")
                .arg(std::env::current_exe().unwrap())
                .output()
        };
        if !may_mount("true").is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: this system lets us mount no file system to fill");
            return;
        }
        let output = may_mount(&format!("exec \"$1\" {test} --exact --nocapture")).unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("1 passed"), "{printed}");
    }

    #[cfg(target_os = "linux")]
    fn fill_the_disk(disk: &Path) {
        let path = disk.join("model.safetensors");
        write_atomically(&path, |output| Ok(output.write_all(b"old")?)).unwrap();
        let error =
            write_atomically(&path, |output| Ok(output.write_all(&vec![1; 1 << 20])?)).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("the disk is full: `"), "{message}");
        assert!(message.contains("model.safetensors` could not be written beyond 2"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(disk).unwrap(), ["model.safetensors"]);
    }

    #[test]
    fn a_json_file_cut_off_anywhere_is_an_error_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        write_json(&path, &[0.15000000000000002, 0.9]).unwrap();
        let whole = fs::read(&path).unwrap();
        assert_eq!(read_json::<Vec<f64>>(&path).unwrap(), [0.15000000000000002, 0.9]);
        // All but the newline at the end.
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            let error = read_json::<Vec<f64>>(&path).unwrap_err();
            let error = error.downcast_ref::<UserError>().unwrap();
            assert!(error.to_string().contains("summary.json` is damaged: "), "{error}");
            assert!(error.remedy().unwrap().contains("train --resume"));
        }
    }
}
