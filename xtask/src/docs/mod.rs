//! `cargo xtask docs`: makes sure that the documents tell the truth. Their commands run, what they show of output is what
//! is printed, flags and defaults are those of the help, links lead somewhere. With `--pictures` it makes the pictures anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use crate::workspace::Workspace;

mod commands;
mod help;
mod markdown;
mod pictures;

use commands::Runner;
use help::Help;
use markdown::Document;

/// Folders that are not the repository's, as are those whose names begin with a dot.
const FOREIGN: [&str; 3] = ["target", "dist", "runs"];

#[derive(clap::Args)]
pub struct Arguments {
    /// Makes the pictures of the README anew, by a story in Chromium, and checks nothing.
    #[arg(long)]
    pictures: bool,
}

pub fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    if arguments.pictures { pictures::renew(workspace) } else { check(workspace) }
}

/// Checks all documents of the workspace.
///
/// # Errors
/// If one of them says what is not so.
pub fn check(workspace: &Workspace) -> Result<()> {
    let documents = documents(&workspace.root)?;
    let links = check_links(&workspace.root, &documents)?;
    let mut runner = Runner::prepare(workspace)?;
    let help = Help::read(&runner)?;
    for document in &documents {
        help.check(document, &runner)?;
    }
    for document in &documents {
        runner.check(document)?;
    }
    println!("\nnot run:");
    for (reason, commands) in &runner.skipped {
        println!("  {reason}");
        commands.iter().for_each(|command| println!("    {command}"));
    }
    println!("documents: {}, links: {links}", documents.len());
    let skipped: usize = runner.skipped.values().map(Vec::len).sum();
    println!("commands run: {}, skipped: {skipped}", runner.run);
    Ok(())
}

/// The blocks of `language` in all documents, each with its place.
///
/// # Errors
/// If a document cannot be read.
pub fn blocks(workspace: &Workspace, language: &str) -> Result<Vec<(String, String)>> {
    let documents = documents(&workspace.root)?;
    let blocks = documents.iter().flat_map(|document| {
        let wanted = document.blocks.iter().filter(|block| block.language == language);
        wanted.map(|block| (document.place(block.line), block.lines.join("\n")))
    });
    Ok(blocks.collect())
}

/// All Markdown files, the README first, as others use the run that its commands train.
fn documents(root: &Path) -> Result<Vec<Document>> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort_by_key(|path| (path != &root.join("README.md"), path.clone()));
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Document::parse(path.strip_prefix(root)?.to_owned(), &text)
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || FOREIGN.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths)?;
        } else if name.ends_with(".md") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Follows the links from file to file and to headings; gives their number.
fn check_links(root: &Path, documents: &[Document]) -> Result<usize> {
    let anchors: BTreeMap<PathBuf, _> =
        documents.iter().map(|document| (root.join(&document.path), document.anchors())).collect();
    let mut followed = 0;
    let mut broken = Vec::new();
    for document in documents {
        let here = root.join(&document.path);
        for (line, link) in document.links() {
            if link.contains("://") {
                continue;
            }
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { normal(&here, file) };
            let leads_there = match anchors.get(&target) {
                Some(known) => anchor.is_empty() || known.contains(anchor),
                None => anchor.is_empty() && target.exists(),
            };
            if !leads_there {
                broken.push(format!("{}: {link}", document.place(line)));
            }
        }
    }
    ensure!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    Ok(followed)
}

/// The path that `link` means in the file `here`.
fn normal(here: &Path, link: &str) -> PathBuf {
    let mut path = here.parent().unwrap_or(here).to_owned();
    for part in link.split('/') {
        match part {
            ".." => drop(path.pop()),
            "." | "" => {}
            part => path.push(part),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document::parse(path.into(), text).unwrap()
    }

    #[test]
    fn names_every_link_that_leads_nowhere() {
        let root = Workspace::find().root;
        let documents = |link: &str| {
            let text = format!("# Top\n[x]({link})\n");
            [document("docs/a.md", &text), document("README.md", "# Quintet\n")]
        };
        for good in ["#top", "../README.md#quintet", "../xtask/src", "https://example.org"] {
            assert!(check_links(&root, &documents(good)).is_ok(), "{good}");
        }
        for bad in ["#bottom", "../README.md#top", "b.md"] {
            let error = check_links(&root, &documents(bad)).unwrap_err().to_string();
            assert!(error.ends_with(&format!("docs/a.md:2: {bad}")), "{error}");
        }
    }
}
