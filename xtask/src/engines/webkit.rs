//! WebKitGTK: how its driver is started, and what a session is asked for.
//!
//! The browser is MiniBrowser, which WebKit's own tests use and the driver knows. In a session it keeps all that sites store
//! in memory.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use fs_err as fs;
use serde_json::{Value, json};

use super::types::{Scheme, Storage, Wishes};

pub fn prepare(driver: &mut Command, folder: &Path, port: u16) -> Result<()> {
    driver.args(["--host=127.0.0.1", &format!("--port={port}")]);
    // The browser saves files where the desktop's settings say, and asks for nothing else.
    let settings = folder.join("config");
    fs::create_dir_all(&settings)?;
    let downloads = folder.join("downloads");
    fs::write(
        settings.join("user-dirs.dirs"),
        format!("XDG_DOWNLOAD_DIR=\"{}\"\n", downloads.display()),
    )?;
    driver.env("XDG_CONFIG_HOME", settings).env("HOME", folder);
    // Root may not use it, and the page is ours.
    driver.env("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1");
    // There is neither a bus for accessibility nor a graphics card.
    driver.env("NO_AT_BRIDGE", "1").env("LIBGL_ALWAYS_SOFTWARE", "1");
    Ok(())
}

pub fn capabilities(wishes: Wishes) -> Value {
    let mut arguments = vec!["--automation", "--enable-write-console-messages-to-stdout=true"];
    if wishes.scheme == Scheme::Dark {
        arguments.push("--dark-mode");
    }
    if wishes.storage == Storage::Forbidden {
        // It has no one setting for all that sites keep.
        let off = ["--cookies-policy=never", "--enable-html5-local-storage=false"];
        arguments.extend(off.into_iter().chain(["--features=!CacheAPI"]));
    }
    json!({ "webkitgtk:browserOptions": { "args": arguments } })
}
