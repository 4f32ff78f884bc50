//! The browser of a visitor, in whichever engine the story is played: what WebDriver does the same in all, and what each has
//! words of its own for.

use std::env;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use xtask::engines::{Ability, Driver, Engine, Scheme, Storage, Wishes};
use xtask::shell::Shell;
use xtask::stories::{ABSENT, ALONE_VARIABLE, ENGINE_VARIABLE, SKIPPED, VERSION};
use xtask::workspace::Workspace;

use crate::complaints;
use crate::webdriver::Session;

/// A quota of fewer bytes than any shard has.
const NO_ROOM: u32 = 1000;

/// The narrowest page in WebKitGTK's window, in pixels: 447 was seen, and letters of another size may change it.
const LEAST_OF_WEBKIT: u32 = 480;

pub struct Browser {
    pub engine: Engine,
    pub session: Session,
    driver: Driver,
}

/// The engine that this story is played in.
pub fn engine() -> Engine {
    let name = env::var(ENGINE_VARIABLE)
        .unwrap_or_else(|_| panic!("{ENGINE_VARIABLE} is not set: `cargo xtask test` sets it"));
    Engine::named(&name).unwrap()
}

/// Whether the engine can do all that a story needs. If not, says that the story is skipped, and why.
pub fn can(needed: &[Ability]) -> bool {
    let engine = engine();
    let is_alone = env::var_os(ALONE_VARIABLE).is_some();
    let needed = needed.iter().filter(|ability| !(is_alone && **ability == Ability::Time));
    let lacking = needed.copied().find_map(|ability| engine.lacks(ability));
    if let Some(reason) = lacking {
        println!("{SKIPPED}{reason}");
    }
    lacking.is_none()
}

impl Browser {
    /// Starts a new browser for the site at `origin`. It keeps everything in `folder` and saves files in `downloads` there.
    pub fn start(
        shell: &Shell,
        folder: &Path,
        origin: &str,
        wishes: Wishes,
    ) -> Result<Self, String> {
        let engine = engine();
        let driver =
            Driver::start(shell, engine, folder, wishes).map_err(|error| format!("{error:#}"))?;
        let session = Session::start(&driver.url(), driver.capabilities())?;
        let browser = Self { engine, session, driver };
        if engine == Engine::Chromium {
            let downloads =
                json!({ "behavior": "allow", "downloadPath": folder.join("downloads") });
            // Headless, it saves nothing unless told where.
            browser.session.devtools("Browser.setDownloadBehavior", downloads);
            if wishes.scheme == Scheme::Dark {
                browser.prefer("prefers-color-scheme", "dark");
            }
            if wishes.storage == Storage::Scarce {
                let origin = origin.trim_end_matches('/');
                let quota = json!({ "origin": origin, "quotaSize": NO_ROOM });
                browser.session.devtools("Storage.overrideQuotaForOrigin", quota);
            }
        }
        Ok(browser)
    }

    /// Inserts text where the focus is, all at once, as an input method does.
    pub fn insert(&self, text: &str) {
        let inserted = self
            .session
            .run("return document.execCommand('insertText', false, arguments[0])", text.into());
        assert_eq!(inserted, true, "nothing that has the focus takes {text:?}");
    }

    /// Takes a picture: of the whole page where the driver can, else of what the window shows.
    pub fn picture(&self) -> Vec<u8> {
        let picture = match self.engine {
            Engine::Chromium => return self.picture_with(json!({})),
            Engine::Firefox => self.session.get("/moz/screenshot/full"),
            Engine::WebKit => self.session.get("/screenshot"),
        };
        BASE64_STANDARD.decode(picture.unwrap().as_str().unwrap()).unwrap()
    }

    /// Takes a picture by Chromium's own command, as WebDriver's shows no more than the window does.
    pub fn picture_with(&self, mut parameters: Value) -> Vec<u8> {
        parameters["captureBeyondViewport"] = true.into();
        let picture = self.session.devtools("Page.captureScreenshot", parameters);
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// Makes the part of the window that shows the page so large, with this many device pixels per pixel where that can be
    /// chosen. Windows have a least width, so each engine has a way of its own.
    pub fn resize(&self, width: u32, height: u32, scale: f64) {
        let size = json!({ "width": width, "height": height });
        match self.engine {
            Engine::Chromium => {
                let mut screen = size;
                screen["deviceScaleFactor"] = scale.into();
                screen["mobile"] = (width < 600).into();
                self.session.devtools("Emulation.setDeviceMetricsOverride", screen);
            }
            Engine::Firefox => {
                const SCRIPT: &str = "
                    const { width, height } = arguments[0];
                    const style = window.gBrowser.selectedBrowser.style;
                    [style.width, style.height] = [`${width}px`, `${height}px`];
                    [style.maxWidth, style.maxHeight] = [style.width, style.height];";
                self.session.run_in_firefox(SCRIPT, size);
            }
            Engine::WebKit => self.session.resize_page(width, height),
        }
    }

    /// The width nearest to this one that the page can have: WebKitGTK's window is as wide as its buttons.
    pub fn nearest(&self, width: u32) -> u32 {
        if self.engine == Engine::WebKit { width.max(LEAST_OF_WEBKIT) } else { width }
    }

    /// Sets a media feature of the page that is open.
    pub fn prefer(&self, name: &str, value: &str) {
        match self.engine {
            Engine::Chromium => {
                let features = json!({ "features": [{ "name": name, "value": value }] });
                self.session.devtools("Emulation.setEmulatedMedia", features);
            }
            Engine::Firefox => {
                let (setting, number) = match (name, value) {
                    ("prefers-color-scheme", "dark") => {
                        ("layout.css.prefers-color-scheme.content-override", 0)
                    }
                    ("prefers-color-scheme", _) => {
                        ("layout.css.prefers-color-scheme.content-override", 1)
                    }
                    _ => ("ui.prefersReducedMotion", 1),
                };
                let script = "Services.prefs.setIntPref(...arguments[0])";
                self.session.run_in_firefox(script, json!([setting, number]));
            }
            Engine::WebKit => panic!("the story needs Ability::Media"),
        }
    }

    /// Lets the page copy. Headless Chromium asks for it, and nobody is there to say yes; the others ask for nothing.
    pub fn permit_clipboard(&self, origin: &str) {
        if self.engine == Engine::Chromium {
            let permissions = json!(["clipboardReadWrite", "clipboardSanitizedWrite"]);
            let grant = json!({ "origin": origin, "permissions": permissions });
            self.session.devtools("Browser.grantPermissions", grant);
        }
    }

    /// Tells the browser that there is no network, where it can be told. What it asks for arrives nevertheless: it is the
    /// host that has to be silent.
    pub fn set_offline(&self, offline: bool) {
        match self.engine {
            Engine::Chromium => self.session.set_offline(offline),
            Engine::Firefox => {
                self.session.run_in_firefox("Services.io.offline = arguments[0]", offline.into());
            }
            Engine::WebKit => (),
        }
    }

    /// The errors and warnings on the console, but for those from these sources: `network`, `security`, `javascript`.
    pub fn complaints(&self, forgiven: &[&str]) -> Vec<String> {
        match self.engine {
            Engine::Chromium => complaints::of_chromium(&self.session.console(), forgiven),
            Engine::Firefox => complaints::of_firefox(&self.driver.said(), forgiven),
            Engine::WebKit => complaints::of_webkit(&self.driver.said(), forgiven),
        }
    }
}

#[test]
#[ignore = "needs a browser: cargo xtask test"]
fn the_browser_starts_and_says_its_version() {
    let workspace = Workspace::find();
    let folder = tempfile::tempdir().unwrap();
    match Browser::start(&Shell::new(&workspace), folder.path(), "", Wishes::default()) {
        Ok(browser) => println!("{VERSION}{}", browser.session.version()),
        Err(reason) => {
            println!("{ABSENT}{}", reason.replace('\n', " "));
            panic!("{reason}");
        }
    }
}
