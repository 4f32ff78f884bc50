//! The cache of huggingface_hub: a folder for each repository, shared with Python's tools.
//!
//! ```text
//! models--OWNER--NAME/refs/REVISION             the commit that a branch or tag stood for
//! models--OWNER--NAME/snapshots/COMMIT/FILE     a link to the file's bytes
//! models--OWNER--NAME/.no_exist/COMMIT/FILE     an empty file: the hub has no such file
//! models--OWNER--NAME/blobs/ETAG                the bytes
//! models--OWNER--NAME/blobs/ETAG.incomplete     a download that is not finished
//! .locks/models--OWNER--NAME/ETAG.lock          locked while someone downloads
//! ```
//!
//! A file is there if its link leads to something. A blob has its name only once it is complete and checked,
//! so that a download that ends early leaves nothing that would be taken for a model.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// One repository in the cache.
pub(super) struct RepositoryCache {
    folder: PathBuf,
    locks: PathBuf,
    links: Links,
}

/// The way from a snapshot to a blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Symbolic,
    /// The snapshot holds the bytes themselves.
    Copies,
}

/// The right to download a blob, given back when it is dropped.
pub(super) struct Lock {
    /// `None` where the file system has no locks: then the partial file is this process's own.
    file: Option<File>,
}

impl RepositoryCache {
    pub fn new(cache: &Path, id: &str, links: Links) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name), links }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit that `revision` stood for when it was last downloaded.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = commit.trim();
        is_plain_name(commit).then(|| commit.to_owned())
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// A file of a snapshot, if its bytes are there.
    pub fn file(&self, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.snapshot(commit).join(file)).filter(|path| path.exists())
    }

    /// Whether the hub has said that the commit has no such file.
    pub fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.absence(commit, file).exists()
    }

    /// Notes that the commit has no such file, so that nobody asks again.
    pub fn remember_absence(&self, commit: &str, file: &str) -> io::Result<()> {
        let path = self.absence(commit, file);
        fs::create_dir_all(path.parent().expect("in `.no_exist`"))?;
        File::create(path).map(drop)
    }

    fn absence(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file)
    }

    pub fn has_blob(&self, etag: &str) -> bool {
        self.blob(etag).exists()
    }

    fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The place for the bytes of a blob that are not complete.
    pub fn incomplete(&self, etag: &str, lock: &Lock) -> io::Result<PathBuf> {
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        Ok(match lock.file {
            Some(_) => blobs.join(format!("{etag}.incomplete")),
            None => blobs.join(format!("{etag}.{}.incomplete", std::process::id())),
        })
    }

    /// Turns a complete file into the blob.
    pub fn complete(&self, incomplete: &Path, etag: &str) -> io::Result<()> {
        fs::rename(incomplete, self.blob(etag))
    }

    /// Makes `file` of a snapshot lead to a blob that is there. Others may be reading the snapshot.
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> io::Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        let up = "../".repeat(1 + Path::new(file).components().count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        replace(&path, |new| {
            let linked =
                self.links == Links::Symbolic && symlink(&target, new).is_ok() && new.exists();
            if linked {
                return Ok(());
            }
            remove(new);
            fs::copy(self.blob(etag), new).map(drop)
        })?;
        Ok(path)
    }

    /// Notes the commit that `revision` stands for now.
    pub fn remember(&self, revision: &str, commit: &str) -> io::Result<()> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        replace(&self.folder.join("refs").join(revision), |new| fs::write(new, commit))
    }

    /// Waits until nobody else downloads this blob. `waiting` is called now and then, with the lock's file.
    pub fn lock(&self, etag: &str, mut waiting: impl FnMut(&Path)) -> io::Result<Lock> {
        const LOOK: Duration = Duration::from_millis(100);
        const LOOKS_PER_CALL: usize = 100;
        fs::create_dir_all(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let mut looks = 0;
        loop {
            let file = File::options().create(true).append(true).open(&path)?;
            match file.try_lock() {
                // Others may delete the file when they are done, and then this lock holds nobody back.
                Ok(()) if is_at(&file, &path) => return Ok(Lock { file: Some(file) }),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(_)) => return Ok(Lock { file: None }),
            }
            if looks % LOOKS_PER_CALL == 0 {
                waiting(&path);
            }
            looks += 1;
            thread::sleep(LOOK);
        }
    }
}

/// Makes a file, or a link, beside `path` and lets it take its place in one step. The folder need not be there.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    fs::create_dir_all(path.parent().expect("a file of a repository"))?;
    let new = path.with_extension(format!("{}.tmp", std::process::id()));
    // A process that was killed may have left one.
    remove(&new);
    make(&new).and_then(|()| fs::rename(&new, path)).inspect_err(|_| remove(&new))
}

/// Removes a file that may be there.
fn remove(file: &Path) {
    drop(fs::remove_file(file));
}

/// Whether the open file is still the one that the path leads to.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

/// Whether a revision is a commit by itself.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name that a server sent can be a file's name.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
