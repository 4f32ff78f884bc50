//! A visitor: a new Chromium profile, a server, and functions for what the visitor does and sees.

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use xtask::chromium::{Programs, capabilities};
use xtask::server::Server;
use xtask::shell::Shell;
use xtask::site::Site;
use xtask::stories::DRIVER_VARIABLE;
use xtask::workspace::Workspace;

use crate::elements::FOLDS;
use crate::net_log::{self, Request};
use crate::webdriver::Session;

/// A warning of Chromium about trunk's preloads. `boot.js` checks the integrity of the module in question.
const UNCHECKED_PRELOAD: &str = "`integrity` attribute is currently ignored for preload";

/// The site and how the visitor opens it.
pub struct Visit<'a> {
    pub files: Files,
    /// The encoding of the site's bundle.
    pub encoding: &'a str,
    /// The path of the site on its host.
    pub path: &'a str,
    /// A script that runs before any script of the page.
    pub before: &'a str,
}

impl Default for Visit<'_> {
    fn default() -> Self {
        Self { files: Files::Page, encoding: "int12", path: "/", before: "" }
    }
}

/// The files that the host serves beside the bundle.
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
    /// The folder of the bundle.
    folder: PathBuf,
    /// The folder of profile, downloads and net log; removed when the visitor leaves.
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
        // A story that was killed may have had this port, and left a profile that knows the page.
        remove(&scratch);
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

    /// A browser in which the page is open and loading its models.
    pub fn arrived() -> Self {
        let visitor = Self::ready();
        visitor.arrive();
        visitor
    }

    /// A browser in which the page has loaded all models.
    pub fn settled() -> Self {
        let visitor = Self::arrived();
        visitor.wait_for_all_folds();
        visitor
    }

    /// Opens the page and starts the download of its models.
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

    /// The paths on the server of the shards with cold rows.
    pub fn cold_shards(&self) -> Vec<String> {
        let cold = |shard: &&Value| shard["cold"] == Value::Bool(true);
        self.shards().iter().filter(cold).map(|shard| self.path_of(shard)).collect()
    }

    /// The paths on the server of the shards that folds need and the final model does not, and of all that it needs.
    pub fn shards_beside_the_final_model(&self) -> (Vec<String>, Vec<String>) {
        let manifest = self.manifest();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let (shards, own) = (list(&manifest["shards"]), list(&manifest["final_model"]["shards"]));
        let shared = list(&manifest["final_model"]["shared_shards"]);
        let is_shared = |index: usize| shared.contains(&Value::from(index));
        let (of_final, of_folds): (Vec<_>, Vec<_>) =
            shards.iter().enumerate().partition(|(index, _)| is_shared(*index));
        let of_folds = of_folds.into_iter().map(|(_, shard)| self.path_of(shard));
        let of_final = of_final.into_iter().map(|(_, shard)| shard).chain(&own);
        (of_folds.collect(), of_final.map(|shard| self.path_of(shard)).collect())
    }

    /// The paths among these that the host was asked for.
    pub fn requested_of(&self, paths: &[String]) -> Vec<String> {
        let log = self.server.log();
        paths
            .iter()
            .filter(|path| log.iter().any(|asked| asked.target == **path))
            .cloned()
            .collect()
    }

    /// The file that the host serves at this path.
    pub fn served(&self, path: &str) -> PathBuf {
        match path.strip_prefix(&self.bundle) {
            Some(name) => self.folder.join(name),
            None if path == "/" => self.site.dist.join("index.html"),
            None => self.site.dist.join(path.trim_start_matches('/')),
        }
    }

    /// The browser's profile, by which its processes are told from others.
    pub fn profile(&self) -> PathBuf {
        self.scratch.join("profile")
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
        serde_json::from_value(self.manifest()["shards"].take()).unwrap()
    }

    pub fn manifest(&self) -> Value {
        let manifest = fs::read_to_string(self.folder.join("manifest.json")).unwrap();
        serde_json::from_str(&manifest).unwrap()
    }

    pub fn downloads(&self) -> PathBuf {
        self.scratch.join("downloads")
    }

    /// Writes a file on the visitor's disk.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.scratch.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The value of a JavaScript expression in the page.
    pub fn ask(&self, expression: &str) -> Value {
        self.session.run(&format!("return {expression}"), Value::Null)
    }

    /// Whether a JavaScript expression holds in the page.
    pub fn says(&self, expression: &str) -> bool {
        self.ask(&format!("Boolean({expression})")).as_bool().unwrap()
    }

    /// Inserts text where the focus is, all at once, as an input method does.
    pub fn insert(&self, text: &str) {
        self.session.devtools("Input.insertText", json!({ "text": text }));
    }

    /// Saves a picture of the whole page as `NAME.png` in the folder of screenshots.
    pub fn picture(&self, name: &str) {
        self.capture(name, json!({}));
    }

    /// Saves a picture of the page down to this many pixels; returns its size in bytes.
    pub fn picture_of_top(&self, name: &str, height: f64) -> usize {
        let width = self.ask("innerWidth");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        self.capture(name, json!({ "clip": clip }))
    }

    fn capture(&self, name: &str, mut parameters: Value) -> usize {
        parameters["captureBeyondViewport"] = true.into();
        let picture = self.session.devtools("Page.captureScreenshot", parameters);
        fs::create_dir_all(&self.site.screenshots).unwrap();
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        fs::write(self.site.screenshots.join(format!("{name}.png")), &bytes).unwrap();
        bytes.len()
    }

    /// Leaves the page, after checking that the console has no errors or warnings.
    pub fn leave(self) {
        self.leave_despite(&[]);
    }

    /// Leaves after a story with a faulty host: the console may report failed requests and nothing else.
    pub fn leave_a_broken_host(self) {
        self.leave_despite(&["network"]);
    }

    /// Leaves after a story that causes errors or warnings from these sources.
    pub fn leave_despite(self, sources: &[&str]) {
        self.assert_quiet_but_for(sources);
    }

    /// Leaves like [`Visitor::leave`] and returns the requests that the browser made from `moment` on.
    pub fn leave_and_list_requests(self, moment: SystemTime) -> Vec<Request> {
        self.assert_quiet_but_for(&[]);
        // Chromedriver kills a browser that takes long to end, which cuts off its log.
        self.session.close_browser();
        let log = net_log::wait_for_the_end(&self.scratch.join("net.json"));
        let requests = net_log::requests(&log, &self.server.url());
        assert!(
            !requests.is_empty(),
            "the net log has no request of the page, so it was not read correctly"
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
            for asked in self.server.log() {
                eprintln!("asked: {} {} {}", asked.method, asked.target, asked.status);
            }
            // The browser may be why the story failed. A panic that leaves this function would end all stories.
            drop(catch_unwind(AssertUnwindSafe(|| self.tell())));
        }
        self.session.end();
        remove(&self.scratch);
    }
}

impl Visitor {
    /// Tells what a failed story has come to.
    fn tell(&self) {
        let story = thread::current().name().unwrap_or("story").replace("::", "-");
        eprintln!("the console said: {:#?}", self.session.console());
        eprintln!("the page said:\n{}", self.ask("document.body.innerText"));
        self.picture(&format!("failed-{story}"));
    }
}

fn port(server: &Server) -> String {
    server.url().trim_end_matches('/').rsplit(':').next().unwrap().to_owned()
}

/// Removes a folder if it is there; Chromium may still be writing into it for a moment.
fn remove(folder: &Path) {
    for _ in 0..100 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
