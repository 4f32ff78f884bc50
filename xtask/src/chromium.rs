//! The browser that the page is tested in: how it is started, and the process that drives it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::{Value, json};

use crate::setup::{WASM_TARGET, find_chromedriver, find_chromium};
use crate::shell::Shell;
use crate::workspace::Workspace;

/// Headless, alone with our server, and silent towards the rest of the network.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox", // root may not use it, and the page is ours
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage", // containers give it 64 MB
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // What Chromium asks its maker on its own account gets no answer here.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--window-size=1280,900",
];

/// The request to chromedriver: this Chromium with our flags and `more`.
pub fn capabilities(chromium: &Path, more: &[String]) -> Value {
    let arguments: Vec<&str> = FLAGS.into_iter().chain(more.iter().map(String::as_str)).collect();
    json!({
        "goog:chromeOptions": {
            "binary": chromium,
            "args": arguments,
            "prefs": { "download.prompt_for_download": false },
        },
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}

/// A Chromium that nobody drives, to be given an address.
pub fn alone(shell: &Shell, chromium: &Path, profile: &Path) -> Command {
    let mut command = shell.command(chromium);
    // With a port to be debugged by, it stays until it is ended.
    command.args(FLAGS).arg("--remote-debugging-port=0");
    command.arg(format!("--user-data-dir={}", profile.display()));
    command
}

/// The Chromium that the tests use, and its driver.
pub struct Programs {
    pub chromium: PathBuf,
    pub chromedriver: PathBuf,
}

impl Programs {
    pub fn find(shell: &Shell) -> Result<Self> {
        const REMEDY: &str = "run `cargo xtask setup`";
        Ok(Self {
            chromium: find_chromium(shell).with_context(|| format!("no Chromium: {REMEDY}"))?,
            chromedriver: find_chromedriver(shell)
                .with_context(|| format!("no chromedriver: {REMEDY}"))?,
        })
    }
}

/// `cargo test` of `web`'s tests that run in Chromium, to be given more arguments.
pub fn tests(workspace: &Workspace) -> Result<Command> {
    let shell = Shell::new(workspace);
    let Programs { chromium, chromedriver } = Programs::find(&shell)?;
    let settings = workspace.target.join("webdriver.json");
    fs::write(&settings, capabilities(&chromium, &[]).to_string())?;
    let mut command = shell.cargo("test");
    command
        .args(["--package", "web", "--target", WASM_TARGET])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &settings)
        .env("CHROMEDRIVER", &chromedriver);
    Ok(command)
}

/// A chromedriver that lives as long as this value.
pub struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    pub fn start(shell: &Shell, program: &Path) -> Result<Self> {
        let mut process = shell
            .command(program)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let said = process.stdout.take().expect("it is piped");
        match read_port(said) {
            Ok(port) => Ok(Self { process, port }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(error)
            }
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It is gone already or it goes now; a test's verdict does not hang on it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Chromedriver chooses a port and says which: `... started successfully on port 40123.`
fn read_port(said: ChildStdout) -> Result<u16> {
    let mut lines = BufReader::new(said).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| port_in(&line));
    // What else it says is read and dropped, so that it never waits for a reader.
    thread::spawn(move || lines.for_each(drop));
    port.context("chromedriver ended without naming its port")
}

fn port_in(line: &str) -> Option<u16> {
    line.strip_suffix('.')?.rsplit_once("on port ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_port_in_what_chromedriver_says() {
        let port = port_in("ChromeDriver was started successfully on port 40123.");
        assert_eq!(port, Some(40123));
        let first = "Starting ChromeDriver 156.0.8078.79 (a21ce95c) on port 0";
        assert_eq!(port_in(first), None);
    }
}
