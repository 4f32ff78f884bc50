//! Leases: a folder is one process's until that process ends, on this machine or another that shares the file system.
//!
//! A lease is a file `.lease-N` in the folder that it protects. It tells which process holds it, and the process writes to it
//! every few seconds. Of several, the one with the largest N counts. Whoever finds that its holder is dead takes over by
//! creating the file with the next N. So no file is ever taken from anyone, and of two that want the same only one can
//! create it. Whoever has created one looks again, and holds it only if there is no larger number and the holder of the next
//! smaller one is dead: another may have found the folder empty in between, and begun at 1.
//!
//! | the holder is | it is dead if |
//! |---|---|
//! | on this machine | nobody has the file locked: the system releases the lock however a process ends |
//! | on another | the file was not written to for two minutes |
//!
//! What it relies on, which local file systems, NFS from version 3 on and the usual cluster file systems have: one of two
//! processes that link or create a file of the same name fails; whoever opens a file sees what was written before. Times are
//! those of the file system, so clocks need not agree. Locks are asked for on one machine only. A process that was stopped
//! for minutes on another machine finds out that it has lost its lease before it writes anything else ([`Lease::check`]).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};
use std::{env, fmt, process};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::files;
use crate::error::UserError;

/// The beginning of a lease's file name. A number follows.
const NAME: &str = ".lease-";

/// The time between two signs of life.
const BEAT: Duration = Duration::from_secs(15);

/// The time without a sign of life after which a holder on another machine is dead.
const DEAD_AFTER: Duration = Duration::from_secs(120);

/// The time between two looks at a lease that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The time between two looks for a sign of life.
pub const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// The time for which a lease that was checked is taken to be held: less than [`DEAD_AFTER`].
const CHECK_AGAIN: Duration = Duration::from_secs(30);

/// A held lease. It ends when it is dropped.
#[derive(Debug)]
pub struct Lease {
    folder: PathBuf,
    number: u64,
    /// When it was last found to be held. By the wall clock, which goes on while the machine sleeps.
    checked: Mutex<SystemTime>,
    /// Dropping it ends the signs of life.
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

/// The purpose that a folder is leased for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A training, which takes long.
    Training,
    /// Some files of a run, written by one of several processes that train its folds. It is worth waiting for.
    Writing,
}

/// The process that holds a lease, as its file tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    host: String,
    process: u32,
    /// The same for all processes whose locks exclude each other.
    machine: String,
    pub purpose: Purpose,
}

impl Holder {
    /// Whether it is a process of this machine, whose end the system tells at once where it knows locks.
    fn is_here(&self) -> bool {
        self.machine == Self::this_process(self.purpose).machine
    }

    fn this_process(purpose: Purpose) -> Self {
        let host = host();
        // Of a boot of this kernel, in all containers that it runs.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let machine = boot.map_or_else(|_| host.clone(), |boot| boot.trim().to_owned());
        Self { host, process: process::id(), machine, purpose }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)
    }
}

/// The name of this machine.
pub fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    let of_environment = || env::var("HOSTNAME").or_else(|_| env::var("COMPUTERNAME"));
    name.or_else(|_| of_environment()).unwrap_or_else(|_| "this machine".to_owned())
}

/// Whether a file of this name belongs to a lease.
pub fn is_lease(name: &str) -> bool {
    number(name).is_some()
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(NAME)?.parse().ok()
}

impl Lease {
    /// Leases a folder, which must exist. `Ok(Err(holder))`: another process has it.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn take(folder: &Path, purpose: Purpose) -> Result<Result<Self, Holder>> {
        let cannot_lease = || format!("cannot claim the folder `{}`", folder.display());
        loop {
            let newest = newest(folder)?;
            if let Some(number) = newest
                && let Some(holder) = holder(&path(folder, number)).with_context(cannot_lease)?
            {
                return Ok(Err(holder));
            }
            // A file that has just gone was of a holder that ended.
            let number = newest.unwrap_or(0) + 1;
            let Some(lease) = Self::create(folder, number, purpose).with_context(cannot_lease)?
            else {
                continue;
            };
            match lease.is_alone() {
                Ok(true) => return Ok(Ok(lease)),
                Ok(false) => {
                    lease.give_up();
                    thread::sleep(LOOK_AGAIN);
                }
                Err(error) => {
                    lease.give_up();
                    return Err(error.context(cannot_lease()));
                }
            }
        }
    }

    /// Leases a folder for a training. A holder on another machine that was killed seems to live for two minutes, so it is
    /// listened for until it gives a sign of life or is dead. `pause` is called before each time but the first: it lets
    /// [`LISTEN_AGAIN`] pass.
    ///
    /// # Errors
    /// If another process holds it, the folder cannot be read or written, or `pause` fails.
    pub fn take_for_training(
        folder: &Path,
        mut pause: impl FnMut(&Holder) -> Result<()>,
    ) -> Result<Self> {
        let mut heard = None;
        loop {
            let holder = match Self::take(folder, Purpose::Training)? {
                Ok(lease) => return Ok(lease),
                Err(holder) => holder,
            };
            let sign = last_sign(folder)?;
            if holder.is_here() || heard.is_some_and(|heard| heard != sign) {
                return Err(held(folder, &holder).into());
            }
            heard = Some(sign);
            pause(&holder)?;
        }
    }

    /// Leases a folder for a moment, and waits for others that do so. `waiting` is called once if there is one.
    ///
    /// # Errors
    /// If a training holds it, or the folder cannot be read or written.
    pub fn take_for_writing(folder: &Path, waiting: impl FnOnce(&Holder)) -> Result<Self> {
        let mut waiting = Some(waiting);
        loop {
            match Self::take(folder, Purpose::Writing)? {
                Ok(lease) => return Ok(lease),
                Err(holder) if holder.purpose == Purpose::Writing => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&holder);
                    }
                    thread::sleep(LOOK_AGAIN);
                }
                Err(holder) => return Err(held(folder, &holder).into()),
            }
        }
    }

    /// The process that holds the folder, if there is one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn holder(folder: &Path) -> Result<Option<Holder>> {
        match newest(folder)? {
            Some(number) => Ok(holder(&path(folder, number))?),
            None => Ok(None),
        }
    }

    /// Checks that no other process has taken over since.
    ///
    /// # Errors
    /// If one has.
    pub fn check(&self) -> Result<()> {
        if newest(&self.folder)? == Some(self.number) {
            *self.checked.lock().expect("no holder panics with it") = SystemTime::now();
            return Ok(());
        }
        let folder = self.folder.display();
        Err(UserError::new(format!(
            "another process has taken over `{folder}`, as this one gave no sign of life for {} seconds",
            DEAD_AFTER.as_secs()
        ))
        .hint("nothing is lost: the other process goes on from the last checkpoint")
        .into())
    }

    /// [`check`](Self::check), if that was not done just now: for what is written often.
    ///
    /// # Errors
    /// If another process has taken over.
    pub fn check_now_and_then(&self) -> Result<()> {
        let checked = *self.checked.lock().expect("no holder panics with it");
        let is_fresh = SystemTime::now().duration_since(checked).is_ok_and(|age| age < CHECK_AGAIN);
        if is_fresh { Ok(()) } else { self.check() }
    }

    /// Whether no other process may hold the folder: none has come later, and the last that came before is dead. Those before
    /// that one have lost it already, even if they live.
    fn is_alone(&self) -> Result<bool> {
        let numbers = numbers(&self.folder)?;
        let before = numbers.iter().rfind(|&&number| number < self.number);
        if let Some(&before) = before
            && holder(&path(&self.folder, before))?.is_some()
        {
            return Ok(false);
        }
        Ok(numbers.last() == Some(&self.number))
    }

    /// Ends a lease that never counted: removes its own file, and no older one.
    fn give_up(mut self) {
        let _ = fs::remove_file(path(&self.folder, self.number));
        self.end_beat();
    }

    fn end_beat(&mut self) {
        if let Some((stop, beat)) = self.beating.take() {
            drop(stop);
            let _ = beat.join();
        }
    }

    /// Creates the file of a lease; `None` if it exists.
    fn create(folder: &Path, number: u64, purpose: Purpose) -> std::io::Result<Option<Self>> {
        // Locked and written before it has its name.
        let beginning = folder.join(temporary());
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).open(&beginning)?;
        // Where locks are unknown, signs of life decide.
        let _ = file.try_lock();
        let text = serde_json::to_string(&Holder::this_process(purpose)).expect("plain fields");
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&beginning, path(folder, number));
        let _ = fs::remove_file(&beginning);
        match linked {
            Ok(()) => {}
            Err(error)
                if [ErrorKind::AlreadyExists, ErrorKind::NotFound].contains(&error.kind()) =>
            {
                return Ok(None);
            }
            // A file system without links.
            Err(_) => {
                let created =
                    OpenOptions::new().create_new(true).write(true).open(path(folder, number));
                file = match created {
                    Ok(file) => file,
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
                    Err(error) => return Err(error),
                };
                let _ = file.try_lock();
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
            }
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let beat = thread::spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // A beat that fails is missed, as on a file system that is gone for a while.
                let _ = file.seek(SeekFrom::Start(0));
                let _ = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            }
        });
        let checked = Mutex::new(SystemTime::now());
        Ok(Some(Self { folder: folder.to_owned(), number, checked, beating: Some((stop, beat)) }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Older files are of dead holders. The newest goes first, so that none of them counts before.
        if self.beating.is_some() && self.check().is_ok() {
            let mut numbers = numbers(&self.folder).unwrap_or_default();
            numbers.retain(|&number| number <= self.number);
            for number in numbers.into_iter().rev() {
                let _ = fs::remove_file(path(&self.folder, number));
            }
        }
        self.end_beat();
    }
}

/// The error of a folder that another training holds.
pub fn held(folder: &Path, holder: &Holder) -> UserError {
    UserError::new(format!("another training is writing in `{}`: {holder}", folder.display())).hint(
        format!(
            "wait until it ends, or pass another `--output`; if that machine is gone, try again {} seconds after its end",
            DEAD_AFTER.as_secs()
        ),
    )
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{NAME}{number}"))
}

/// The numbers of the leases in a folder, ascending.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> =
        files::names(folder)?.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn newest(folder: &Path) -> Result<Option<u64>> {
    Ok(numbers(folder)?.pop())
}

/// The newest lease of a folder, and when its holder last wrote to it.
fn last_sign(folder: &Path) -> Result<Option<(u64, SystemTime)>> {
    let Some(number) = newest(folder)? else { return Ok(None) };
    let modified = fs::metadata(path(folder, number)).and_then(|file| file.modified());
    Ok(modified.ok().map(|modified| (number, modified)))
}

/// The holder of the lease in a file, if it lives.
fn holder(path: &Path) -> std::io::Result<Option<Holder>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A file without a holder is being created, where there are no links.
    let holder =
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
    if let Some(holder) = &holder
        && holder.is_here()
    {
        // Shared, so that two that look at once do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => return Ok(Some(holder.clone())),
            Err(TryLockError::Error(_)) => {}
        }
    }
    let silent = now(path)?.duration_since(file.metadata()?.modified()?).unwrap_or_default();
    let unknown = Holder {
        host: "an unknown machine".into(),
        process: 0,
        machine: String::new(),
        purpose: Purpose::Writing,
    };
    Ok((silent < DEAD_AFTER).then(|| holder.unwrap_or(unknown)))
}

/// The name of a file that nobody else writes, and that is removed as a leftover.
fn temporary() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".lease.{}-{}-{count}.tmp", host().replace(['/', '\\'], ""), process::id())
}

/// The time by the clock of the file system of a file.
fn now(beside: &Path) -> std::io::Result<SystemTime> {
    let path = beside.with_file_name(temporary());
    let mut file = File::create(&path)?;
    let time = file
        .write_all(b"now")
        .and_then(|()| file.sync_all())
        .and_then(|()| file.metadata()?.modified());
    let _ = fs::remove_file(&path);
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(folder: &Path) -> Result<Lease, Holder> {
        Lease::take(folder, Purpose::Training).unwrap()
    }

    /// A lease of another machine, with a sign of life this long ago.
    fn leased_elsewhere(folder: &Path, number: u64, silent: Duration) -> Holder {
        let holder = Holder {
            host: "node7".to_owned(),
            process: 4711,
            machine: "another".to_owned(),
            purpose: Purpose::Training,
        };
        let path = path(folder, number);
        fs::write(&path, serde_json::to_string(&holder).unwrap()).unwrap();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - silent).unwrap();
        holder
    }

    #[test]
    fn a_folder_is_one_holders_until_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let lease = take(folder.path()).unwrap();
        let holder = take(folder.path()).unwrap_err();
        assert_eq!(holder, Holder::this_process(Purpose::Training));
        assert_eq!(Lease::holder(folder.path()).unwrap(), Some(holder));
        lease.check().unwrap();
        drop(lease);
        assert_eq!(Lease::holder(folder.path()).unwrap(), None);
        assert!(files::names(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_holder_on_another_machine_is_dead_after_a_long_silence() {
        let folder = tempfile::tempdir().unwrap();
        let holder = leased_elsewhere(folder.path(), 1, DEAD_AFTER / 2);
        assert_eq!(take(folder.path()).unwrap_err(), holder);
        let message = held(folder.path(), &holder).to_string();
        assert!(message.ends_with("process 4711 on node7"), "{message}");
        leased_elsewhere(folder.path(), 1, DEAD_AFTER * 2);
        let lease = take(folder.path()).unwrap();
        assert_eq!(files::names(folder.path()).unwrap(), [".lease-1", ".lease-2"]);
        lease.check().unwrap();
        drop(lease);
        assert!(files::names(folder.path()).unwrap().is_empty(), "the dead one's is gone, too");
    }

    #[test]
    fn a_holder_that_was_taken_for_dead_finds_out() {
        let folder = tempfile::tempdir().unwrap();
        let lease = take(folder.path()).unwrap();
        leased_elsewhere(folder.path(), 2, Duration::ZERO);
        let message = lease.check().unwrap_err().to_string();
        assert!(message.starts_with("another process has taken over `"), "{message}");
        drop(lease);
        assert!(folder.path().join(".lease-2").exists(), "it is the other's");
    }

    #[test]
    fn of_many_that_come_at_once_one_holds_the_folder() {
        for round in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            if round % 2 == 1 {
                leased_elsewhere(folder.path(), 3, DEAD_AFTER * 2);
            }
            let taken: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| take(folder.path()))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(taken.iter().filter(|lease| lease.is_ok()).count(), 1, "round {round}");
        }
    }

    /// One has seen no file, or a dead one, and creates its own after another has begun at 1.
    #[test]
    fn who_comes_late_gives_way_to_an_older_lease_whose_holder_lives() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap();
        let late = Lease::create(folder.path(), 2, Purpose::Training).unwrap().unwrap();
        assert!(!late.is_alone().unwrap());
        assert!(!first.is_alone().unwrap());
        late.give_up();
        assert_eq!(files::names(folder.path()).unwrap(), [".lease-1"]);
        assert!(first.is_alone().unwrap());
    }

    /// It was taken for dead by one that has died since.
    #[test]
    fn who_has_lost_a_lease_keeps_nobody_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let lost = take(folder.path()).unwrap();
        leased_elsewhere(folder.path(), 2, DEAD_AFTER * 2);
        assert_eq!(take(folder.path()).unwrap().number, 3);
        drop(lost);
    }

    #[test]
    fn a_training_listens_for_a_holder_on_another_machine() {
        let folder = tempfile::tempdir().unwrap();
        let holder =
            leased_elsewhere(folder.path(), 1, DEAD_AFTER.saturating_sub(LISTEN_AGAIN / 2));
        let mut told = None;
        let lease = Lease::take_for_training(folder.path(), |holder| {
            told = Some(holder.clone());
            thread::sleep(LISTEN_AGAIN);
            Ok(())
        });
        assert_eq!(told, Some(holder));
        assert_eq!(lease.unwrap().number, 2);

        let folder = tempfile::tempdir().unwrap();
        leased_elsewhere(folder.path(), 1, BEAT);
        let beats = |_: &Holder| {
            leased_elsewhere(folder.path(), 1, Duration::ZERO);
            Ok(())
        };
        let error = Lease::take_for_training(folder.path(), beats).unwrap_err().to_string();
        assert!(error.ends_with("process 4711 on node7"), "{error}");
    }

    #[test]
    fn a_lease_is_checked_again_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let lease = take(folder.path()).unwrap();
        leased_elsewhere(folder.path(), 2, Duration::ZERO);
        lease.check_now_and_then().unwrap();
        *lease.checked.lock().unwrap() -= CHECK_AGAIN;
        assert!(lease.check_now_and_then().is_err());
    }

    #[test]
    fn writers_wait_for_each_other_and_not_for_a_training() {
        let folder = tempfile::tempdir().unwrap();
        let count = std::sync::Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let lease = Lease::take_for_writing(folder.path(), |_| ()).unwrap();
                    let alone = count.try_lock().expect("nobody else writes");
                    thread::sleep(Duration::from_millis(5));
                    drop(alone);
                    drop(lease);
                });
            }
        });
        let _training = take(folder.path()).unwrap();
        assert!(Lease::take_for_writing(folder.path(), |_| ()).is_err());
    }
}
