//! Config files: TOML whose keys are the flags of `train`, written with dashes or underscores.

use std::{fs, io::ErrorKind, ops::Range, path::Path};

use anyhow::Result;
use toml::de::DeTable;

use super::Settings;
use crate::error::UserError;

impl Settings {
    /// Reads a config file.
    ///
    /// # Errors
    /// If the file does not exist, is not TOML, or has an unknown key or a wrong value, whose line is
    /// then named.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                UserError::new(format!("config file `{}` does not exist", path.display()))
                    .hint("check the path given as `--config`")
                    .into()
            }
            _ => anyhow::Error::new(error).context(format!("cannot read `{}`", path.display())),
        })?;
        Ok(parse(text, &path.display().to_string())?)
    }
}

fn parse(mut text: String, name: &str) -> Result<Settings, UserError> {
    for key in keys(&text, name)? {
        // Both characters are one byte, so that later positions do not change.
        let dashed = text[key.clone()].replace('_', "-");
        text.replace_range(key, &dashed);
    }
    toml::from_str(&text).map_err(|error| located(&text, name, &error))
}

/// The positions of the keys, after each was found to be known.
fn keys(text: &str, name: &str) -> Result<Vec<Range<usize>>, UserError> {
    let document = DeTable::parse(text).map_err(|error| located(text, name, &error))?;
    let known = Settings::keys();
    let mut positions = Vec::new();
    for key in document.get_ref().keys() {
        let dashed = key.get_ref().replace('_', "-");
        if !known.contains(&dashed) {
            let line = line_of(text, key.span().start);
            let message = format!("`{name}`, line {line}: unknown key `{}`", key.get_ref());
            let nearest = nearest(&dashed, &known);
            return Err(UserError::new(message).hint(format!(
                "did you mean `{nearest}`? The keys are the flags of `native-train train` without the \
                 leading dashes"
            )));
        }
        positions.push(key.span());
    }
    Ok(positions)
}

fn nearest<'a>(key: &str, known: &'a [String]) -> &'a str {
    let likeness = |other: &String| strsim::jaro(other, key);
    known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).expect("there are keys")
}

/// A TOML error with the number and text of its line.
fn located(text: &str, name: &str, error: &toml::de::Error) -> UserError {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let source = text.lines().nth(line - 1).unwrap_or_default().trim();
    UserError::new(format!("`{name}`, line {line}, `{source}`: {}", error.message()))
}

/// The line of a position, counted from 1.
fn line_of(text: &str, position: usize) -> usize {
    text[..position].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        parse(text.to_owned(), "ours.toml").unwrap_err().to_string()
    }

    #[test]
    fn dashes_and_underscores_are_the_same() {
        let text = "batch_size = 8\nmax-len = 64\nlr = 1\nlabels = [\"a_b\"]";
        let settings = parse(text.to_owned(), "ours.toml").unwrap();
        assert_eq!((settings.batch_size, settings.max_len), (Some(8), Some(64)));
        assert_eq!(settings.lr, Some(1.0));
        assert_eq!(settings.labels, Some(vec!["a_b".to_owned()]));
    }

    #[test]
    fn a_complaint_names_the_line() {
        assert_eq!(
            complaint("# ours\nbatchsize = 8"),
            "`ours.toml`, line 2: unknown key `batchsize`"
        );
        let wrong_type = complaint("seed = 1\n\nlr = \"fast\"");
        assert!(wrong_type.starts_with("`ours.toml`, line 3, `lr = \"fast\"`: "), "{wrong_type}");
        assert!(complaint("seed = 1\nfolds = = 2").starts_with("`ours.toml`, line 2, "));
        let twice = complaint("max_len = 4\nmax-len = 8");
        assert!(twice.starts_with("`ours.toml`, line 2, `max-len = 8`: "), "{twice}");
    }
}
