//! A model's files from the Hugging Face hub, through its cache.
//!
//! The cache is the one that HF's own tools keep (`HF_HOME`, else `~/.cache/huggingface`); `HF_ENDPOINT` names a
//! mirror; `HF_TOKEN`, else the token file of `hf auth login`, opens private repositories. Once a model is cached,
//! no request is made.

mod meter;

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::layout::{CONFIG_FILE, TOKENIZER_FILES, WEIGHT_FILES};
use super::weights::shard_names;
use crate::error::UserError;
use crate::progress::Downloads;
use meter::Meter;

const PUBLIC_ENDPOINT: &str = "https://huggingface.co";

/// The number of times that a broken download is continued.
const RETRIES: usize = 3;
/// The time before that.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Hub {
    api: Api,
    cache: Cache,
    endpoint: String,
    downloads: Downloads,
}

/// One commit of a repository, from which all files of a model come.
struct Snapshot<'a> {
    hub: &'a Hub,
    name: Name<'a>,
    repo: ApiRepo,
    folder: PathBuf,
}

/// A repository's name in messages.
#[derive(Clone, Copy)]
struct Name<'a> {
    id: &'a str,
    revision: &'a str,
}

impl Hub {
    /// The hub and cache that the environment names.
    pub fn from_env(downloads: Downloads) -> Result<Self> {
        let var = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let cache = Cache::from_env();
        let token = var("HF_TOKEN").map(|token| token.trim().to_owned()).or_else(|| cache.token());
        let endpoint = var("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_ENDPOINT.to_owned());
        Self::new(endpoint.trim_end_matches('/'), cache, token, downloads)
    }

    fn new(
        endpoint: &str,
        cache: Cache,
        token: Option<String>,
        downloads: Downloads,
    ) -> Result<Self> {
        let api = ApiBuilder::from_cache(cache.clone())
            .with_endpoint(endpoint.to_owned())
            .with_token(token)
            .with_user_agent("quintet", env!("CARGO_PKG_VERSION"))
            .build()
            .context("cannot set up the client of the Hugging Face hub")?;
        Ok(Self { api, cache, endpoint: endpoint.to_owned(), downloads })
    }

    /// The folder in the cache that holds config, tokenizer and weights of `id` at `revision`.
    pub fn fetch(&self, id: &str, revision: &str) -> Result<PathBuf> {
        let name = Name { id, revision };
        let snapshot = self.snapshot(name)?;
        snapshot.any_of(&TOKENIZER_FILES)?;
        let weights = snapshot.any_of(&WEIGHT_FILES)?;
        if weights.extension().is_some_and(|extension| extension == "json") {
            for shard in shard_names(&weights)? {
                snapshot.any_of(&[&shard])?;
            }
        }
        Ok(snapshot.folder)
    }

    /// Finds or fetches the config, and so the commit that `revision` stands for.
    fn snapshot<'a>(&'a self, name: Name<'a>) -> Result<Snapshot<'a>> {
        let latest = repo(name.id, name.revision);
        let config = match self.cache.repo(latest.clone()).get(CONFIG_FILE) {
            Some(path) => path,
            None => self
                .download(name, &self.api.repo(latest), CONFIG_FILE)?
                .ok_or_else(|| self.not_found(name, &[CONFIG_FILE]))?,
        };
        let folder = config.parent().expect("a file of a snapshot").to_owned();
        let commit = folder.file_name().expect("named by the commit").to_string_lossy();
        let repo = self.api.repo(repo(name.id, &commit));
        Ok(Snapshot { hub: self, name, repo, folder })
    }

    /// `None` if the repository has no such file.
    fn download(&self, name: Name, repo: &ApiRepo, file: &str) -> Result<Option<PathBuf>> {
        // hf-hub's own retries append the whole file to a part that an earlier process left, if the first
        // attempt brings nothing. A new call looks at the part's length again.
        let mut retries = 0..RETRIES;
        loop {
            match repo.download_with_progress(file, Meter::new(self.downloads)) {
                Ok(path) => return Ok(Some(path)),
                Err(error) if status(&error) == Some(404) => return Ok(None),
                Err(ApiError::IoError(_)) if retries.next().is_some() => thread::sleep(PAUSE),
                Err(error) => return Err(self.explain(name, file, error)),
            }
        }
    }

    fn not_found(&self, name: Name, files: &[&str]) -> anyhow::Error {
        let files = files.join(", ");
        UserError::new(format!("{name} at {} has no {files}", self.endpoint))
            .hint("check the name and the revision, or pass a folder that exists")
            .into()
    }

    fn explain(&self, name: Name, file: &str, error: ApiError) -> anyhow::Error {
        let endpoint = &self.endpoint;
        let user = |message: String, hint: &str| UserError::new(message).hint(hint).into();
        match (status(&error), error) {
            // The hub does not tell strangers whether a repository exists.
            (Some(code @ (401 | 403)), _) => user(
                format!(
                    "{endpoint} refuses {name} (HTTP {code}): it does not exist, or it is private or gated"
                ),
                "check the name; for a private or gated model accept its terms on its page and set HF_TOKEN",
            ),
            // hf-hub asks for the bytes after those that an earlier run left, and there are none.
            (Some(416), _) | (None, ApiError::InvalidResume) => user(
                format!("the earlier download of `{file}` of {name} cannot be continued"),
                &format!("delete the `.part` files in `{}`", self.blobs(name).display()),
            ),
            (Some(code), _) => user(
                format!("{endpoint} answers HTTP {code} for `{file}` of {name}"),
                "try again later, or download the model's files into a folder and pass that",
            ),
            (None, ApiError::RequestError(error)) => user(
                format!("cannot reach {endpoint} for `{file}` of {name}: {error}"),
                "check the network, HF_ENDPOINT and the proxy, or pass a folder that holds the model's files",
            ),
            (None, ApiError::LockAcquisition(lock)) => user(
                format!(
                    "`{file}` of {name} is being downloaded by another process (`{}`)",
                    lock.display()
                ),
                "wait until it is done, then try again",
            ),
            (None, ApiError::MissingHeader(header) | ApiError::InvalidHeader(header)) => user(
                format!(
                    "{endpoint} does not answer like a Hugging Face hub: header {header} is missing or malformed"
                ),
                "check HF_ENDPOINT",
            ),
            (None, error) => {
                let cache = self.cache.path().display();
                anyhow!(error).context(format!("downloading `{file}` of {name} into `{cache}`"))
            }
        }
    }

    fn blobs(&self, name: Name) -> PathBuf {
        self.cache.path().join(repo(name.id, name.revision).folder_name()).join("blobs")
    }
}

impl Snapshot<'_> {
    /// The first of `files` that the cache has, else the first that the hub has.
    fn any_of(&self, files: &[&str]) -> Result<PathBuf> {
        let cached = files.iter().map(|file| self.folder.join(file)).find(|path| path.exists());
        if let Some(path) = cached {
            return Ok(path);
        }
        for file in files {
            if let Some(path) = self.hub.download(self.name, &self.repo, file)? {
                return Ok(path);
            }
        }
        Err(self.hub.not_found(self.name, files))
    }
}

fn repo(id: &str, revision: &str) -> Repo {
    Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned())
}

/// The HTTP status, if the server answered with an error.
fn status(error: &ApiError) -> Option<u16> {
    let ApiError::RequestError(error) = error else { return None };
    if let ureq::Error::StatusCode(code) = **error { Some(code) } else { None }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            "main" => write!(f, "`{}`", self.id),
            revision => write!(f, "`{}@{revision}`", self.id),
        }
    }
}

#[cfg(test)]
mod tests;
