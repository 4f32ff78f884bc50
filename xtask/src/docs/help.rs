//! Flags and defaults: what documents say of them is what `native-train --help` says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::commands::Runner;
use super::markdown::Document;

const COMMANDS: [&str; 13] = [
    "train", "gather", "cluster", "distil", "shrink", "predict", "evaluate", "report", "audit",
    "compare", "export", "inspect", "doctor",
];

/// The help of each flag, over all commands.
pub struct Help(BTreeMap<String, String>);

impl Help {
    pub fn read(runner: &Runner) -> Result<Self> {
        let mut help = Self(BTreeMap::new());
        for command in COMMANDS {
            help.add(&runner.succeed(&format!("native-train {command} --help"))?);
        }
        Ok(help)
    }

    fn add(&mut self, page: &str) {
        let mut flag = String::new();
        for line in page.lines() {
            let text = line.trim_start();
            // Descriptions are indented deeper.
            if let (..=6, Some(at)) =
                (line.len() - text.len(), text.find("--").filter(|at| *at <= 4))
            {
                name(&text[at..]).clone_into(&mut flag);
            }
            let description = self.0.entry(flag.clone()).or_default();
            *description += " ";
            *description += text;
        }
    }

    /// Looks at the flags in a document's prose: alone they are `native-train`'s; in a row of a table the next cell is the
    /// default; after a program's name the program itself is asked.
    pub fn check(&self, document: &Document, runner: &Runner) -> Result<()> {
        for (line, code) in document.code() {
            let place = || format!("{}: `{code}`", document.place(line));
            if code.starts_with("--") || code.starts_with("native-train ") {
                let flags = code.split(' ').filter(|word| word.starts_with("--")).map(name);
                let unknown: Vec<&str> = flags.filter(|flag| !self.0.contains_key(*flag)).collect();
                ensure!(unknown.is_empty(), "{}: native-train has no {unknown:?}", place());
            } else if code.starts_with("cargo xtask ") {
                runner.check_flags(code).with_context(place)?;
            }
        }
        for (line, text) in &document.prose {
            let Some((flag, default)) = row(text) else { continue };
            let stated = format!("[default: {default}]");
            let known = self.0.get(flag).is_some_and(|description| description.contains(&stated));
            ensure!(known, "{}: {flag} has no {stated}", document.place(*line));
        }
        Ok(())
    }
}

/// A flag without what follows it.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    &text[..end.unwrap_or(text.len())]
}

/// Flag and default of a row of a table of settings.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let flag = cells.next()?.strip_prefix('`').filter(|cell| cell.starts_with("--"))?;
    let default = cells.next().filter(|cell| !cell.is_empty())?;
    Some((name(flag), default.trim_matches('`')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_found_where_the_help_wraps_them() {
        let mut help = Help(BTreeMap::new());
        help.add("Options:\n  -q, --quiet    No talk\n      --threads <N>\n          CPU threads [default: as\n          many as cores]\n");
        assert_eq!(help.0.keys().skip(1).collect::<Vec<_>>(), ["--quiet", "--threads"]);
        assert!(help.0["--threads"].contains("[default: as many as cores]"));
    }

    #[test]
    fn a_row_of_settings_has_a_flag_and_its_default() {
        assert_eq!(row("| `--lr` | 1.5e-5 | rate |"), Some(("--lr", "1.5e-5")));
        assert_eq!(row("| `--soup` | | one model |"), None);
        assert_eq!(row("| `fold-K/` | a folder |"), None);
        assert_eq!(row("|---|---|"), None);
    }
}
