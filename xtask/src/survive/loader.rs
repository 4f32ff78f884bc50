//! The JavaScript package's loader: a page that replaces the models of an older bundle by those of a newer one is killed with
//! its browser, left in the middle, or has no room for them. The next visit must answer as an undisturbed one, and the
//! browser must then keep what it keeps after an undisturbed one: all shards of the new bundle and none of the old.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use super::blow::{in_a_namespace, signal};
use super::contents::copy_folder;
use super::random::Random;
use super::rounds::Series;
use super::tally::{Struck, Tally};
use super::visits::{Ended, PATIENCE, Visits};
use crate::shell::Killed;
use crate::site::Site;
use crate::workspace::{Workspace, remove_folder};

/// The name of the loader among the commands.
pub const LOADER: &str = "loader";

/// The encodings of the older and the newer bundle.
const OLD: &str = "int8";
const NEW: &str = "int12";

/// Starts the browser with its profile on a disk of `SIZE` bytes and ends it when there is a file `go`; then with room until
/// there is a file `stop`.
const ON_A_SMALL_DISK: &str = "
    set -e
    mkdir -p \"$PROFILE\"
    mount -t tmpfs -o size=\"$SIZE\" none \"$PROFILE\"
    cp -R \"$ORIGIN/.\" \"$PROFILE\"
    \"$@\" \"$FIRST\" & process=$!
    until [ -e go ]; do sleep 0.05; done
    kill -KILL $process 2>/dev/null || true
    wait $process || true
    mount -o remount,size=2g \"$PROFILE\"
    \"$@\" \"$SECOND\" & process=$!
    until [ -e stop ]; do sleep 0.05; done
    kill -KILL $process 2>/dev/null || true
    wait $process || true";

/// The loader, and what it comes to undisturbed.
pub struct Loader<'a> {
    visits: Visits<'a>,
    /// The folder of the newer bundle.
    bundle: PathBuf,
    expected: Ended,
    takes: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    /// SIGKILL for the browser.
    Kill(Duration),
    /// The page goes to another address, which ends it and its workers.
    Leave(Duration),
    /// A disk with so many free bytes for the browser's profile.
    Disk(u64),
}

impl<'a> Loader<'a> {
    /// Sets up the host, a browser that keeps the older bundle, and what a visit comes to undisturbed.
    pub fn set(workspace: &'a Workspace, folder: &Path) -> Result<Self> {
        let site = Site::of(workspace);
        for (folder, step) in [
            (&site.package, "package"),
            (&site.bundle(OLD), "bundles"),
            (&site.bundle(NEW), "bundles"),
        ] {
            let remedy = || format!("run `cargo xtask test --only {step}`");
            ensure!(folder.is_dir(), "no {}: {}", folder.display(), remedy());
        }
        let host = folder.join("host");
        let [package, bundle, newer] = ["package", "bundle", "newer"].map(|name| host.join(name));
        // Copies, as another build may replace the originals meanwhile.
        copy_folder(&site.package, &package)?;
        copy_folder(&site.bundle(OLD), &bundle)?;
        copy_folder(&site.bundle(NEW), &newer)?;
        let visits = Visits::host(workspace, folder, &package, &bundle)?;
        keep_the_old(&visits)?;
        remove_folder(&bundle)?;
        fs::rename(newer, &bundle)?;
        let (expected, takes) = measure(&visits)?;
        Ok(Self { visits, bundle, expected, takes })
    }

    /// The rounds, and whether two pages at once were survived.
    pub fn play(&self, series: &Series) -> Result<(Tally, bool)> {
        let pair = self.two_at_once();
        if let Err(error) = &pair {
            eprintln!("loader, two at once: FAILED: {error:#}");
        }
        let tally = series.play(LOADER, self.takes, |random| {
            let blow = self.choose(series.may_mount, random)?;
            Ok((blow, self.round(blow)))
        })?;
        Ok((tally, pair.is_ok()))
    }

    fn choose(&self, may_mount: bool, random: &mut Random) -> Result<Blow> {
        let moment = self.takes.mul_f64(random.unit());
        let room = random.below(room(&self.bundle)?);
        Ok(match (may_mount && random.once_in(10), random.once_in(2)) {
            (true, _) => Blow::Disk(room),
            (false, true) => Blow::Kill(moment),
            (false, false) => Blow::Leave(moment),
        })
    }

    fn round(&self, blow: Blow) -> Result<Struck> {
        let (visit, again) = (self.visits.next(), self.visits.next());
        match blow {
            Blow::Kill(moment) => {
                let profile = self.visits.profile()?;
                let mut browser = Killed(self.visits.open(&profile, &visit)?);
                self.visits.wait(&visit, &["begin"], &mut browser.0)?;
                thread::sleep(moment);
                drop(browser);
                let struck = self.visits.when(&visit);
                self.must_come_to_the_end(&profile, &again)?;
                Ok(Struck::Killed(struck))
            }
            Blow::Leave(moment) => {
                let profile = self.visits.profile()?;
                let leave = format!("{visit}&leave={}&then={again}", moment.as_millis());
                let mut browser = Killed(self.visits.open(&profile, &leave)?);
                self.visits.wait(&again, &["begin"], &mut browser.0)?;
                let struck = self.visits.when(&visit);
                let ended = self.visits.ended(&again, &mut browser.0)?;
                ensure!(ended == self.expected, "after leaving: {}", self.difference(&ended));
                Ok(Struck::Killed(struck))
            }
            Blow::Disk(free) => self.starve(free, &visit, &again),
        }
    }

    fn starve(&self, free: u64, visit: &str, again: &str) -> Result<Struck> {
        let folder = self.visits.new_folder()?;
        let profile = folder.join("profile");
        let size = room(&self.visits.origin)? + free;
        let mut shell = in_a_namespace(ON_A_SMALL_DISK);
        let browser = self.visits.browser(&profile);
        shell.arg(browser.get_program()).args(browser.get_args());
        shell.current_dir(&folder).stderr(Stdio::null());
        shell
            .env("PROFILE", &profile)
            .env("ORIGIN", &self.visits.origin)
            .env("SIZE", size.to_string());
        shell.env("FIRST", self.visits.address(visit)).env("SECOND", self.visits.address(again));
        let mut shell = Killed(shell.spawn()?);
        let first = self.visits.ended(visit, &mut shell.0);
        fs::write(folder.join("go"), "")?;
        let second = self.visits.ended(again, &mut shell.0);
        fs::write(folder.join("stop"), "")?;
        shell.0.wait()?;
        let first = first.context("with a full disk")?;
        ensure!(first.answers == self.expected.answers, "with a full disk it answers otherwise");
        let second = second.context("with room")?;
        ensure!(second == self.expected, "with room: {}", self.difference(&second));
        Ok(Struck::Starved(first.kept != self.expected.kept))
    }

    /// Two pages of one browser that load the same at the same time: both answer.
    fn two_at_once(&self) -> Result<()> {
        let profile = self.visits.profile()?;
        let (visit, other, again) = (self.visits.next(), self.visits.next(), self.visits.next());
        let mut browser = Killed(self.visits.open(&profile, &format!("{visit}&other={other}"))?);
        for visit in [&visit, &other] {
            let ended = self.visits.ended(visit, &mut browser.0)?;
            ensure!(ended.answers == self.expected.answers, "one of two pages answers otherwise");
        }
        drop(browser);
        self.must_come_to_the_end(&profile, &again)
    }

    fn must_come_to_the_end(&self, profile: &Path, visit: &str) -> Result<()> {
        let mut browser = Killed(self.visits.open(profile, visit)?);
        let ended = self.visits.ended(visit, &mut browser.0).context("at the next visit")?;
        ensure!(ended == self.expected, "at the next visit: {}", self.difference(&ended));
        Ok(())
    }

    fn difference(&self, ended: &Ended) -> &'static str {
        match ended.answers == self.expected.answers {
            true => "the browser keeps something else",
            false => "it answers otherwise",
        }
    }
}

/// The bytes that a folder's files take on a file system in memory.
fn room(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += room(&entry.path())?;
        } else if kind.is_file() {
            bytes += entry.metadata()?.len().next_multiple_of(4096);
        }
    }
    Ok(bytes)
}

/// A visit to the older bundle, whose browser ends by itself.
fn keep_the_old(visits: &Visits) -> Result<()> {
    let visit = visits.next();
    let mut browser = Killed(visits.open(&visits.origin, &visit)?);
    visits.ended(&visit, &mut browser.0)?;
    signal("TERM", browser.0.id())?;
    let start = Instant::now();
    while browser.0.try_wait()?.is_none() {
        ensure!(start.elapsed() < PATIENCE, "the browser does not end");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Two undisturbed visits, which must end alike, and the time that the quicker takes.
fn measure(visits: &Visits) -> Result<(Ended, Duration)> {
    let undisturbed = || -> Result<(Ended, Duration)> {
        let profile = visits.profile()?;
        let visit = visits.next();
        let mut browser = Killed(visits.open(&profile, &visit)?);
        let ended = visits.ended(&visit, &mut browser.0)?;
        let moment = |word| visits.said(&visit, word).map(|(_, at)| at);
        let (begin, end) = moment("begin").zip(moment("end")).context("it has said both")?;
        Ok((ended, end.duration_since(begin).unwrap_or_default()))
    };
    let (first, second) = (undisturbed()?, undisturbed()?);
    ensure!(first.0 == second.0, "two undisturbed visits differ");
    Ok((first.0, first.1.min(second.1)))
}
