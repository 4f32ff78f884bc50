//! A page on a host of our own in a Chromium of its own, and what the page says, which the host's log shows.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use percent_encoding::percent_decode_str;

use super::answers::Answers;
use crate::chromium::{self, Programs};
use crate::server::Server;
use crate::shell::{self, Killed, Shell};
use crate::workspace::Workspace;

/// The longest that a page takes to answer on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

pub struct Host {
    server: Server,
    version: String,
    _browser: Killed,
}

impl Host {
    /// Serves a page and opens it.
    pub fn open(workspace: &Workspace, folders: &[(&str, &Path)], profile: &Path) -> Result<Self> {
        let shell = Shell::new(workspace);
        let server = Server::start(0, folders)?;
        let chromium = Programs::find(&shell)?.chromium;
        let version = shell::answer(shell.command(&chromium).arg("--version")).unwrap_or_default();
        let mut browser = chromium::alone(&shell, &chromium, profile);
        browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let browser = Killed(browser.arg(server.url()).spawn()?);
        Ok(Self { server, version, _browser: browser })
    }

    /// The browser's version, such as `151.0`.
    pub fn browser_version(&self) -> String {
        let version =
            self.version.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        version.unwrap_or_default().split('.').take(2).collect::<Vec<_>>().join(".")
    }

    /// # Errors
    /// If the page fails, or does not answer.
    pub fn answers(&self) -> Result<Answers> {
        Answers::of(&serde_json::from_str(&self.said("answers")?)?)
    }

    /// What the page says after this word.
    ///
    /// # Errors
    /// If it fails instead, or never says it.
    pub fn said(&self, word: &str) -> Result<String> {
        let start = Instant::now();
        loop {
            for asked in self.server.log() {
                let Some(said) = asked.target.strip_prefix("/said/") else { continue };
                match said.split_once('/') {
                    Some((said, rest)) if said == word => return Ok(decoded(rest)),
                    Some(("failed", rest)) => bail!("it failed: {}", decoded(rest)),
                    _ => {}
                }
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "it never said `{word}`; asked for: {}",
                self.asked()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn asked(&self) -> String {
        let log = self.server.log();
        let told = log.iter().map(|asked| format!("{} {}", asked.status, asked.target));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// Undoes `encodeURIComponent`.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
