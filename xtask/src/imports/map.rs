//! The maps in ARCHITECTURE.md: which files a crate has, from the top to the bottom.
//!
//! A map is a fenced block that begins with "```map FOLDER". A line names files or a folder, and after two spaces says what they are;
//! two spaces of indentation lead into the folder above. `folder/` stands for its `mod.rs`. A line that begins otherwise goes on with
//! the description above it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::crate_tree::{Arrow, written};

pub struct Map {
    /// The crate's folder of sources, relative to the workspace.
    pub folder: String,
    /// Each file's line, counted from the top; paths are relative to `folder`.
    lines: BTreeMap<PathBuf, usize>,
}

impl Map {
    /// Reads all maps of `text`, a Markdown document.
    pub fn read_all(text: &str) -> Result<Vec<Self>> {
        let mut maps = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(folder) = line.strip_prefix("```map ") {
                let block = lines.by_ref().take_while(|line| *line != "```");
                let map = Self::read(folder.trim(), block);
                maps.push(map.with_context(|| format!("the map of {folder}"))?);
            }
        }
        Ok(maps)
    }

    fn read<'a>(folder: &str, block: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut map = Self { folder: folder.to_owned(), lines: BTreeMap::new() };
        let mut open: Vec<&str> = Vec::new();
        for line in block {
            let Some(names) = names(line) else { continue };
            let depth = (line.len() - line.trim_start().len()) / 2;
            if depth > open.len() {
                bail!("`{line}` is indented below no folder");
            }
            open.truncate(depth);
            for name in names {
                let file = match name.strip_suffix('/') {
                    Some(inner) => {
                        open.push(inner);
                        "mod.rs"
                    }
                    None => name,
                };
                let path = open.iter().copied().chain([file]).collect();
                let next = map.lines.len();
                if map.lines.insert(path, next).is_some() {
                    bail!("`{name}` is named twice");
                }
            }
        }
        Ok(map)
    }

    /// Says which files have no line here, and which lines have no file.
    pub fn missing_and_stale<'a>(&self, files: impl Iterator<Item = &'a Path>) -> Vec<String> {
        let mut stale: BTreeMap<&Path, usize> =
            self.lines.iter().map(|(path, line)| (path.as_path(), *line)).collect();
        let mut faults = Vec::new();
        for file in files {
            if stale.remove(file).is_none() {
                faults.push(format!("{} has no line in the map", self.written(file)));
            }
        }
        // A folder may have no mod.rs: its module is then the file of its name beside it.
        stale.retain(|path, _| !path.ends_with("mod.rs"));
        faults.extend(
            stale
                .keys()
                .map(|path| format!("the map names {}, which is not there", self.written(path))),
        );
        faults
    }

    /// Says what is wrong with an import, if it does not point down.
    pub fn fault(&self, arrow: &Arrow) -> Option<String> {
        let (from, to) = (self.lines.get(&arrow.from)?, self.lines.get(&arrow.to)?);
        (from > to).then(|| {
            let (from, to) = (self.written(&arrow.from), self.written(&arrow.to));
            format!("{from} imports `{}` from {to}, which stands above it", arrow.item)
        })
    }

    fn written(&self, path: &Path) -> String {
        format!("{}/{}", self.folder, written(path))
    }
}

/// The files and folders that a line begins with; None where it only goes on with a description.
fn names(line: &str) -> Option<Vec<&str>> {
    let column = line.trim_start().split("  ").next()?;
    let names: Vec<&str> = column.split(", ").map(str::trim).collect();
    let all_are_paths = names
        .iter()
        .all(|name| (name.ends_with(".rs") || name.ends_with('/')) && !name.contains(' '));
    all_are_paths.then_some(names)
}
