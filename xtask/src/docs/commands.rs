//! The commands of a document: run one after another in a scratch folder that holds what they name.
//!
//! The hub's default model is there as a folder of that name, which `native-train` prefers to the hub: a small model of
//! its own making. So commands run as they are written, in seconds and without a network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

use super::markdown::{Block, Document};
use crate::shell::Shell;
use crate::site::DATA;
use crate::workspace::{Workspace, remove_folder};

/// Rows of the small data set that each file of the scratch folder has.
const FILES: [(&str, usize); 4] =
    [("train.csv", 100), ("test.csv", 20), ("held-out.csv", 40), ("new.csv", 20)];

/// Makes the model that stands for the hub's.
const PREPARE: &str = "native-train train --quiet --model mini --train-csv train.csv --folds 2 \
    --only-fold 0 --epochs 1 --output mini-run && mkdir -p microsoft && \
    mv mini-run/fold-0 microsoft/deberta-v3-base";

/// Languages of blocks that hold commands.
const SHELL: [&str; 2] = ["sh", "console"];

/// A line of expected output that stands for any number of lines.
const ELLIPSIS: &str = "...";

pub struct Runner<'a> {
    shell: Shell<'a>,
    /// By its place in the target folder: the tests' build may have replaced the program that runs this.
    xtask: PathBuf,
    folder: PathBuf,
    data: String,
    pub run: usize,
    /// Commands by the reason why they were not run.
    pub skipped: BTreeMap<String, Vec<String>>,
}

/// A command as a document shows it, with the output that it claims.
#[derive(Debug, PartialEq)]
struct Shown {
    typed: String,
    output: Vec<String>,
}

impl<'a> Runner<'a> {
    /// # Errors
    /// If `native-train` is not built, or the scratch folder cannot be made.
    pub fn prepare(workspace: &'a Workspace) -> Result<Self> {
        let program = workspace.program("native-train");
        ensure!(
            program.is_file(),
            "no {}: run `cargo build --release --locked` first",
            program.display()
        );
        let programs = program.parent().map(PathBuf::from);
        let folder = workspace.target.join("documents");
        let data = fs::read_to_string(workspace.root.join(DATA))
            .with_context(|| format!("cannot read {DATA}"))?;
        let shell = Shell::new(workspace).preferring(programs);
        let xtask = workspace.program("xtask");
        let runner = Self { shell, xtask, folder, data, run: 0, skipped: BTreeMap::new() };
        runner.fill_folder()?;
        Ok(runner)
    }

    fn fill_folder(&self) -> Result<()> {
        remove_folder(&self.folder)?;
        fs::create_dir_all(self.folder.join("static"))?;
        let mut lines = self.data.lines();
        let header = lines.next().context("the small data set is empty")?;
        for (name, rows) in FILES {
            let rows: Vec<&str> = lines.by_ref().take(rows).collect();
            fs::write(self.folder.join(name), format!("{header}\n{}\n", rows.join("\n")))?;
        }
        self.succeed(PREPARE).map(drop)
    }

    /// Checks every block of a document.
    ///
    /// # Errors
    /// If a command fails or prints something else than the document shows, or a block cannot be checked.
    pub fn check(&mut self, document: &Document) -> Result<()> {
        for block in &document.blocks {
            self.check_block(block).with_context(|| document.place(block.line))?;
        }
        Ok(())
    }

    fn check_block(&mut self, block: &Block) -> Result<()> {
        if let Some(reason) = &block.skip {
            let skipped = self.skipped.entry(reason.clone()).or_default();
            if !SHELL.contains(&&*block.language) {
                skipped.push(format!("{} lines of {}", block.lines.len(), block.language));
                return Ok(());
            }
            let commands = shown(block);
            skipped.extend(commands.iter().map(|command| command.typed.clone()));
            return commands.iter().try_for_each(|command| self.check_flags(&command.typed));
        }
        match block.language.as_str() {
            language if SHELL.contains(&language) => {
                shown(block).iter().try_for_each(|command| self.run(command))
            }
            "toml" => {
                fs::write(self.folder.join("documented.toml"), block.lines.join("\n"))?;
                self.succeed("native-train train --config documented.toml --dry-run").map(drop)
            }
            "csv" => {
                let foreign = block.lines.iter().find(|line| !self.data.contains(line.as_str()));
                ensure!(foreign.is_none(), "{DATA} has no line `{}`", foreign.expect("is some"));
                Ok(())
            }
            // A story runs the JavaScript, `cargo test` the Rust; the rest is no code.
            "js" | "rust" | "text" | "" => Ok(()),
            // `cargo xtask test --only imports` checks ARCHITECTURE's maps.
            language if language.starts_with("map ") => Ok(()),
            other => bail!(
                "a block of `{other}` cannot be checked: say why by `<!-- docs: skip: REASON -->` above it"
            ),
        }
    }

    fn run(&mut self, command: &Shown) -> Result<()> {
        eprintln!("$ {}", command.typed);
        if let Some(run) = new_run(&command.typed) {
            // An earlier document may have trained into the same folder.
            remove_folder(&self.folder.join(run))?;
        }
        let said = self.succeed(&command.typed)?;
        self.run += 1;
        ensure!(
            says(&said, &command.output),
            "`{}` does not print what is shown. It prints:\n{said}",
            command.typed
        );
        Ok(())
    }

    /// Makes sure that a command of ours that is not run has the flags that it is given.
    ///
    /// # Errors
    /// If it has not.
    pub fn check_flags(&self, typed: &str) -> Result<()> {
        let typed = typed.split(" # ").next().unwrap_or(typed).trim();
        if typed.contains("cargo xtask") || typed.contains("native-train ") {
            let line = typed.replace("cargo xtask", "\"$XTASK\"");
            self.succeed(&format!("{line} --help >/dev/null"))?;
        }
        Ok(())
    }

    /// Runs a line, and returns what it prints on stdout and stderr.
    pub fn succeed(&self, line: &str) -> Result<String> {
        let mut command: Command = self.shell.command("sh");
        command
            .args(["-c", &format!("exec 2>&1\n{line}")])
            .current_dir(&self.folder)
            .env("XTASK", &self.xtask)
            // Nothing may come from a hub.
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .env("HF_HOME", self.folder.join("hub"));
        let output = command.output().context("cannot start `sh`")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "`{line}` fails ({}):\n{said}", output.status);
        Ok(said)
    }
}

/// The commands of a block: in `console` those after `$ ` with the output that follows, in other languages every line that
/// is no comment. A line that ends in a backslash goes on in the next.
fn shown(block: &Block) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut goes_on = false;
    for line in &block.lines {
        let (is_command, typed) = match line.strip_prefix("$ ") {
            Some(typed) if block.language == "console" => (true, typed),
            _ => (
                block.language != "console" && !line.trim().is_empty() && !line.starts_with('#'),
                &line[..],
            ),
        };
        match commands.last_mut() {
            Some(last) if goes_on => last.typed += &format!("\n{line}"),
            Some(last) if !is_command && block.language == "console" => {
                last.output.push(line.clone());
            }
            _ if is_command => commands.push(Shown { typed: typed.to_owned(), output: Vec::new() }),
            _ => {}
        }
        goes_on = (goes_on || is_command) && line.ends_with('\\');
    }
    commands
}

/// The folder that a command trains a new run into.
fn new_run(typed: &str) -> Option<&str> {
    let mut words = typed.split_whitespace();
    let is_new = typed.starts_with("native-train train ")
        && !["--resume", "--dry-run"].iter().any(|flag| typed.contains(flag));
    words.find(|word| *word == "--output" && is_new)?;
    words.next()
}

/// Whether the output has the lines shown, in order and without a gap except where an ellipsis stands. Numbers and the
/// width of columns differ from machine to machine.
fn says(said: &str, shown: &[String]) -> bool {
    let said: Vec<String> = said.lines().map(shape).collect();
    let shown: Vec<String> = shown.iter().map(|line| shape(line)).collect();
    let mut from = 0;
    shown.split(|line| line == ELLIPSIS).filter(|lines| !lines.is_empty()).all(|lines| {
        let found = said[from..].windows(lines.len()).position(|window| window == lines);
        from += found.map_or(0, |at| at + lines.len());
        found.is_some()
    })
}

/// A line with `#` for each number and one space between words.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for word in line.split_whitespace() {
        shape += if shape.is_empty() { "" } else { " " };
        let mut in_number = false;
        for c in word.chars() {
            let goes_on = in_number && ".,".contains(c);
            if !(goes_on || in_number && c.is_ascii_digit()) {
                shape.push(if c.is_ascii_digit() { '#' } else { c });
            }
            in_number = c.is_ascii_digit() || goes_on;
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(language: &str, text: &str) -> Block {
        let lines = text.lines().map(str::to_owned).collect();
        Block { line: 1, language: language.into(), skip: None, lines }
    }

    fn command(typed: &str, output: &[&str]) -> Shown {
        Shown { typed: typed.into(), output: output.iter().map(|&line| line.to_owned()).collect() }
    }

    #[test]
    fn commands_are_lines_or_what_follows_a_prompt() {
        let script = block("sh", "# why\na --b \\\n  --c\n\nd # e\n");
        assert_eq!(shown(&script), [command("a --b \\\n  --c", &[]), command("d # e", &[])]);
        let session = block("console", "$ a \\\n    b\none\n\ntwo\n$ c\n");
        assert_eq!(
            shown(&session),
            [command("a \\\n    b", &["one", "", "two"]), command("c", &[])]
        );
    }

    #[test]
    fn output_is_compared_but_for_its_numbers() {
        let said = "bundle `x`\n  5 folds, 11.7 MB\nmacro-F1   0.43\n";
        let says = |shown: &[&str]| {
            says(said, &shown.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
        };
        assert!(says(&[]) && says(&["bundle `x`", "5 folds, 1,234.5 MB"]));
        assert!(says(&["bundle `x`", "...", "macro-F1 0.5"]));
        assert!(!says(&["bundle `x`", "macro-F1 0.5"]));
        assert!(!says(&["macro-F1 0.5", "...", "bundle `x`"]));
        assert!(!says(&["bundle `y`"]));
    }

    #[test]
    fn only_a_new_training_wants_its_folder_empty() {
        assert_eq!(new_run("native-train train --output runs/a --seed 7"), Some("runs/a"));
        assert_eq!(new_run("native-train train --output runs/a --resume"), None);
        assert_eq!(new_run("native-train export --run runs/a --output bundle"), None);
    }
}
