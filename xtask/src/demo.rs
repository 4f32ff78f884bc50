//! `cargo xtask demo`: trains the small model on the embedded sentences, then classifies one sentence.
//!
//! Everything goes through `native-train` as a user would call it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

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
    let demo = Demo {
        shell,
        program: workspace.program("native-train"),
        root: &workspace.root,
        scratch: workspace.target.join("demo"),
    };
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
    /// For the sentence and what `predict` says of it.
    scratch: PathBuf,
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
        let folder = &self.scratch;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let (input, output) = (folder.join("sentence.csv"), folder.join("probabilities.csv"));
        fs::write(&input, format!("text\n\"{}\"\n", sentence.replace('"', "\"\"")))
            .with_context(|| format!("cannot write {}", input.display()))?;
        let mut command = self.shell.command(&self.program);
        command.args(["predict", "--quiet", "--probabilities", "--run", RUN]);
        command.arg("--input").arg(&input).arg("--output").arg(&output);
        shell::run(&mut command, "see native-train's message above")?;
        let labels = labels(&read(&output)?, &read(&self.root.join(RUN).join("thresholds.json"))?)?;
        print(sentence, &labels);
        Ok(())
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
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

#[derive(Debug, PartialEq)]
struct Label {
    name: String,
    probability: f64,
    threshold: f64,
}

/// What `predict` wrote of the one row beside the run's thresholds, the likeliest label first.
fn labels(csv: &str, thresholds: &str) -> Result<Vec<Label>> {
    let mut lines = csv.lines();
    let (names, values) = lines.next().zip(lines.next()).context("predict wrote no row")?;
    let thresholds: Value =
        serde_json::from_str(thresholds).context("thresholds.json is damaged")?;
    let threshold = |name| {
        let place = thresholds["labels"].as_array()?.iter().position(|label| label == name)?;
        thresholds["thresholds"][place].as_f64()
    };
    let mut labels = names
        .split(',')
        .zip(values.split(','))
        .filter(|(name, _)| *name != "id")
        .map(|(name, value)| {
            let probability =
                value.parse().with_context(|| format!("`{value}` is no probability"))?;
            let threshold = threshold(name)
                .with_context(|| format!("thresholds.json knows no label `{name}`"))?;
            Ok(Label { name: name.to_owned(), probability, threshold })
        })
        .collect::<Result<Vec<_>>>()?;
    labels.sort_by(|left, right| right.probability.total_cmp(&left.probability));
    Ok(labels)
}

/// A bar a label; a mark where the probability reaches the label's threshold.
fn print(sentence: &str, labels: &[Label]) {
    println!("\n{sentence}\n");
    for Label { name, probability, threshold } in labels {
        let mark = if probability >= threshold { '*' } else { ' ' };
        let bar = "#".repeat((probability * 40.0).round() as usize);
        println!("{mark} {name:<10} {probability:.2}  {bar}");
    }
    println!("\n* at or above the label's own threshold");
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: &str = r#"{"labels": ["anger", "joy"], "thresholds": [0.2, 0.8]}"#;

    #[test]
    fn puts_the_likeliest_label_first_with_its_own_threshold() {
        let found = labels("id,anger,joy\n0,0.25,0.75\n", THRESHOLDS).unwrap();
        let label = |name: &str, probability, threshold| Label {
            name: name.into(),
            probability,
            threshold,
        };
        assert_eq!(found, [label("joy", 0.75, 0.8), label("anger", 0.25, 0.2)]);
    }

    #[test]
    fn refuses_what_is_no_table_of_probabilities() {
        for csv in ["id,anger\n", "id,anger\n0,x\n", "id,fear\n0,0.5\n"] {
            assert!(labels(csv, THRESHOLDS).is_err(), "{csv}");
        }
    }

    #[test]
    fn words_on_the_command_line_are_one_sentence() {
        let words = ["I", "can't"].map(String::from);
        assert_eq!(sentence(&words).unwrap(), "I can't");
    }
}
