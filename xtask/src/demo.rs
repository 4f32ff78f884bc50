//! `cargo xtask demo`: trains the small model on the embedded sentences, then classifies one sentence.
//!
//! Everything goes through `native-train` as a user would call it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::setup;
use crate::shell::{self, Shell};
use crate::workspace::Workspace;

const DATA: &str = "native-train/assets/demo.csv";
const RUN: &str = "runs/demo";
const SENTENCE: &str = "I can't believe they cancelled it, and nobody even told us!";

#[derive(clap::Args)]
pub struct Arguments {
    /// The sentence to classify; asked for on a terminal if there is none.
    sentence: Vec<String>,

    /// Train again, even if an earlier demo has finished.
    #[arg(long)]
    fresh: bool,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let shell = Shell::new(workspace);
    setup::c_compiler(&shell)?;
    build(&shell)?;
    let demo = Demo { shell, program: workspace.program("native-train"), root: &workspace.root };
    if arguments.fresh {
        demo.forget()?;
    }
    demo.train()?;
    let sentence = sentence(&arguments.sentence)?;
    demo.classify(&sentence)
}

fn build(shell: &Shell) -> Result<()> {
    let mut command = shell.cargo("build");
    shell::run(command.args(["--package", "native-train"]), "see the compiler's message above")
}

struct Demo<'a> {
    shell: Shell<'a>,
    program: PathBuf,
    root: &'a Path,
}

impl Demo<'_> {
    fn forget(&self) -> Result<()> {
        let run = self.root.join(RUN);
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
        }
        Ok(())
    }

    /// Trains, or goes on where an interrupted demo stopped, or keeps what an earlier one finished.
    fn train(&self) -> Result<()> {
        let run = self.root.join(RUN);
        if run.join("summary.json").exists() {
            eprintln!("demo: using the finished run in {RUN} (train again with --fresh)");
            return Ok(());
        }
        let mut command = self.shell.command(&self.program);
        command.args(["train", "--model", "mini", "--train-csv", DATA, "--output", RUN]);
        if run.exists() {
            eprintln!("demo: going on with the unfinished run in {RUN}");
            command.arg("--resume");
        }
        shell::run(&mut command, "see native-train's message above, or start over with --fresh")
    }

    fn classify(&self, sentence: &str) -> Result<()> {
        let folder = self.root.join(RUN);
        let (input, output) =
            (folder.join("sentence.csv"), folder.join("sentence-probabilities.csv"));
        fs::write(&input, format!("text\n\"{}\"\n", sentence.replace('"', "\"\"")))
            .with_context(|| format!("cannot write {}", input.display()))?;
        let mut command = self.shell.command(&self.program);
        command.args(["predict", "--run", RUN, "--probabilities", "--quiet", "--input"]);
        command.arg(&input).arg("--output").arg(&output);
        shell::run(&mut command, "see native-train's message above")?;
        let table = fs::read_to_string(&output)
            .with_context(|| format!("cannot read {}", output.display()))?;
        print(sentence, &probabilities(&table)?);
        Ok(())
    }
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

/// Labels and probabilities of the one row, the likeliest first.
fn probabilities(table: &str) -> Result<Vec<(String, f64)>> {
    let mut lines = table.lines();
    let (names, values) = lines.next().zip(lines.next()).context("predict wrote no row")?;
    let mut labels = names
        .split(',')
        .zip(values.split(','))
        .filter(|(name, _)| *name != "id")
        .map(|(name, value)| {
            let value = value.parse().with_context(|| format!("`{value}` is no probability"))?;
            Ok((name.to_owned(), value))
        })
        .collect::<Result<Vec<(String, f64)>>>()?;
    labels.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    Ok(labels)
}

fn print(sentence: &str, labels: &[(String, f64)]) {
    println!("\n{sentence}\n");
    for (label, probability) in labels {
        let bar = "#".repeat((probability * 40.0).round() as usize);
        println!("  {label:<10} {probability:.2}  {bar}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_labels_and_puts_the_likeliest_first() {
        let labels = probabilities("id,anger,joy\n0,0.25,0.75\n").expect("two labels");
        assert_eq!(labels, [("joy".to_owned(), 0.75), ("anger".to_owned(), 0.25)]);
        assert!(probabilities("id,anger\n").is_err());
        assert!(probabilities("id,anger\n0,x\n").is_err());
    }

    #[test]
    fn words_on_the_command_line_are_one_sentence() {
        let words = ["I", "can't"].map(String::from);
        assert_eq!(sentence(&words).expect("no terminal needed"), "I can't");
    }
}
