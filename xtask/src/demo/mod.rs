//! `cargo xtask demo`: trains the small model on the embedded sentences, classifies one sentence, and opens the page
//! with that model in it.
//!
//! Everything goes through `native-train` and trunk as a user would call them; what an earlier demo left is used again.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde_json::Value;

use crate::server::Server;
use crate::setup;
use crate::shell::{self, Shell};
use crate::site::{self, DATA, Site};
use crate::workspace::{Workspace, remove_folder};

mod answer;
mod desktop;

const RUN: &str = "runs/demo";
const BUNDLE: &str = "static/bundle";
const SENTENCE: &str = "I can't believe they cancelled it, and nobody even told us!";

/// The title by which the demo knows its own bundle from one that a site owner has put there.
const TITLE: &str = "Quintet demo";

/// Tried first: models that a browser keeps belong to the port, too.
const PORT: u16 = 8080;

#[derive(clap::Args)]
pub struct Arguments {
    /// The sentence to classify; asked for on a terminal if there is none.
    sentence: Vec<String>,

    /// Train again, even if an earlier demo has finished.
    #[arg(long)]
    fresh: bool,

    /// Stop when everything is built: do not serve the page.
    #[arg(long)]
    no_serve: bool,

    /// Serve the page but do not open a browser.
    #[arg(long)]
    no_open: bool,

    /// The port to serve on [default: 8080, or any that is free]
    #[arg(long)]
    port: Option<u16>,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let demo = Demo {
        workspace,
        shell: Shell::new(workspace),
        program: workspace.program("native-train"),
        run: workspace.root.join(RUN),
        bundle: workspace.root.join(BUNDLE),
    };
    demo.refuse_to_replace_anothers_bundle()?;
    // Asked for first: what follows takes minutes and needs nobody.
    let sentence = sentence(&arguments.sentence)?;
    setup::for_native(workspace)?;
    demo.build()?;
    if arguments.fresh {
        remove_folder(&demo.run)?;
    }
    demo.train()?;
    demo.classify(&sentence)?;
    demo.export()?;
    step("getting the tools that build the page");
    setup::for_the_page(workspace)?;
    step("building the page (about 4 minutes on two cores, the first time)");
    site::build_page(&demo.shell)?;
    if arguments.no_serve {
        eprintln!("demo: the page is in {}; any static host can serve it", demo.dist().display());
        return Ok(());
    }
    demo.serve(arguments)
}

struct Demo<'a> {
    workspace: &'a Workspace,
    shell: Shell<'a>,
    program: PathBuf,
    run: PathBuf,
    bundle: PathBuf,
}

impl Demo<'_> {
    fn refuse_to_replace_anothers_bundle(&self) -> Result<()> {
        let Ok(manifest) = fs::read_to_string(self.manifest()) else { return Ok(()) };
        // What cannot be read as a manifest serves nobody, so it may go.
        let manifest: Value = serde_json::from_str(&manifest).unwrap_or_default();
        match manifest["title"].as_str() {
            Some(title) if title != TITLE => bail!(
                "{BUNDLE} holds a bundle of yours, `{title}`, which the demo would replace: move it away first, or \
                 see your page by `trunk serve`"
            ),
            _ => Ok(()),
        }
    }

    fn build(&self) -> Result<()> {
        step("building native-train (about 5 minutes on two cores, the first time)");
        let mut command = self.shell.cargo("build");
        // The features of the whole workspace, as `cargo build` has them, so that neither builds the dependencies again.
        command.args(["--workspace", "--bin", "native-train"]);
        shell::run(&mut command, "see the compiler's message above")
    }

    /// Trains, or goes on where an interrupted demo stopped, or keeps what an earlier one finished.
    fn train(&self) -> Result<()> {
        if self.summary().exists() {
            step(&format!("using the finished run in {RUN} (train again with --fresh)"));
            return Ok(());
        }
        let mut command = self.shell.command(&self.program);
        command.args(["train", "--model", "small", "--train-csv", DATA, "--output", RUN]);
        if self.run.exists() {
            step(&format!("going on with the unfinished run in {RUN}"));
            command.arg("--resume");
        } else {
            step("training five small models on some 900 sentences (about two minutes)");
        }
        shell::run(&mut command, "see native-train's message above, or start over with --fresh")
    }

    fn classify(&self, sentence: &str) -> Result<()> {
        let folder = self.workspace.target.join("demo");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let (input, output) = (folder.join("sentence.csv"), folder.join("probabilities.csv"));
        fs::write(&input, format!("text\n\"{}\"\n", sentence.replace('"', "\"\"")))?;
        let mut command = self.shell.command(&self.program);
        command.args(["predict", "--quiet", "--probabilities", "--run", RUN]);
        command.arg("--input").arg(&input).arg("--output").arg(&output);
        shell::run(&mut command, "see native-train's message above")?;
        let labels = answer::labels(&read(&output)?, &read(&self.run.join("thresholds.json"))?)?;
        answer::print(sentence, &labels);
        Ok(())
    }

    /// Makes the bundle unless it is younger than the run it was made from.
    fn export(&self) -> Result<()> {
        let written = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
        if written(&self.manifest()) > written(&self.summary()) {
            step(&format!("using the bundle in {BUNDLE}"));
            return Ok(());
        }
        step("exporting what the browser will download (some seconds)");
        let mut command = self.shell.command(&self.program);
        command.args(["export", "--run", RUN, "--output", BUNDLE, "--title", TITLE]);
        // The sentences are the project's own; the weights have an ancestor, which NOTICE names.
        command.args(["--license", "Apache-2.0"]);
        shell::run(&mut command, "see native-train's message above")
    }

    fn serve(&self, arguments: &Arguments) -> Result<()> {
        let dist = self.dist();
        let folders = [("/", dist.as_path())];
        let server = match arguments.port {
            Some(port) => Server::start(port, &folders)?,
            None => Server::start(PORT, &folders).or_else(|_| Server::start(0, &folders))?,
        };
        let url = server.url();
        eprintln!("demo: the page is at\n\n    {url}\n\ndemo: Ctrl-C ends it");
        if !arguments.no_open {
            desktop::open(&self.shell, &url);
        }
        loop {
            thread::park();
        }
    }

    fn manifest(&self) -> PathBuf {
        self.bundle.join("manifest.json")
    }

    fn summary(&self) -> PathBuf {
        self.run.join("summary.json")
    }

    fn dist(&self) -> PathBuf {
        Site::of(self.workspace).dist
    }
}

fn step(what: &str) {
    eprintln!("demo: {what}");
}

fn read(path: &Path) -> Result<String> {
    Ok(fs::read_to_string(path)?)
}

fn sentence(words: &[String]) -> Result<String> {
    if !words.is_empty() {
        return Ok(words.join(" "));
    }
    if !io::stdin().is_terminal() {
        return Ok(SENTENCE.to_owned());
    }
    eprint!("A sentence to classify: ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the sentence")?;
    let typed = line.trim();
    Ok(if typed.is_empty() { SENTENCE.to_owned() } else { typed.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_command_line_are_one_sentence() {
        let words = ["I", "can't"].map(String::from);
        assert_eq!(sentence(&words).unwrap(), "I can't");
    }
}
