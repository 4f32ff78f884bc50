//! Programs and tests are built with the same dependencies, so that each is compiled once.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::process::Command;

/// Package, version and features of everything that the workspace needs by `kinds` of dependencies.
fn dependencies(kinds: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--workspace", "--prefix", "none", "--format", "{p} {f}"]);
    let output = tree.args(["--edges", kinds]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    // Repeated packages are marked.
    lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn tests_ask_for_no_other_features_of_what_programs_use() {
    let (programs, tests) = (dependencies("normal,build"), dependencies("normal,build,dev"));
    let twice: Vec<_> = programs.difference(&tests).collect();
    assert!(
        twice.is_empty(),
        "the tests' build has other features of these, so they and all above them are compiled twice; \
         name the features in the Cargo.toml of the crate that uses them: {twice:#?}"
    );
}
