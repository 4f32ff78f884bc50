//! A visitor: a new browser, a server, and functions for what the visitor does and sees.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::engines::{Engine, Wishes};
use xtask::page::Elsewhere;
use xtask::server::{Fault, Server};
use xtask::shell::Shell;
use xtask::site::Site;
use xtask::workspace::Workspace;

use crate::browser::Browser;
use crate::elements::FOLDS;
use crate::net_log::{self, Request};
use crate::webdriver::Session;

/// The site and how the visitor opens it.
pub struct Visit<'a> {
    pub files: Files,
    /// The encoding of the site's bundle.
    pub encoding: &'a str,
    /// The path of the site on its host.
    pub path: &'a str,
    /// A script that runs before any script of the page.
    pub before: &'a str,
    /// The bundle on another site that the page is built for, in place of its own.
    pub elsewhere: Option<&'a Elsewhere>,
    pub wishes: Wishes,
}

impl Default for Visit<'_> {
    fn default() -> Self {
        let wishes = Wishes::default();
        Self {
            files: Files::Page,
            encoding: "int12",
            path: "/",
            before: "",
            elsewhere: None,
            wishes,
        }
    }
}

/// The files that the host serves beside the bundle.
pub enum Files {
    Page,
    /// The JavaScript package and its example.
    Package,
}

pub struct Visitor {
    pub browser: Browser,
    pub server: Server,
    pub site: Site,
    url: String,
    bundle: String,
    /// The folder of the bundle.
    folder: PathBuf,
    /// The folder of profile, downloads and net log.
    scratch: TempDir,
}

impl Visitor {
    /// A browser that has not opened the page yet.
    pub fn ready() -> Self {
        Self::ready_for(&Visit::default())
    }

    pub fn ready_for(visit: &Visit) -> Self {
        let workspace = Workspace::find();
        let site = Site::of(&workspace);
        let Visit { files, encoding, path, before, elsewhere, wishes } = visit;
        let bundle = format!("{path}bundle/");
        let folder = site.bundle(encoding);
        fs::create_dir_all(&site.visitors).unwrap();
        let scratch = tempfile::tempdir_in(&site.visitors).unwrap();
        let files = match files {
            Files::Page if before.is_empty() && elsewhere.is_none() => site.dist.clone(),
            Files::Page => {
                let folder = copied(&site.dist, scratch.path().join("site"));
                if !before.is_empty() {
                    add_a_script(before, &folder);
                }
                if let Some(elsewhere) = elsewhere {
                    elsewhere.write_into(&folder).unwrap();
                }
                folder
            }
            Files::Package => site.package.clone(),
        };
        let folders = [(*path, files.as_path()), (&bundle, &folder)];
        let server = Server::start(0, &folders).unwrap();
        let shell = Shell::new(&workspace);
        let browser = Browser::start(&shell, scratch.path(), &server.url(), *wishes);
        let browser = browser.unwrap_or_else(|error| panic!("{error}"));
        let url = format!("{}{}", server.url(), path.trim_start_matches('/'));
        Self { browser, server, site, url, bundle, folder, scratch }
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
        self.session().open(&self.url);
        self.begin_loading();
    }

    pub fn session(&self) -> &Session {
        &self.browser.session
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

    /// The paths on the server of the shards that only one fold needs: those with its cold rows, or the others.
    pub fn shards_of_one_fold(&self, cold: bool) -> Vec<String> {
        let mut shards = self.shards();
        shards.retain(|shard| shard["folds"].as_array().unwrap().len() == 1);
        shards.retain(|shard| (shard["cold"] == Value::Bool(true)) == cold);
        assert_eq!(shards.len(), FOLDS);
        shards.iter().map(|shard| self.path_of(shard)).collect()
    }

    /// Holds the answers for these shards back.
    pub fn hold(&self, shards: &[String]) {
        let held = Fault::Throttle { bytes_per_second: 1 };
        shards.iter().for_each(|shard| self.server.set_fault(shard, held));
    }

    /// Lets through the shards that were held, but for the one that is asked for last; that one gets no answer. Folds are loaded one
    /// by one, and any may be the last: whose worker begins to listen first is loaded first.
    pub fn silence_the_last_of(&self, mut held: Vec<String>) -> String {
        while held.len() > 1 {
            self.wait_until_asked("a shard", |asked| held.contains(&asked.target));
            let asked = self.requested_of(&held).remove(0);
            held.retain(|shard| *shard != asked);
            if let [last] = &held[..] {
                self.server.set_fault(last, Fault::Silence);
            }
            self.server.clear_fault(&asked);
        }
        held.remove(0)
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
        self.scratch.path().join("profile")
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
        self.scratch.path().join("downloads")
    }

    /// Writes a file on the visitor's disk.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.scratch.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The value of a JavaScript expression in the page.
    pub fn ask(&self, expression: &str) -> Value {
        self.session().run(&format!("return {expression}"), Value::Null)
    }

    /// Runs a module in the page that is open, and returns what it hands to `tell`. A driver's own scripts are no modules, and
    /// Firefox's run in a world with classes of its own, where no site's code ever is.
    pub fn run_module(&self, module: &str) -> Value {
        const TELL: &str = "const tell = value => \
            dispatchEvent(new CustomEvent('told', { detail: JSON.stringify(value) }));";
        const RUN: &str = "return new Promise((resolve, reject) => {
            const fail = reason => reject(new Error(reason));
            addEventListener('told', event => resolve(event.detail), { once: true });
            addEventListener('error', event => fail(event.message), { once: true });
            addEventListener('unhandledrejection', event => fail(event.reason), { once: true });
            const script = document.createElement('script');
            script.type = 'module';
            script.textContent = arguments[0];
            document.body.append(script);
        })";
        let told = self.session().run(RUN, format!("{TELL}\n{module}").into());
        serde_json::from_str(told.as_str().unwrap()).unwrap()
    }

    /// Whether a JavaScript expression holds in the page.
    pub fn says(&self, expression: &str) -> bool {
        self.ask(&format!("Boolean({expression})")).as_bool().unwrap()
    }

    /// Saves a picture of the page as `NAME.png` in the folder of screenshots; of engines but Chromium as `NAME-ENGINE.png`.
    pub fn picture(&self, name: &str) {
        let picture = self.browser.picture();
        match self.browser.engine {
            Engine::Chromium => self.save(name, &picture),
            engine => self.save(&format!("{name}-{}", engine.name()), &picture),
        }
    }

    /// Saves a picture of the page down to this many pixels; returns its size in bytes.
    pub fn picture_of_top(&self, name: &str, height: f64) -> usize {
        let width = self.ask("innerWidth");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let picture = self.browser.picture_with(json!({ "clip": clip }));
        self.save(name, &picture);
        picture.len()
    }

    fn save(&self, name: &str, picture: &[u8]) {
        fs::create_dir_all(&self.site.screenshots).unwrap();
        fs::write(self.site.screenshots.join(format!("{name}.png")), picture).unwrap();
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
        self.session().close_browser();
        let log = net_log::wait_for_the_end(&self.scratch.path().join("net.json"));
        let requests = net_log::requests(&log, &self.server.url());
        assert!(
            !requests.is_empty(),
            "the net log has no request of the page, so it was not read correctly"
        );
        requests.into_iter().filter(|request| request.at >= moment).collect()
    }

    fn assert_quiet_but_for(&self, sources: &[&str]) {
        let complaints = self.browser.complaints(sources);
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
        self.session().end();
        remove(self.scratch.path());
    }
}

impl Visitor {
    /// Tells what a failed story has come to.
    fn tell(&self) {
        let story = thread::current().name().unwrap_or("story").replace("::", "-");
        eprintln!("the console complained: {:#?}", self.browser.complaints(&[]));
        eprintln!("the page said:\n{}", self.ask("document.body.innerText"));
        self.picture(&format!("failed-{story}"));
    }
}

/// Copies the page to a new folder, which it returns.
fn copied(page: &Path, folder: PathBuf) -> PathBuf {
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(page).unwrap().flatten().filter(|file| file.path().is_file()) {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    folder
}

/// Adds a script to a page, before all others.
fn add_a_script(script: &str, folder: &Path) {
    const NAME: &str = "before.js";
    // A file, as the page's policy allows no inline script. A script that is no module runs as soon as it is read.
    fs::write(folder.join(NAME), script).unwrap();
    let document = fs::read_to_string(folder.join("index.html")).unwrap();
    let (head, rest) = document.split_at(document.find("<title>").unwrap());
    let document = format!("{head}<script src=\"{NAME}\"></script>{rest}");
    fs::write(folder.join("index.html"), document).unwrap();
}

/// Removes a folder if it is there; the browser may still be writing into it for a moment.
fn remove(folder: &Path) {
    for _ in 0..100 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
