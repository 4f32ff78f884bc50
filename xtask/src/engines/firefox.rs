//! Firefox: how its driver is started, and what a session is asked for.
//!
//! <https://firefox-source-docs.mozilla.org/testing/geckodriver/Capabilities.html>

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::types::{Scheme, Storage, Wishes};

pub fn prepare(driver: &mut Command, folder: &Path) {
    // Any free ports, so that drivers run side by side.
    driver.args(["--host=127.0.0.1", "--port=0", "--websocket-port=0"]);
    driver.arg("--profile-root").arg(folder);
    // The stories change settings of a browser that runs.
    driver.arg("--allow-system-access");
    // It names the folder below which Firefox keeps what belongs to no profile.
    driver.env("HOME", folder);
    driver.env("MOZ_HEADLESS_WIDTH", "1280").env("MOZ_HEADLESS_HEIGHT", "900");
}

pub fn capabilities(firefox: &Path, downloads: &Path, wishes: Wishes) -> Value {
    let mut settings = json!({
        // What the console says, and errors that nobody catches, are printed.
        "devtools.console.stdout.content": true,
        // Not what Firefox says of itself.
        "devtools.console.stdout.chrome": false,
        "browser.dom.window.dump.enabled": true,
        // The table is saved and nothing is asked.
        "browser.download.folderList": 2,
        "browser.download.dir": downloads,
        "browser.download.alwaysOpenPanel": false,
        "browser.helperApps.neverAsk.saveToDisk": "text/csv",
        // What Firefox asks its maker on its own account gets no answer here: port 9 discards.
        "network.proxy.type": 1,
        "network.proxy.http": "127.0.0.1",
        "network.proxy.http_port": 9,
        "network.proxy.ssl": "127.0.0.1",
        "network.proxy.ssl_port": 9,
        "layout.css.prefers-color-scheme.content-override": match wishes.scheme {
            Scheme::Dark => 0,
            Scheme::Light => 1,
        },
    });
    match wishes.storage {
        Storage::Usual => (),
        // All that sites may keep, in units of 1024 bytes.
        Storage::Scarce => settings["dom.quotaManager.temporaryStorage.fixedLimit"] = 1.into(),
        // "Block all cookies", which blocks what sites keep in any other way, too.
        Storage::Forbidden => settings["network.cookie.cookieBehavior"] = 2.into(),
    }
    json!({
        "moz:firefoxOptions": {
            "binary": firefox,
            "args": ["-headless"],
            "prefs": settings,
        },
    })
}
