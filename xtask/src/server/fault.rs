//! What can go wrong between a browser and a host, switched on and off by path while the server runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and no body.
    Status(u16),
    /// Answers with this page and status 200, as hosts do for paths that they do not know, and logins.
    Page(&'static str),
    /// Answers with 302: the same file is below this path.
    Redirect { to: &'static str },
    /// The middle byte of the body has one bit turned.
    FlippedByte,
    /// Each connection gets so many bytes a second, until the fault is cleared.
    Throttle { bytes_per_second: usize },
    /// The next answer breaks off after so many bytes of its body; those after it are whole.
    CutOnce(usize),
    /// Takes the request and says nothing until the fault is cleared; then hangs up.
    Silence,
    /// Hangs up on the request, as a host that is down would.
    HangUp,
}

/// Faults by the beginning of a path.
#[derive(Default)]
pub struct Faults(Mutex<BTreeMap<String, Fault>>);

impl Faults {
    pub fn set(&self, path: &str, fault: Fault) {
        self.lock().insert(path.to_owned(), fault);
    }

    pub fn clear(&self, path: &str) {
        self.lock().remove(path);
    }

    /// The fault of `path` now: that of the longest beginning.
    pub fn of(&self, path: &str) -> Option<Fault> {
        find(&self.lock(), path).map(|(_, fault)| fault)
    }

    /// As [`Faults::of`], with the beginning of the path that it is set for; uses up a fault that happens once.
    pub fn take(&self, path: &str) -> Option<(String, Fault)> {
        let mut faults = self.lock();
        let (beginning, fault) = find(&faults, path)?;
        if matches!(fault, Fault::CutOnce(_)) {
            faults.remove(&beginning);
        }
        Some((beginning, fault))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Fault>> {
        self.0.lock().expect("no thread panics holding it")
    }
}

fn find(faults: &BTreeMap<String, Fault>, path: &str) -> Option<(String, Fault)> {
    faults
        .iter()
        .filter(|(beginning, _)| path.starts_with(beginning.as_str()))
        .max_by_key(|(beginning, _)| beginning.len())
        .map(|(beginning, &fault)| (beginning.clone(), fault))
}
