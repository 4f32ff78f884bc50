//! A file on its way: written under a temporary name, then renamed over the old one, so that it is whole or not there.
//!
//! The temporary file is locked, so that of two processes which write the same file the second is refused, unless the file
//! system has no locks. The system releases the lock however a process ends. What a killed process leaves is taken over by the
//! next that writes the same file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use shared::words::bytes;

use crate::error::UserError;

/// A file that only this process is writing. If it is dropped before [`NewFile::write`], the old file stays.
pub struct NewFile {
    /// The name in messages.
    path: PathBuf,
    place: Place,
}

enum Place {
    /// A pipe or a device, which is written directly.
    Direct(File),
    Aside(Temporary),
}

impl NewFile {
    /// Begins a file, whose bytes come later.
    ///
    /// # Errors
    /// If another process is writing it, or it cannot be created.
    pub fn begin(path: &Path) -> Result<Self> {
        let cannot_write = || format!("cannot write `{}`", path.display());
        let place = match follow(path) {
            Target::Open(descriptor) => {
                Place::Direct(opened(&descriptor).with_context(cannot_write)?)
            }
            Target::Named(target) if fs::metadata(&target).is_ok_and(|found| !found.is_file()) => {
                let file = OpenOptions::new().write(true).open(target);
                Place::Direct(file.with_context(cannot_write)?)
            }
            Target::Named(target) => {
                let temporary = Temporary::beside(&target).with_context(cannot_write)?;
                Place::Aside(temporary.ok_or_else(|| is_taken(path))?)
            }
        };
        Ok(Self { path: path.to_owned(), place })
    }

    /// Writes the file by `write`, whole or not at all.
    ///
    /// # Errors
    /// The errors of `write`. A failure to write names the path and, on a full disk, the size.
    pub fn write<T>(self, write: impl FnOnce(&mut Output) -> Result<T>) -> Result<T> {
        let Self { path, place } = self;
        let cannot_write = || format!("cannot write `{}`", path.display());
        match place {
            Place::Direct(file) => fill(file, &path, write),
            Place::Aside(temporary) => {
                let file = temporary.file.try_clone().with_context(cannot_write)?;
                let value = fill(file, &path, write)?;
                temporary.take_its_place().with_context(cannot_write)?;
                Ok(value)
            }
        }
    }
}

/// The end of a path whose links were followed.
enum Target {
    /// A name, which need not exist. It is no link: a link stays a link, and the file that it points to is replaced.
    Named(PathBuf),
    /// A file that a process has open, as `/dev/stdout` is: it may have no name, or another process goes on writing it.
    Open(PathBuf),
}

/// Follows links.
fn follow(path: &Path) -> Target {
    /// Linux gives up after as many.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let place = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        if place.starts_with("/proc") && place.ends_with("fd") || place == Path::new("/dev/fd") {
            return Target::Open(path);
        }
        match fs::read_link(&path) {
            Ok(to) => path = folder.join(to),
            Err(_) => break,
        }
    }
    Target::Named(path)
}

/// Opens what a process has open, to go on where it is.
fn opened(descriptor: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let place = |folder: &Path| folder.canonicalize().ok();
        // The system's folder of all that this process has open.
        let is_own = descriptor.parent().and_then(place) == place(Path::new("/dev/fd"));
        let number = descriptor.file_name().unwrap_or_default();
        if is_own && number == "1" {
            return Ok(io::stdout().as_fd().try_clone_to_owned()?.into());
        }
        if is_own && number == "2" {
            return Ok(io::stderr().as_fd().try_clone_to_owned()?.into());
        }
    }
    OpenOptions::new().append(true).open(descriptor)
}

fn is_taken(path: &Path) -> UserError {
    UserError::new(format!("another process is writing `{}`", path.display()))
        .hint("wait until it ends, then try again, or pass another `--output`")
}

/// Whether this is the name of a file that a [`NewFile`] has not finished.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// The file as the function sees that writes it.
pub struct Output {
    sink: BufWriter<Sink>,
    expected: Option<u64>,
}

/// The file itself, and why writing it failed.
struct Sink {
    file: File,
    written: u64,
    failure: Option<ErrorKind>,
}

impl Output {
    /// Announces the number of bytes to come, so that the error of a full disk can say how many it takes.
    pub fn expect_bytes(&mut self, bytes: u64) {
        self.expected = Some(bytes);
    }

    fn new(file: File) -> Self {
        let sink = Sink { file, written: 0, failure: None };
        Self { sink: BufWriter::with_capacity(1 << 16, sink), expected: None }
    }

    /// The error with the file that could not be written. An error of another kind is not changed.
    fn explain(&self, error: Error, path: &Path) -> Error {
        let path = path.display();
        match (self.sink.get_ref().failure, self.expected) {
            (None, _) => error,
            (Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded), Some(expected)) => {
                error.context(format!(
                    "the disk is full: `{path}` needs {}, of which {} were written; make room and try again",
                    bytes(expected),
                    bytes(self.sink.get_ref().written),
                ))
            }
            (Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded), None) => error.context(format!(
                "the disk is full: `{path}` could not be written beyond {}; make room and try again",
                bytes(self.sink.get_ref().written),
            )),
            (Some(_), _) => error.context(format!("cannot write `{path}`")),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).inspect_err(|error| {
            // Kept here, as a library between this and the caller may drop the error.
            self.failure = Some(error.kind());
        })?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn fill<T>(file: File, path: &Path, write: impl FnOnce(&mut Output) -> Result<T>) -> Result<T> {
    let mut output = Output::new(file);
    let value = write(&mut output).and_then(|value| {
        output.flush()?;
        Ok(value)
    });
    let explained = value.map_err(|error| output.explain(error, path));
    // Taken apart, so that dropping the buffer does not write again what has failed.
    drop(output.sink.into_parts());
    explained
}

/// The locked temporary file beside the one to write, removed unless it is renamed.
struct Temporary {
    file: File,
    path: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl Temporary {
    /// Creates the temporary file, or empties that of a killed process; `None` if another process holds it.
    fn beside(target: &Path) -> io::Result<Option<Self>> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.tmp"));
        loop {
            // A link is not followed: the file may be anybody's.
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
                fs::remove_file(&path)?;
            }
            let options = OpenOptions::new().write(true).create(true).truncate(false).clone();
            let file = options.open(&path)?;
            match file.try_lock() {
                // Where the file system has no locks, a run's writers still exclude each other by leases.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
            }
            // Between the opening and the lock, its last holder may have renamed or removed it.
            if is_at(&file, &path)? {
                file.set_len(0)?;
                keep_permissions(target, &file)?;
                return Ok(Some(Self { file, path, target: target.to_owned(), renamed: false }));
            }
        }
    }

    fn take_its_place(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.renamed = true;
        sync_folder_of(&self.target)
    }
}

impl Drop for Temporary {
    /// Removes the file while it is still locked.
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives the new file the permissions of the old one, so that who may not read that may not read this. The owner may write.
#[cfg(unix)]
fn keep_permissions(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(old) = fs::metadata(old) else { return Ok(()) };
    let wanted = (old.permissions().mode() | 0o200) & 0o777;
    // Asked first, as only the owner may set them, and some file systems have the same for all files.
    if new.metadata()?.permissions().mode() & 0o777 == wanted {
        return Ok(());
    }
    new.set_permissions(PermissionsExt::from_mode(wanted))
}

/// Does nothing, as other systems give a file the permissions of its folder.
#[cfg(not(unix))]
fn keep_permissions(_old: &Path, _new: &File) -> io::Result<()> {
    Ok(())
}

/// Whether the open file is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// True, as other systems do not let go of the name of a file that is open and locked.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    fs::exists(path)
}

/// Makes the rename survive a power failure.
#[cfg(unix)]
fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Does nothing, as other systems cannot open a folder as a file.
#[cfg(not(unix))]
fn sync_folder_of(_file: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_so_do_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link.csv"), folder.path().join("file.csv"));
        symlink("file.csv", &link).unwrap();
        let write = |text: &str| {
            let file = NewFile::begin(&link).unwrap();
            file.write(|output| Ok(output.write_all(text.as_bytes())?)).unwrap();
        };
        // At first it points nowhere.
        write("first");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        write("second");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"second");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn of_two_writers_of_one_file_the_second_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(&path, "old").unwrap();
        let first = NewFile::begin(&path).unwrap();
        let refused = NewFile::begin(&path).err().expect("it is taken");
        let refused = refused.downcast_ref::<UserError>().expect("a user's mistake");
        let expected = format!("another process is writing `{}`", path.display());
        assert_eq!(refused.to_string(), expected);
        assert!(refused.remedy().unwrap().starts_with("wait until it ends"));
        assert_eq!(fs::read(&path).unwrap(), b"old");

        first.write(|output| Ok(output.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(NewFile::begin(&path).expect("nobody is writing it any more"));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary");
    }

    #[test]
    fn what_a_killed_writer_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(folder.path().join(".out.csv.tmp"), "half of a longer file").unwrap();
        NewFile::begin(&path).unwrap().write(|output| Ok(output.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_the_temporary_files_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("out.csv"), folder.path().join("other"));
        fs::write(&other, "somebody's").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(".out.csv.tmp")).unwrap();
        NewFile::begin(&path).unwrap().write(|output| Ok(output.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&other).unwrap(), b"somebody's");
    }

    /// Writers that find the file taken try again; each that succeeds leaves a whole file.
    #[test]
    fn many_writers_at_once_leave_whole_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let contents = |writer: u8| vec![b'a' + writer; 1000 + usize::from(writer)];
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let mut written = 0;
                    while written < 50 {
                        let Ok(file) = NewFile::begin(path) else { continue };
                        file.write(|output| Ok(output.write_all(&contents(writer))?)).unwrap();
                        written += 1;
                        let found = fs::read(path).unwrap();
                        assert_eq!(found, contents(found[0] - b'a'));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary");
    }
}
