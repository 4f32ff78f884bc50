//! The files of a folder, as far as two undisturbed runs of a command leave them alike.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use serde_json::Value;

/// The blocks of a file system in memory.
const BLOCK: u64 = 4096;

/// The fields of `summary.json` that the clock and the system fill: they differ between any two runs.
const MEASURED: [&str; 2] = ["seconds", "peak_memory_bytes"];

/// The beginning of the last section of `report.html`, which tells the same.
const MEASURED_SECTION: &[u8] = b"id=\"times\"";

/// The files below a folder by their path in it. Folders count by their files alone.
#[derive(Clone, Default, PartialEq)]
pub struct Contents(BTreeMap<String, Vec<u8>>);

impl Contents {
    pub fn of(folder: &Path) -> Result<Self> {
        let mut contents = Self::default();
        contents.add(folder, "")?;
        Ok(contents)
    }

    fn add(&mut self, folder: &Path, path: &str) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{path}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.add(&entry.path(), &format!("{name}/"))?;
                continue;
            }
            let bytes = fs::read(entry.path())?;
            self.0.insert(name.clone(), comparable(&name, bytes)?);
        }
        Ok(())
    }

    /// The bytes that the files take on a file system in memory.
    pub fn room(&self) -> u64 {
        self.0.values().map(|bytes| (bytes.len() as u64).next_multiple_of(BLOCK)).sum()
    }

    /// The files that `later` has and these have not, or have otherwise.
    pub fn new_in(&self, later: &Self) -> Self {
        let is_new = |(name, bytes): &(&String, &Vec<u8>)| self.0.get(*name) != Some(*bytes);
        let new = later.0.iter().filter(is_new);
        Self(new.map(|(name, bytes)| (name.clone(), bytes.clone())).collect())
    }

    pub fn largest(&self) -> u64 {
        self.0.values().map(|bytes| bytes.len() as u64).max().unwrap_or(0)
    }

    /// # Errors
    /// If there is the temporary file of a write that has ended.
    pub fn have_no_temporaries(&self) -> Result<()> {
        let is_temporary = |name: &&String| {
            name.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
                && name.ends_with(".tmp")
        };
        match self.0.keys().find(is_temporary) {
            Some(name) => bail!("`{name}` was left behind"),
            None => Ok(()),
        }
    }

    /// # Errors
    /// If a file differs, or only one side has it.
    pub fn must_be(&self, expected: &Self) -> Result<()> {
        for (name, bytes) in &expected.0 {
            let found = self.0.get(name).with_context(|| format!("`{name}` is missing"))?;
            ensure!(found == bytes, "`{name}` has other bytes");
        }
        match self.0.keys().find(|name| !expected.0.contains_key(*name)) {
            Some(name) => bail!("`{name}` should not be there"),
            None => Ok(()),
        }
    }

    /// Checks what stood `before`, as far as its paths begin with one of `stands`: each file is as it was or as it is in
    /// the `end`, and gone only if it is gone there.
    pub fn must_stand(&self, before: &Self, end: &Self, stands: &[&str]) -> Result<()> {
        let old = before.0.iter().filter(|(name, _)| stands.iter().any(|it| name.starts_with(it)));
        for (name, old) in old {
            let new = end.0.get(name);
            match self.0.get(name) {
                Some(bytes) => {
                    ensure!(bytes == old || Some(bytes) == new, "`{name}` is damaged");
                }
                None => ensure!(new.is_none(), "`{name}` is lost"),
            }
        }
        Ok(())
    }
}

/// A file without what the clock and the system have put into it.
fn comparable(name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    if name.ends_with("summary.json") {
        return unmeasured(&bytes);
    }
    if name.ends_with("report.html") {
        let measured = bytes.windows(MEASURED_SECTION.len()).position(|it| it == MEASURED_SECTION);
        bytes.truncate(measured.context("report.html has no times")?);
    }
    Ok(bytes)
}

fn unmeasured(json: &[u8]) -> Result<Vec<u8>> {
    let mut summary: Value = serde_json::from_slice(json).context("summary.json is damaged")?;
    let fields = summary.as_object_mut().context("summary.json has no fields")?;
    for name in MEASURED {
        fields.remove(name).with_context(|| format!("summary.json has no `{name}`"))?;
    }
    Ok(summary.to_string().into_bytes())
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(files: &[(&str, &str)]) -> Contents {
        let owned = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Contents(owned.collect())
    }

    fn said(outcome: Result<()>) -> String {
        outcome.expect_err("it differs").to_string()
    }

    #[test]
    fn what_stood_is_the_old_or_the_new_and_nothing_between() {
        let before = contents(&[("b/old", "1"), ("b/both", "old"), ("log", "x")]);
        let end = contents(&[("b/new", "2"), ("b/both", "new")]);
        let stands = |now: &[(&str, &str)]| contents(now).must_stand(&before, &end, &["b/"]);
        stands(&[("b/old", "1"), ("b/both", "old")]).expect("all old");
        stands(&[("b/both", "new"), ("b/half", "")]).expect("all new, and more");
        assert_eq!(said(stands(&[("b/old", "1")])), "`b/both` is lost");
        assert_eq!(said(stands(&[("b/both", "ne")])), "`b/both` is damaged");
        assert_eq!(said(stands(&[("b/old", ""), ("b/both", "old")])), "`b/old` is damaged");
    }

    #[test]
    fn a_difference_names_its_file() {
        let expected = contents(&[("a", "1"), ("b", "2")]);
        let must_be = |found: &[(&str, &str)]| contents(found).must_be(&expected);
        must_be(&[("a", "1"), ("b", "2")]).expect("the same");
        assert_eq!(said(must_be(&[("a", "1")])), "`b` is missing");
        assert_eq!(said(must_be(&[("a", "1"), ("b", "")])), "`b` has other bytes");
        assert_eq!(said(must_be(&[("a", "1"), ("b", "2"), ("c", "")])), "`c` should not be there");
        let left = contents(&[("run/.oof.csv.tmp", "")]);
        assert_eq!(said(left.have_no_temporaries()), "`run/.oof.csv.tmp` was left behind");
        contents(&[("run/oof.tmp", ""), (".tmp/x", "")]).have_no_temporaries().expect("none");
    }

    #[test]
    fn times_and_memory_of_a_summary_do_not_count() {
        let read = |json: &str| unmeasured(json.as_bytes()).expect("a summary");
        let one = read(r#"{"rows": 3, "seconds": {"total": 1.5}, "peak_memory_bytes": 7}"#);
        assert_eq!(one, read(r#"{"rows": 3, "seconds": {"total": 2.5}, "peak_memory_bytes": 8}"#));
        assert_ne!(one, read(r#"{"rows": 4, "seconds": {"total": 1.5}, "peak_memory_bytes": 7}"#));
    }
}
