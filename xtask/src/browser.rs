//! Opens the built page in a headless Chromium and reads what it rendered.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::server::Server;
use crate::setup::find_chromium;
use crate::shell::Shell;
use crate::workspace::Workspace;

/// Written by the application alone: index.html has no heading of its own.
const RENDERED: &str = "<h1>Quintet</h1>";

const PATIENCE: Duration = Duration::from_mins(1);

/// Headless, alone with our server, and silent towards the rest of the network.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox", // root may not use it, and the page is ours
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Virtual time runs on only while nothing is being fetched, so a slow machine gets longer.
    "--virtual-time-budget=10000",
];

/// Serves `page` and fails unless Chromium renders the application from it with every file found.
pub fn open_page(workspace: &Workspace, page: &Path) -> Result<()> {
    let shell = Shell::new(workspace);
    let chromium = find_chromium(&shell).context("no Chromium: run `cargo xtask setup`")?;
    let server = Server::start(page)?;
    let scratch = workspace.target.join(format!("chromium-{}", std::process::id()));
    let dom = dump_dom(&shell, &chromium, &server.url(), &scratch);
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;

    let dom = dom?;
    ensure!(
        dom.contains(RENDERED),
        "Chromium opened the page but {RENDERED} is not in its DOM:\n{dom}"
    );
    let missing = server.missing();
    ensure!(missing.is_empty(), "the page asks for files that were not built: {missing:?}");
    Ok(())
}

fn dump_dom(shell: &Shell, chromium: &Path, url: &str, scratch: &Path) -> Result<String> {
    fs::create_dir_all(scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let (dom, log) = (scratch.join("dom.html"), scratch.join("log.txt"));
    eprintln!("$ {} --headless --dump-dom {url}", chromium.display());
    let child = shell
        .command(chromium)
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", scratch.join("profile").display()))
        .args(["--dump-dom", url])
        .stdin(Stdio::null())
        .stdout(File::create(&dom)?)
        .stderr(File::create(&log)?)
        .spawn()
        .with_context(|| format!("cannot start {}", chromium.display()))?;
    wait(child).with_context(|| {
        format!("Chromium said:\n{}", fs::read_to_string(&log).unwrap_or_default())
    })?;
    Ok(fs::read_to_string(&dom)?)
}

fn wait(mut child: Child) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "Chromium failed ({status})");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    bail!("Chromium rendered nothing within {} s", PATIENCE.as_secs())
}
