//! The stories: what visitors do, each a test in `tests/browser` that drives a Chromium.

use anyhow::Result;

use crate::chromium::{Driver, Programs};
use crate::cuda::EMULATOR;
use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::{Workspace, remove_folder};

/// The variable in which the stories find chromedriver's address.
pub const DRIVER_VARIABLE: &str = "QUINTET_CHROMEDRIVER_URL";

/// Runs the stories whose names contain `name`, one after the other: each has five workers that want the cores for themselves.
///
/// # Errors
/// If one fails, or what they need is not built.
pub fn run(workspace: &Workspace, name: &str) -> Result<()> {
    let shell = Shell::new(workspace);
    let site = Site::of(workspace);
    remove_folder(&site.screenshots)?;
    let driver = Driver::start(&shell, &Programs::find(&shell)?.chromedriver)?;
    let mut command = shell.cargo("test");
    // The whole workspace, as in the step `tests`: another choice of packages would be another build.
    command
        .args(["--workspace", "--features", EMULATOR, "--test", "browser"])
        // Some stories print figures.
        .args(["--", "--ignored", "--test-threads=1", "--nocapture", name])
        .env(DRIVER_VARIABLE, driver.url());
    let outcome = shell::run(&mut command, "each failed story is named above");
    eprintln!("stories: screenshots are in {}", site.screenshots.display());
    outcome
}
