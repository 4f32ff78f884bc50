//! Chromium: how it is started, alone or driven, and `web`'s tests that run in it.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The request to chromedriver: this Chromium with our flags and `more`, and with these settings besides.
pub fn capabilities(chromium: &Path, more: &[String], settings: &[(&str, Value)]) -> Value {
    let arguments: Vec<&str> = FLAGS.into_iter().chain(more.iter().map(String::as_str)).collect();
    let mut preferences = json!({ "download.prompt_for_download": false });
    for (name, value) in settings {
        preferences[*name] = value.clone();
    }
    json!({
        "goog:chromeOptions": {
            "binary": chromium,
            "args": arguments,
            "prefs": preferences,
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
    fs::write(&settings, capabilities(&chromium, &[], &[]).to_string())?;
    let mut command = shell.cargo("test");
    command
        .args(["--package", "web", "--target", WASM_TARGET])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &settings)
        .env("CHROMEDRIVER", &chromedriver);
    Ok(command)
}
