//! `cargo xtask bench lists`: a list of real texts for our JavaScript package and for transformers.js, in one headless
//! Chromium, on the same random weights.
//!
//! The sides are those of `bench browser`. The measuring is `bench/lists.mjs`'s.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use super::browser::{Sides, append_described, number};
use crate::shell::Shell;
use crate::workspace::Workspace;

const MEASURE: &str = "bench/lists.mjs";

/// The table of the texts within the shared folder; its column is `text`.
const TEXTS: &str = "data/kaggle-2025-sep-dl-genai/test.csv";

/// Longer texts are left out: our bundles read 128 tokens of a text, and the rival more.
const MOST_BYTES: usize = 250;

#[derive(clap::Args)]
pub struct Arguments {
    /// Texts of the list.
    #[arg(long, default_value = "256")]
    texts: NonZeroUsize,

    /// Turns of each side.
    #[arg(long, default_value = "3")]
    turns: NonZeroUsize,

    /// Only sides whose name contains this, `int8` say.
    #[arg(long, default_value = "")]
    only: String,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let texts = texts(&workspace.shared_data().join(TEXTS), arguments.texts.get())?;
    let shell = Shell::new(workspace);
    let sides = Sides::prepare(workspace, &shell)?;
    let list = sides.rival.join("list.json");
    fs::write(&list, serde_json::to_string(&texts)?)?;
    let list = list.to_string_lossy();
    let turns = arguments.turns.to_string();
    let rows = sides.measure(&shell, MEASURE, &[&list, &turns, &arguments.only])?;
    ensure!(!rows.is_empty(), "no side has `{}` in its name", arguments.only);
    print_table(&rows);
    print_ratios(&rows);
    append_described(workspace, &shell, "lists", &rows)
}

/// The first texts of the table, each once.
fn texts(table: &Path, count: usize) -> Result<Vec<String>> {
    let mut reader = csv::Reader::from_path(table).with_context(|| {
        format!("no texts at {}: QUINTET_SHARED names the folder", table.display())
    })?;
    let column = reader.headers()?.iter().position(|name| name == "text");
    let column = column.context("the table has no column `text`")?;
    let (mut texts, mut seen) = (Vec::new(), BTreeSet::new());
    for record in reader.records() {
        let text = record?.get(column).unwrap_or_default().to_owned();
        if texts.len() < count && text.len() <= MOST_BYTES && seen.insert(text.clone()) {
            texts.push(text);
        }
    }
    ensure!(texts.len() == count, "{} has {} such texts", table.display(), texts.len());
    Ok(texts)
}

fn is_tried(row: &Value) -> bool {
    row["tried"] == true
}

fn print_table(rows: &[Value]) {
    println!(
        "{:<24} {:>7} {:>6} {:>6} {:>7} {:>9} {:>11} {:>10}",
        "side", "threads", "texts", "chunk", "sorted", "texts/s", "CPU ms/text", "difference"
    );
    for row in rows {
        println!(
            "{:<24} {:>7} {:>6} {:>6} {:>7} {:>9.2} {:>11.1} {:>10.4}{}",
            row["side"].as_str().unwrap_or_default(),
            row["threads"],
            row["texts"],
            row.get("chunk").map_or_else(|| "-".to_owned(), Value::to_string),
            row.get("sorted").map_or_else(|| "-".to_owned(), Value::to_string),
            number(row, "texts_per_s"),
            number(row, "cpu_ms"),
            number(row, "score_difference"),
            if is_tried(row) { "  (tried once)" } else { "" },
        );
    }
}

/// The rate of ours as a multiple of each rival's best: above 1 is better.
fn print_ratios(rows: &[Value]) {
    println!();
    let (ours, rivals): (Vec<&Value>, Vec<&Value>) = rows
        .iter()
        .filter(|row| !is_tried(row))
        .partition(|row| row["side"].as_str().is_some_and(|side| side.starts_with("ours")));
    for ours in ours {
        for rival in &rivals {
            let name = |row: &Value| {
                format!("{}, {} threads", row["side"].as_str().unwrap_or_default(), row["threads"])
            };
            let ratio = number(ours, "texts_per_s") / number(rival, "texts_per_s");
            let cpu = number(ours, "cpu_ms") / number(rival, "cpu_ms");
            println!(
                "{:<64} texts/s: {ratio:.2}   CPU ms: {cpu:.3}",
                format!("{} / {}", name(ours), name(rival)),
            );
        }
    }
}
