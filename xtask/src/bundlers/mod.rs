//! The JavaScript package as its users take it: npm installs the tarball, each bundler builds a page with it, the page answers in
//! Chromium, and Node answers by itself. All answers must be the same to the bit, and near those of `native-train`.
//!
//! The bundlers are installed by npm into `TARGET/tools/bundlers`, in the versions of `xtask/bundlers/package-lock.json`. What they
//! build lies beside that folder, as the programs of a project would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use crate::package::tarball_name;
use crate::server::Server;
use crate::shell::{self, Shell};
use crate::site::{self, Site};
use crate::workspace::{Workspace, remove_folder};
use answers::{Answers, Native};
use host::Host;

mod answers;
mod host;

const SOURCES: &str = "xtask/bundlers";

/// The encoding of the bundle: the nearest to `native-train`'s numbers.
const ENCODING: &str = "f32";

/// The most bytes of `quintet/react`, minified.
const REACT_BYTES: u64 = 1024;

const OLDEST_NODE: u32 = 20;

const REMEDY: &str = "see its message above";

/// A page that is built with the package.
struct Page {
    name: &'static str,
    /// The package of the bundler whose version is told.
    bundler: Option<&'static str>,
    /// Arguments of the program that builds, in the folder of the page; none: it needs no building.
    build: &'static [&'static str],
    /// The folder of what is built, in that of the page.
    built: &'static str,
}

const PAGES: [Page; 5] = [
    Page { name: "page", bundler: None, build: &[], built: "" },
    Page { name: "vite", bundler: Some("vite"), build: &["vite", "build"], built: "dist" },
    Page {
        name: "webpack",
        bundler: Some("webpack"),
        build: &["webpack", "--mode", "production"],
        built: "dist",
    },
    Page {
        name: "esbuild",
        bundler: Some("esbuild"),
        build: &["esbuild", "main.js", "--bundle", "--minify", "--outfile=dist/main.js"],
        built: "dist",
    },
    Page { name: "next", bundler: Some("next"), build: &["next", "build"], built: "out" },
];

/// A row of the table.
struct Row {
    name: String,
    version: String,
    seconds: f64,
    answers: Answers,
}

/// Builds and asks everything, and prints a table.
///
/// # Errors
/// If a bundler fails, or a page does not answer or answers otherwise. Inside: why nothing was tried.
pub fn check(workspace: &Workspace) -> Result<Result<(), &'static str>> {
    let shell = Shell::new(workspace);
    let Some(node) = node_version(&shell) else {
        return Ok(Err("Node 20 or later and npm are not on PATH"));
    };
    let project = Project::at(workspace, &shell);
    if !project.has_bundlers()? {
        if shell::answer(shell.command("npm").args(["ping", "--fetch-retries=0"])).is_none() {
            return Ok(Err("npm's registry cannot be reached, and the bundlers are not here"));
        }
        project.install_bundlers()?;
    }
    project.install_package()?;
    let bundle = Site::of(workspace).bundle(ENCODING);
    ensure!(bundle.is_dir(), "no {}: run `cargo xtask test --only bundles`", bundle.display());

    let native = Native::ask(workspace, &project.apps)?;
    let mut rows = Vec::new();
    for page in &PAGES {
        rows.push(project.play(page, &bundle)?);
    }
    rows.extend(project.ask_node(&node, &bundle)?);
    let react = project.check_react()?;
    project.check_types()?;
    print_table(&rows, &native);
    println!("{}: {} bytes", tarball_name(), fs::metadata(&project.tarball)?.len());
    println!("quintet/react: {react} bytes, minified");
    ensure!(react <= REACT_BYTES, "quintet/react has more than {REACT_BYTES} bytes");
    for row in &rows {
        native.must_be_near(&row.answers).with_context(|| row.name.clone())?;
        ensure!(
            row.answers == rows[0].answers,
            "{} answers otherwise than {}",
            row.name,
            rows[0].name
        );
    }
    Ok(Ok(()))
}

/// The folders that npm installs into.
struct Project<'a> {
    workspace: &'a Workspace,
    shell: &'a Shell<'a>,
    sources: PathBuf,
    /// The folder of the bundlers.
    tools: PathBuf,
    /// The folder of the package and the pages, in that of the bundlers, where they find both.
    apps: PathBuf,
    tarball: PathBuf,
}

impl<'a> Project<'a> {
    fn at(workspace: &'a Workspace, shell: &'a Shell<'a>) -> Self {
        let tools = workspace.tools().join("bundlers");
        Self {
            workspace,
            shell,
            sources: workspace.root.join(SOURCES),
            apps: tools.join("apps"),
            tarball: workspace.target.join(tarball_name()),
            tools,
        }
    }

    /// The file that is written when the bundlers have been installed: the lock file that they were installed by.
    fn installed(&self) -> PathBuf {
        self.tools.join("installed.json")
    }

    fn has_bundlers(&self) -> Result<bool> {
        let wanted = fs::read(self.sources.join("package-lock.json"))?;
        Ok(fs::read(self.installed()).is_ok_and(|installed| installed == wanted))
    }

    fn install_bundlers(&self) -> Result<()> {
        remove_folder(&self.tools)?;
        fs::create_dir_all(&self.tools)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(self.sources.join(file), self.tools.join(file))?;
        }
        let mut install = self.npm(&self.tools);
        shell::run(install.args(["ci", "--ignore-scripts"]), REMEDY)?;
        fs::copy(self.sources.join("package-lock.json"), self.installed())?;
        Ok(())
    }

    /// Lays out the pages anew, and the package among them as npm installs it.
    fn install_package(&self) -> Result<()> {
        ensure!(
            self.tarball.is_file(),
            "no {}: run `cargo xtask test --only package`",
            self.tarball.display()
        );
        remove_folder(&self.apps)?;
        copy_folder(&self.sources, &self.apps)?;
        let manifest = json!({ "name": "quintet-apps", "private": true, "type": "module" });
        fs::write(self.apps.join("package.json"), manifest.to_string())?;
        fs::remove_file(self.apps.join("package-lock.json"))?;
        let mut install = self.npm(&self.apps);
        install.args(["install", "--offline", "--no-package-lock"]).arg(&self.tarball);
        shell::run(&mut install, REMEDY)
    }

    fn npm(&self, folder: &Path) -> Command {
        let mut npm = self.shell.command("npm");
        npm.current_dir(folder).args(["--no-audit", "--no-fund", "--loglevel=error"]);
        npm
    }

    /// A program of the bundlers, in the folder of a page.
    fn tool(&self, app: &str, words: &[&str]) -> Command {
        let program = self.tools.join("node_modules/.bin").join(words[0]);
        let mut command = self.shell.command(program);
        command.args(&words[1..]).current_dir(self.apps.join(app));
        command.env("NEXT_TELEMETRY_DISABLED", "1");
        command
    }

    fn version(&self, package: &str) -> Result<String> {
        let file = self.tools.join("node_modules").join(package).join("package.json");
        let manifest: Value = serde_json::from_slice(&fs::read(&file)?)?;
        Ok(manifest["version"].as_str().unwrap_or_default().to_owned())
    }

    /// Builds a page and has it answer in Chromium.
    fn play(&self, page: &Page, bundle: &Path) -> Result<Row> {
        let folder = self.apps.join(page.name);
        let start = Instant::now();
        if !page.build.is_empty() {
            shell::run(&mut self.tool(page.name, page.build), REMEDY)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let built = folder.join(page.built);
        // What the bundlers do not write themselves.
        if !built.join("index.html").exists() {
            fs::copy(folder.join("index.html"), built.join("index.html"))?;
        }
        let mut folders = vec![("/", built.as_path()), ("/bundle/", bundle)];
        let package = self.apps.join("node_modules/quintet");
        if page.bundler.is_none() {
            folders.push(("/quintet/", &package));
            for file in ["tell.js", "texts.json"] {
                fs::copy(self.apps.join(file), built.join(file))?;
            }
        }
        let host = Host::open(self.workspace, &folders, &folder.join("profile"))?;
        let answers = host.answers().with_context(|| format!("the page of {}", page.name))?;
        if page.name == "next" {
            let by_hook = host.said("hook")?;
            answers.must_begin_like(&by_hook).context("the answer of the React hook")?;
        }
        let version = match page.bundler {
            Some(bundler) => self.version(bundler)?,
            None => host.browser_version(),
        };
        let name = if page.bundler.is_none() { "as it lies" } else { page.name };
        Ok(Row { name: name.to_owned(), version, seconds, answers })
    }

    /// Node's answers by the bundle in a folder, at an address, and with memory for one fold at a time.
    fn ask_node(&self, version: &str, bundle: &Path) -> Result<[Row; 3]> {
        let host = Server::start(0, &[("/bundle/", bundle)])?;
        let integrity = site::integrity(self.workspace, bundle)?;
        let mut node = self.shell.command("node");
        node.current_dir(self.apps.join("node")).arg("main.js").arg(bundle);
        node.arg(format!("{}bundle/", host.url())).arg(integrity);
        let start = Instant::now();
        let output = node.output().context("node cannot be started")?;
        let seconds = start.elapsed().as_secs_f64();
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "node failed ({}): {words}", output.status);
        let told: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("node printed something else: {words}"))?;
        ensure!(
            told["unpinned"] == "unpinned",
            "an address without integrity: {}",
            told["unpinned"]
        );
        ensure!(told["missing"] == "not-found", "a folder that is not there: {}", told["missing"]);
        ensure!(told["collected"] == true, "a call that was asked of garbage is not answered");
        ensure!(told["ended"] == "disposed", "an end by the callback: {}", told["ended"]);
        ensure!(told["aborted"] == "enough", "an end by the signal: {}", told["aborted"]);
        let row = |name: &str, answers: &Value| -> Result<Row> {
            let answers = Answers::of(answers)?;
            Ok(Row { name: name.to_owned(), version: version.to_owned(), seconds, answers })
        };
        Ok([
            row("node, folder", &told["folder"])?,
            row("node, address", &told["address"])?,
            row("node, turns", &told["turns"])?,
        ])
    }

    /// The bytes of `quintet/react`, minified by esbuild.
    fn check_react(&self) -> Result<u64> {
        let words = [
            "esbuild",
            "../node_modules/quintet/react.js",
            "--minify",
            "--format=esm",
            "--outfile=react.min.js",
        ];
        shell::run(&mut self.tool("types", &words), REMEDY)?;
        Ok(fs::metadata(self.apps.join("types/react.min.js"))?.len())
    }

    fn check_types(&self) -> Result<()> {
        shell::run(&mut self.tool("types", &["tsc", "--project", "."]), REMEDY)
    }
}

/// Node's version, if it is new enough and npm is there.
fn node_version(shell: &Shell) -> Option<String> {
    shell.find(&["npm"])?;
    let version = shell::answer(shell.command("node").arg("--version"))?;
    let version = version.trim_start_matches('v').to_owned();
    let major: u32 = version.split('.').next()?.parse().ok()?;
    (major >= OLDEST_NODE).then_some(version)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

fn print_table(rows: &[Row], native: &Native) {
    let of_native = format!("from native-train, at most {:.0e}", answers::TOLERANCE);
    println!(
        "\n{:<14} {:<10} {:>8}  {:<22} {:<10} {of_native}",
        "bundler", "version", "build s", "first answer", "same bits"
    );
    for Row { name, version, seconds, answers } in rows {
        let same = if *answers == rows[0].answers { "yes" } else { "NO" };
        let largest = native.largest_difference(answers);
        println!(
            "{name:<14} {version:<10} {seconds:>8.1}  {:<22} {same:<10} {largest:.1e}",
            answers.beginning()
        );
    }
    println!("The seconds of Node are those of all its answers.");
}
