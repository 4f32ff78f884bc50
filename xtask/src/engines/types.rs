//! The engines by name, where their programs are, and what a browser is started with.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::chromium::Programs;
use crate::setup::{find_firefox, find_geckodriver, find_webkit_driver, find_xvfb};
use crate::shell::Shell;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Blink, in Chromium or Chrome. It can be told the most, so all stories are played in it.
    Chromium,
    /// Gecko, in Firefox.
    Firefox,
    /// WebKit in GTK's port, in the browser that is made for its tests. Safari's engine is the same, its system is not.
    WebKit,
}

/// The colours that a visitor prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Light,
    Dark,
}

/// The room that a site has in the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    #[default]
    Usual,
    /// Less than a shard takes.
    Scarce,
    /// The visitor's settings forbid sites to keep anything.
    Forbidden,
}

/// What a browser is started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    pub scheme: Scheme,
    pub storage: Storage,
}

impl Engine {
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Firefox, Self::WebKit];

    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::WebKit => "webkit",
        }
    }

    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|engine| engine.name() == name);
        found.with_context(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no engine is called `{name}` (there are: {names})")
        })
    }

    /// Finds the programs that run and drive it.
    ///
    /// # Errors
    /// If one is missing: which one, and how it is installed.
    pub fn find(self, shell: &Shell) -> Result<Found> {
        let found = match self {
            Self::Chromium => {
                let Programs { chromium, chromedriver } = Programs::find(shell)?;
                return Ok(Found { browser: Some(chromium), driver: chromedriver, display: None });
            }
            Self::Firefox => find_firefox(shell).zip(find_geckodriver(shell)).map(|both| {
                let (browser, driver) = both;
                Found { browser: Some(browser), driver, display: None }
            }),
            // The driver knows its browser.
            Self::WebKit => find_webkit_driver(shell).zip(find_xvfb(shell)).map(|both| {
                let (driver, display) = both;
                Found { browser: None, driver, display: Some(display) }
            }),
        };
        match (self, found) {
            (_, Some(found)) => Ok(found),
            (Self::Firefox, None) => bail!("no Firefox with geckodriver"),
            (_, None) => bail!("no WebKitWebDriver with Xvfb"),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
            Self::WebKit => "WebKitGTK",
        })
    }
}

/// The programs of an engine.
pub struct Found {
    /// None where the driver knows it.
    pub browser: Option<PathBuf>,
    pub driver: PathBuf,
    /// What gives a browser without a headless mode a screen.
    pub display: Option<PathBuf>,
}
