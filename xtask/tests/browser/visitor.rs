//! One visitor: a fresh Chromium profile, a server of his own, and what he does and sees.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use xtask::chromium::{Programs, capabilities};
use xtask::server::Server;
use xtask::shell::Shell;
use xtask::site::Site;
use xtask::test::DRIVER_VARIABLE;
use xtask::workspace::Workspace;

use crate::elements::FOLDS;
use crate::net_log::{self, Request};
use crate::webdriver::Session;

/// For what takes a moment: loading five small models on two slow cores.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Chromium's remark on trunk's preloads; `boot.js` checks the module that it remarks on.
const UNCHECKED_PRELOAD: &str = "`integrity` attribute is currently ignored for preload";

/// How a visitor comes, and to what.
pub struct Visit<'a> {
    pub files: Files,
    /// The bundle that the site has.
    pub encoding: &'a str,
    /// Where on the host the site lies.
    pub path: &'a str,
    /// Runs before any script of the page.
    pub before: &'a str,
}

impl Default for Visit<'_> {
    fn default() -> Self {
        Self { files: Files::Page, encoding: "int12", path: "/", before: "" }
    }
}

/// What the host serves beside the bundle.
pub enum Files {
    Page,
    /// The JavaScript package and its example.
    Package,
}

pub struct Visitor {
    pub session: Session,
    pub server: Server,
    pub site: Site,
    url: String,
    bundle: String,
    /// Where the bundle lies on the disk.
    folder: PathBuf,
    /// Profile, downloads and net log; removed when the visitor leaves.
    scratch: PathBuf,
}

impl Visitor {
    /// A browser that has not opened the page yet.
    pub fn ready() -> Self {
        Self::ready_for(&Visit::default())
    }

    pub fn ready_for(visit: &Visit) -> Self {
        let workspace = Workspace::find();
        let site = Site::of(&workspace);
        let Visit { files, encoding, path, before } = visit;
        let bundle = format!("{path}bundle/");
        let folder = site.bundle(encoding);
        let files = match files {
            Files::Page => &site.dist,
            Files::Package => &site.package,
        };
        let folders = [(*path, files.as_path()), (&bundle, &folder)];
        let server = Server::start(0, &folders).unwrap();
        let driver = env::var(DRIVER_VARIABLE)
            .unwrap_or_else(|_| panic!("{DRIVER_VARIABLE} is not set: `cargo xtask test` sets it"));
        let shell = Shell::new(&workspace);
        let scratch = workspace.target.join(format!("visitor-{}", port(&server)));
        fs::create_dir_all(scratch.join("downloads")).unwrap();
        let flags = [
            format!("--user-data-dir={}", scratch.join("profile").display()),
            format!("--log-net-log={}", scratch.join("net.json").display()),
        ];
        let chromium = Programs::find(&shell).unwrap().chromium;
        let session = Session::start(&driver, &capabilities(&chromium, &flags));
        let downloads = json!({ "behavior": "allow", "downloadPath": scratch.join("downloads") });
        session.devtools("Browser.setDownloadBehavior", downloads);
        let script = json!({ "source": before });
        session.devtools("Page.addScriptToEvaluateOnNewDocument", script);
        let url = format!("{}{}", server.url(), path.trim_start_matches('/'));
        Self { session, server, site, url, bundle, folder, scratch }
    }

    /// A browser in which the page is open.
    pub fn arrived() -> Self {
        let visitor = Self::ready();
        visitor.arrive();
        visitor
    }

    /// A browser in which all models of the page are loaded.
    pub fn settled() -> Self {
        let visitor = Self::arrived();
        visitor.wait_for_all_folds();
        visitor
    }

    /// Opens the page and lets it load its models.
    pub fn arrive(&self) {
        self.session.open(&self.url);
        self.begin_loading();
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of the bundle on the server.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// The path on the server of a shard that every fold needs.
    pub fn a_shard_of_all_folds(&self) -> String {
        self.shard(|folds| folds.len() == FOLDS)
    }

    /// The path on the server of a shard that only the last fold needs.
    pub fn a_shard_of_the_last_fold(&self) -> String {
        self.shard(|folds| *folds == [FOLDS - 1])
    }

    /// The paths on the server of the shards that have the embeddings of rarer words.
    pub fn cold_shards(&self) -> Vec<String> {
        let cold = |shard: &&Value| shard["cold"] == Value::Bool(true);
        self.shards().iter().filter(cold).map(|shard| self.path_of(shard)).collect()
    }

    fn shard(&self, is_wanted: impl Fn(&Vec<usize>) -> bool) -> String {
        let shards = self.shards();
        let shard = shards
            .iter()
            .find(|shard| is_wanted(&serde_json::from_value(shard["folds"].clone()).unwrap()))
            .unwrap();
        self.path_of(shard)
    }

    fn path_of(&self, shard: &Value) -> String {
        format!("{}{}.safetensors", self.bundle, shard["sha256"].as_str().unwrap())
    }

    fn shards(&self) -> Vec<Value> {
        let manifest = fs::read_to_string(self.folder.join("manifest.json")).unwrap();
        let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
        serde_json::from_value(manifest["shards"].take()).unwrap()
    }

    pub fn downloads(&self) -> PathBuf {
        self.scratch.join("downloads")
    }

    /// Writes a file that the visitor has on the disk.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.scratch.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// What the page's script says to an expression.
    pub fn ask(&self, expression: &str) -> Value {
        self.session.run(&format!("return {expression}"), Value::Null)
    }

    pub fn says(&self, expression: &str) -> bool {
        self.ask(&format!("Boolean({expression})")).as_bool().unwrap()
    }

    /// Waits until the expression holds.
    pub fn wait_until(&self, expression: &str) {
        self.wait_at_most(PATIENCE, expression);
    }

    pub fn wait_at_most(&self, patience: Duration, expression: &str) {
        let start = Instant::now();
        while !self.says(expression) {
            let waited = start.elapsed();
            assert!(waited < patience, "after {} s still not: {expression}", waited.as_secs());
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Text into whatever has the focus, as an input method would put it there: any character, any length, at once.
    pub fn insert(&self, text: &str) {
        self.session.devtools("Input.insertText", json!({ "text": text }));
    }

    /// A picture of the whole page, kept under `name`.
    pub fn picture(&self, name: &str) {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.session.devtools("Page.captureScreenshot", parameters);
        fs::create_dir_all(&self.site.screenshots).unwrap();
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        fs::write(self.site.screenshots.join(format!("{name}.png")), bytes).unwrap();
    }

    /// Leaves a page on which nothing went wrong: no error, no warning of a broken policy, no file that is not there.
    pub fn leave(self) {
        self.leave_despite(&[]);
    }

    /// Leaves after a story in which the host misbehaved: its failed requests stand in the console, and nothing else may.
    pub fn leave_a_broken_host(self) {
        self.leave_despite(&["network"]);
    }

    /// Leaves after a story that provoked complaints from these of the console's sources.
    pub fn leave_despite(self, sources: &[&str]) {
        self.assert_quiet_but_for(sources);
    }

    /// As [`Visitor::leave`]; gives the requests that the browser made from `moment` on.
    pub fn leave_and_list_requests(self, moment: SystemTime) -> Vec<Request> {
        self.assert_quiet_but_for(&[]);
        self.session.end();
        let log = self.scratch.join("net.json");
        let requests = net_log::requests(&log, &self.server.url());
        assert!(
            !requests.is_empty(),
            "the net log knows nothing of the page: it was not read right"
        );
        requests.into_iter().filter(|request| request.at >= moment).collect()
    }

    fn assert_quiet_but_for(&self, sources: &[&str]) {
        let mut complaints = self.session.console();
        complaints.retain(|entry| {
            let [level, source, message] =
                ["level", "source", "message"].map(|field| entry[field].as_str().unwrap());
            !["INFO", "DEBUG"].contains(&level)
                && !sources.contains(&source)
                && !message.contains(UNCHECKED_PRELOAD)
        });
        assert!(complaints.is_empty(), "the console says: {complaints:#?}");
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if thread::panicking() {
            let story = thread::current().name().unwrap_or("story").replace("::", "-");
            self.picture(&format!("failed-{story}"));
            eprintln!("the page said:\n{}", self.ask("document.body.innerText"));
            eprintln!("the console said: {:#?}", self.session.console());
            for asked in self.server.log() {
                eprintln!("asked: {} {} {}", asked.method, asked.target, asked.status);
            }
        }
        self.session.end();
        remove(&self.scratch);
    }
}

fn port(server: &Server) -> String {
    server.url().trim_end_matches('/').rsplit(':').next().unwrap().to_owned()
}

/// Chromium may still be writing into it for a moment.
fn remove(folder: &Path) {
    for _ in 0..20 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
