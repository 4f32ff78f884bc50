//! Checks that imports follow ARCHITECTURE.md: within a crate, a file imports only what stands below it in the map.
//!
//! Tests are exempt. Between crates, Cargo.toml says who may import whom.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::shell::{self, Shell};
use crate::workspace::Workspace;

mod crate_tree;
mod map;
mod source;

use crate_tree::{CrateTree, written};
use map::Map;

const MAPS: &str = "ARCHITECTURE.md";

/// Checks every map of ARCHITECTURE.md against the files and imports of its crate.
pub fn run(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(MAPS);
    let text = fs::read_to_string(&path)?;
    let maps = Map::read_all(&text)?;
    let mut faults: Vec<String> = source_folders(workspace)?
        .iter()
        .filter(|folder| maps.iter().all(|map| map.folder != **folder))
        .map(|folder| format!("{MAPS} has no map of {folder}"))
        .collect();
    let (mut files, mut arrows) = (0, 0);
    for map in &maps {
        let tree = CrateTree::read(&workspace.root.join(&map.folder))?;
        files += tree.files().count();
        faults.extend(map.missing_and_stale(tree.files()));
        for arrow in tree.arrows() {
            arrows += 1;
            faults.extend(map.fault(&arrow));
        }
    }
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    eprintln!("imports: {files} files, {arrows} arrows, {} of them against the map", faults.len());
    ensure!(
        faults.is_empty(),
        "move what is imported below its readers, or mend the map in {MAPS}"
    );
    Ok(())
}

/// The folders of sources of the workspace's crates, relative to its root.
fn source_folders(workspace: &Workspace) -> Result<Vec<String>> {
    let mut cargo = Shell::new(workspace).command("cargo");
    let metadata = shell::answer(cargo.args(["metadata", "--no-deps", "--format-version=1"]));
    let metadata: Value = serde_json::from_str(&metadata.context("cargo names no packages")?)?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    packages
        .iter()
        .map(|package| {
            let manifest = package["manifest_path"].as_str().context("a package has no path")?;
            let folder = Path::new(manifest).with_file_name("src");
            Ok(written(folder.strip_prefix(&workspace.root)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "```map src\nlib.rs\ntop.rs   reads the bottom\nshelf/   its own\n  book.rs, page.rs\nbottom.rs\n```\n";

    /// The faults of a crate of these files under [`MAP`].
    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let map = &Map::read_all(MAP).unwrap()[0];
        let tree =
            CrateTree::parse(files.iter().map(|(path, text)| ((*path).into(), (*text).to_owned())))
                .unwrap();
        let order = map.missing_and_stale(tree.files());
        order.into_iter().chain(tree.arrows().iter().filter_map(|arrow| map.fault(arrow))).collect()
    }

    fn with(changed: &str, text: &str) -> Vec<String> {
        let mut files = vec![
            ("lib.rs", "mod bottom; mod shelf; mod top; pub use shelf::Book;"),
            ("top.rs", "use crate::bottom::Floor; use crate::Book;"),
            ("shelf/mod.rs", "mod book; mod page; pub use book::Book; pub struct Shelf;"),
            ("shelf/book.rs", "use super::page::Page; pub struct Book;"),
            ("shelf/page.rs", "pub struct Page;"),
            ("bottom.rs", "pub struct Floor;"),
        ];
        for file in &mut files {
            if file.0 == changed {
                file.1 = text;
            }
        }
        faults(&files)
    }

    #[test]
    fn imports_that_point_down_are_fine() {
        assert_eq!(with("", ""), [""; 0]);
    }

    #[test]
    fn an_import_that_points_up_is_named_with_its_item() {
        let found = with("bottom.rs", "use crate::top::Lamp; pub struct Floor;");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("src/bottom.rs") && found[0].contains("`Lamp`"), "{found:?}");
    }

    #[test]
    fn a_re_export_counts_for_the_file_that_defines_the_item() {
        assert_eq!(with("bottom.rs", "use crate::Book; pub struct Floor;").len(), 1);
        assert_eq!(with("top.rs", "use crate::shelf::Book;"), [""; 0]);
    }

    #[test]
    fn a_child_that_imports_what_its_parent_defines_points_up() {
        assert_eq!(with("shelf/page.rs", "use super::Shelf; pub struct Page;").len(), 1);
    }

    #[test]
    fn a_path_inside_a_function_or_a_macro_is_an_import() {
        assert_eq!(
            with("shelf/page.rs", "pub struct Page; fn f() { crate::top::light() }").len(),
            1
        );
        assert_eq!(
            with(
                "shelf/page.rs",
                "pub struct Page; fn f() { print!(\"{}\", crate::top::light()) }"
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_module_that_is_imported_by_name_leads_to_what_is_used_of_it() {
        let text = "pub struct Page; use crate::top; fn f() { top::light() }";
        assert_eq!(with("shelf/page.rs", text).len(), 1);
    }

    #[test]
    fn tests_may_import_what_they_like() {
        let text =
            "pub struct Floor; #[cfg(test)] mod tests { use super::*; use crate::top::Lamp; }";
        assert_eq!(with("bottom.rs", text), [""; 0]);
    }

    #[test]
    fn a_file_without_a_line_and_a_line_without_a_file_are_named() {
        let found = faults(&[("lib.rs", "mod attic;"), ("attic.rs", "")]);
        assert!(found.iter().any(|fault| fault.contains("attic.rs")), "{found:?}");
        assert!(found.iter().any(|fault| fault.contains("top.rs")), "{found:?}");
    }
}
