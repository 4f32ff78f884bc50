//! The environment variables that the Python package huggingface_hub reads, with the meaning they have
//! there.
//!
//! | variable | meaning |
//! |---|---|
//! | `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE` | the cache; else `hub` in `HF_HOME` |
//! | `HF_HOME` | the folder of cache and token; else `huggingface` in `XDG_CACHE_HOME`, or else in `~/.cache` |
//! | `HF_TOKEN`, else `HUGGING_FACE_HUB_TOKEN` | the token; else the file `HF_TOKEN_PATH`, or else `token` in `HF_HOME` |
//! | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | no token is sent |
//! | `HF_HUB_OFFLINE`, else `TRANSFORMERS_OFFLINE` | no request is made |
//! | `HF_ENDPOINT` | the hub's address |
//! | `HF_HUB_DOWNLOAD_TIMEOUT` | the seconds to wait for an answer or for more bytes: 10 |
//! | `HF_HUB_DISABLE_SYMLINKS`, `HF_HUB_DISABLE_PROGRESS_BARS` | files are copied, downloads are not shown |
//!
//! Switches are on if they are `1`, `ON`, `YES` or `TRUE`. A variable that is empty counts as not set, which is
//! the one difference: there an empty `HF_HOME` is the working folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::expand::expand;
use crate::error::UserError;

const PUBLIC_ENDPOINT: &str = "https://huggingface.co";

/// Variables by name.
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    home: Option<String>,
}

/// A token, and where it comes from, for messages.
pub(super) struct Token {
    pub value: String,
    pub origin: String,
}

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
        Self { variables: std::env::vars_os().filter_map(utf8).collect(), home }
    }

    #[cfg(test)]
    pub fn of<const N: usize>(home: &str, variables: [(&str, &str); N]) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self { variables: variables.into_iter().map(owned).collect(), home: Some(home.to_owned()) }
    }

    #[cfg(test)]
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// The variable's value, which may be empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The variable's value, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.trim().is_empty())
    }

    pub fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// The first of these variables that is not empty, with its name.
    pub fn first_of<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// The folder that holds a folder for each repository.
    pub fn cache(&self) -> PathBuf {
        match self.first_of(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
            Some((_, folder)) => self.path(folder),
            None => self.hf_home().join("hub"),
        }
    }

    fn hf_home(&self) -> PathBuf {
        if let Some(folder) = self.get("HF_HOME") {
            return self.path(folder);
        }
        let caches = self.get("XDG_CACHE_HOME").unwrap_or("~/.cache");
        self.path(caches).join("huggingface")
    }

    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(expand(path, self.home(), &self.variables))
    }

    /// The hub's address without a slash at its end.
    ///
    /// # Errors
    /// If it is no address.
    pub fn endpoint(&self) -> Result<String> {
        let endpoint = self.get("HF_ENDPOINT").unwrap_or(PUBLIC_ENDPOINT).trim();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(UserError::new(format!(
                "HF_ENDPOINT is `{endpoint}`, which is not a web address"
            ))
            .hint(format!("write `https://` before it, or unset it to use {PUBLIC_ENDPOINT}"))
            .into());
        }
        Ok(endpoint.trim_end_matches('/').to_owned())
    }

    /// The variable that forbids requests, as it would be typed.
    pub fn offline(&self) -> Option<String> {
        let (name, value) = self.first_of(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])?;
        is_true(value).then(|| format!("{name}={value}"))
    }

    /// The token that opens private and gated repositories.
    ///
    /// # Errors
    /// If its file cannot be read, or if it cannot be sent.
    pub fn token(&self) -> Result<Option<Token>> {
        if self.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(None);
        }
        let token = match self.first_of(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
            Some((name, value)) => Some((value.to_owned(), name.to_owned())),
            None => self.token_file()?,
        };
        let Some((value, origin)) = token else { return Ok(None) };
        let value = value.replace(['\r', '\n'], "").trim().to_owned();
        if value.is_empty() {
            return Ok(None);
        }
        if !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err(UserError::new(format!(
                "the token in {origin} has a character that no token of the Hugging Face hub has"
            ))
            .hint("copy it again from the hub's page of access tokens; it begins with `hf_`")
            .into());
        }
        Ok(Some(Token { value, origin }))
    }

    fn token_file(&self) -> Result<Option<(String, String)>> {
        let path = match self.get("HF_TOKEN_PATH") {
            Some(path) => self.path(path),
            None => self.hf_home().join("token"),
        };
        let origin = format!("`{}`", path.display());
        match fs::read_to_string(&path) {
            Ok(token) => Ok(Some((token, origin))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "cannot read the hub's token in {origin} (HF_TOKEN_PATH names another file)"
                )
            }),
        }
    }

    /// The time to wait for an answer, and for more of it.
    ///
    /// # Errors
    /// If the variable is no number.
    pub fn timeout(&self) -> Result<Duration> {
        const NAME: &str = "HF_HUB_DOWNLOAD_TIMEOUT";
        let value = self.get(NAME).unwrap_or("10").trim();
        let seconds: u64 = value.parse().map_err(|_| {
            UserError::new(format!("{NAME} is `{value}`, which is not a number of seconds"))
                .hint(format!("pass a whole number: {NAME}=30"))
        })?;
        Ok(Duration::from_secs(if seconds == 0 { 10 } else { seconds }))
    }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}
