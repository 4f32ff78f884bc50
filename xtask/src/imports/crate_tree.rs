//! A crate as a tree of modules: which file an imported path leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;

use super::source::{Segments, Source};

/// Files and folders of tests; they may import anything.
const TESTS: [&str; 2] = ["tests", "tests.rs"];

/// The most steps that a re-export of a re-export may take.
const DEEPEST: usize = 16;

pub struct CrateTree {
    /// The modules by their paths in the crate; the root's is empty.
    modules: BTreeMap<Segments, Module>,
    /// The name by which the crate's programs call its library.
    library: Option<String>,
}

/// An import: a file, the file that defines what it imports, and the item's name. Paths are relative to the crate's folder of sources.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: PathBuf,
    pub to: PathBuf,
    pub item: String,
}

struct Module {
    file: PathBuf,
    source: Source,
}

impl CrateTree {
    /// Reads all sources below `folder`, a crate's `src`.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        list(folder, Path::new(""), &mut files)?;
        let texts = files.into_iter().map(|file| {
            let text = fs::read_to_string(folder.join(&file))?;
            Ok((file, text))
        });
        let mut tree = Self::parse(texts.collect::<Result<Vec<_>>>()?)?;
        let package = folder.parent().and_then(Path::file_name);
        tree.library = package.map(|name| name.to_string_lossy().replace('-', "_"));
        Ok(tree)
    }

    /// The same from texts: each with its path below `src`.
    pub fn parse(files: impl IntoIterator<Item = (PathBuf, String)>) -> Result<Self> {
        let mut modules = BTreeMap::new();
        for (file, text) in files {
            let source =
                Source::parse(&text).with_context(|| format!("cannot parse {}", written(&file)))?;
            modules.insert(module_of(&file), Module { file, source });
        }
        Ok(Self { modules, library: None })
    }

    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.modules.values().map(|module| module.file.as_path())
    }

    /// All imports from one file of the crate to another, in order.
    pub fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (path, module) in &self.modules {
            let source = &module.source;
            let written = source.paths.iter().chain(source.imported.values());
            for used in written {
                let Some((to, item)) = self.resolve(path, used, DEEPEST) else { continue };
                if to != module.file {
                    arrows.insert(Arrow { from: module.file.clone(), to, item });
                }
            }
        }
        arrows
    }

    /// The file that defines what `path`, written in the module `at`, leads to, and its name. None for a module and for
    /// what is not of this crate.
    fn resolve(&self, at: &Segments, path: &[String], steps: usize) -> Option<(PathBuf, String)> {
        let steps = steps.checked_sub(1)?;
        let (mut module, mut rest) = self.start(at, path)?;
        loop {
            let (name, after) = rest.split_first()?;
            let inner: Segments = module.iter().chain([name]).cloned().collect();
            if self.modules.contains_key(&inner) {
                (module, rest) = (inner, after);
                continue;
            }
            let Module { file, source } = self.modules.get(&module)?;
            let here = Some((file.clone(), name.clone()));
            if source.defined.contains(name) {
                return here;
            }
            if let Some(imported) = source.imported.get(name) {
                if imported.as_slice() == path && module == *at {
                    return None;
                }
                let longer: Segments = imported.iter().chain(after).cloned().collect();
                return self.resolve(&module, &longer, steps);
            }
            let by_glob = source.globs.iter().find_map(|glob| {
                let longer: Segments = glob.iter().chain(rest).cloned().collect();
                self.resolve(&module, &longer, steps)
            });
            // What no `use` explains was made by a macro of that file.
            return by_glob.or(here);
        }
    }

    /// The beginning of a path: the module, and the segments that remain.
    fn start<'a>(&self, at: &Segments, path: &'a [String]) -> Option<(Segments, &'a [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((root_of(at), rest)),
            "self" => Some((at.clone(), rest)),
            "super" => {
                let mut module = at.clone();
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                module.truncate(module.len().checked_sub(ups)?);
                Some((module, &path[ups..]))
            }
            name if Some(name) == self.library.as_deref() => Some((Segments::new(), rest)),
            // A child, or what a `use` of this module has brought in.
            name => {
                let source = &self.modules.get(at)?.source;
                let known = source.declared.contains(name) || source.imported.contains_key(name);
                known.then(|| (at.clone(), path))
            }
        }
    }
}

/// A path as ARCHITECTURE.md writes it, with `/` on every system.
pub fn written(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// `kernels/attention.rs` is the module `kernels::attention`, `bin/worker/main.rs` the root `bin::worker` of a program.
fn module_of(file: &Path) -> Segments {
    if file == Path::new("main.rs") {
        return ["bin", "main"].map(String::from).to_vec();
    }
    let mut segments: Segments =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if segments.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
        segments.pop();
    }
    segments
}

/// The module that `crate` means in another: each program in `bin` is a crate of its own.
fn root_of(module: &Segments) -> Segments {
    let depth = if module.first().is_some_and(|first| first == "bin") { 2 } else { 0 };
    module[..depth].to_vec()
}

fn list(folder: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = folder.join(below);
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let name = entry.file_name();
        let inner = below.join(&name);
        if TESTS.iter().any(|tests| name == *tests) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(folder, &inner, files)?;
        } else if inner.extension().is_some_and(|extension| extension == "rs") {
            files.push(inner);
        }
    }
    Ok(())
}
