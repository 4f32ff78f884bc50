//! Visits: pages of a host of our own that load the JavaScript package and say how far they have come, which the host's log shows.
//! Nothing drives the browser, so that nothing but its profile outlives it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use super::contents::copy_folder;
use super::tally::When;
use crate::chromium::{self, Programs};
use crate::server::Server;
use crate::shell::Shell;
use crate::workspace::{Workspace, remove_folder};

/// The longest that a visit takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(3);

const PAGE: &str = include_str!("loader.html");

/// A host, and the browsers that visit it.
pub struct Visits<'a> {
    shell: Shell<'a>,
    chromium: PathBuf,
    server: Server,
    folder: PathBuf,
    /// The profile of a browser that has been there before.
    pub origin: PathBuf,
    count: Cell<usize>,
}

/// What a page told at its end: digests of its answers and of what the browser keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    pub answers: String,
    pub kept: String,
}

impl<'a> Visits<'a> {
    /// Starts the host of a package and of the folder of a bundle.
    pub fn host(
        workspace: &'a Workspace,
        folder: &Path,
        package: &Path,
        bundle: &Path,
    ) -> Result<Self> {
        let page = folder.join("page");
        fs::create_dir_all(&page)?;
        fs::write(page.join("page.html"), PAGE)?;
        let folders: [(&str, &Path); 3] =
            [("/", package), ("/bundle/", bundle), ("/survive/", &page)];
        let server = Server::start(0, &folders)?;
        let shell = Shell::new(workspace);
        let chromium = Programs::find(&shell)?.chromium;
        let (folder, origin) = (folder.to_owned(), folder.join("origins/profile"));
        Ok(Self { shell, chromium, server, folder, origin, count: Cell::new(0) })
    }

    /// A new visit's name.
    pub fn next(&self) -> String {
        self.count.set(self.count.get() + 1);
        self.count.get().to_string()
    }

    /// A new copy of the browser that keeps the older bundle.
    pub fn profile(&self) -> Result<PathBuf> {
        let profile = self.new_folder()?.join("profile");
        copy_folder(&self.origin, &profile)?;
        Ok(profile)
    }

    /// A new folder for a round. Processes of a killed browser may still be writing into the last one for a moment.
    pub fn new_folder(&self) -> Result<PathBuf> {
        let folder = self.folder.join("round");
        let start = Instant::now();
        while let Err(error) = remove_folder(&folder) {
            ensure!(start.elapsed() < PATIENCE, "{error:#}");
            thread::sleep(Duration::from_millis(50));
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A browser, to be given an address.
    pub fn browser(&self, profile: &Path) -> Command {
        let mut command = chromium::alone(&self.shell, &self.chromium, profile);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts a browser that opens the page.
    pub fn open(&self, profile: &Path, query: &str) -> Result<Child> {
        Ok(self.browser(profile).arg(self.address(query)).spawn()?)
    }

    /// The page's address with a visit's name, and more.
    pub fn address(&self, query: &str) -> String {
        format!("{}survive/page.html?visit={query}", self.server.url())
    }

    /// What the page said after this word, and when.
    pub fn said(&self, visit: &str, word: &str) -> Option<(String, SystemTime)> {
        let beginning = format!("/said/{visit}/{word}");
        let log = self.server.log();
        let said = log.iter().find(|asked| asked.target.starts_with(&beginning))?;
        Some((said.target[beginning.len()..].to_owned(), said.at))
    }

    /// Waits for one of these words; returns it and what follows.
    pub fn wait<'w>(
        &self,
        visit: &str,
        words: &[&'w str],
        browser: &mut Child,
    ) -> Result<(&'w str, String)> {
        let start = Instant::now();
        loop {
            let said = words.iter().find_map(|word| Some((*word, self.said(visit, word)?.0)));
            if let Some(said) = said {
                return Ok(said);
            }
            if let Some(status) = browser.try_wait()? {
                bail!("the browser has ended: {status}");
            }
            ensure!(start.elapsed() < PATIENCE, "the page never said {}", words.join(" or "));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the visit.
    ///
    /// # Errors
    /// If the page fails, or its browser ends before.
    pub fn ended(&self, visit: &str, browser: &mut Child) -> Result<Ended> {
        let (word, rest) = self.wait(visit, &["end", "failed"], browser)?;
        ensure!(word == "end", "the page failed: {rest}");
        let digests = rest.trim_start_matches('/').split_once('/');
        let (answers, kept) = digests.context("the page tells two digests")?;
        Ok(Ended { answers: answers.to_owned(), kept: kept.to_owned() })
    }

    /// How far the page of this visit had come when it was struck.
    pub fn when(&self, visit: &str) -> When {
        let Some((_, begin)) = self.said(visit, "begin") else { return When::Before };
        let is_shard = |target: &str| target.ends_with(".safetensors");
        let log = self.server.log();
        match self.said(visit, "end") {
            Some(_) => When::After,
            None if log.iter().any(|asked| asked.at >= begin && is_shard(&asked.target)) => {
                When::Middle
            }
            None => When::Before,
        }
    }
}
