//! A model's files from the Hugging Face hub, through its cache.
//!
//! It behaves as the Python package huggingface_hub does: the same environment variables (`environment`,
//! `network`), the same cache, so that what one has downloaded the other finds (`cache`), the same manners
//! towards the hub (`client`, `download`), and words for what goes wrong (`refusal`). Once a model is cached,
//! no request is made.

mod cache;
mod client;
mod download;
mod environment;
mod expand;
mod meter;
mod network;
mod refusal;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::layout::{CONFIG_FILE, TOKENIZER_FILES, TOKENIZER_SETTINGS_FILES, WEIGHT_FILES};
use super::weights::shard_names;
use crate::progress::Downloads;
use cache::{Links, RepositoryCache};
use client::{Client, Failure, Remote};
use download::{Download, Patience};
use environment::Environment;
use meter::Meter;
use refusal::Name;

/// The time before a failed request is repeated.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Hub {
    environment: Environment,
    downloads: Downloads,
    pause: Duration,
    /// Made for the first request: a cached model needs neither token nor certificates.
    client: OnceCell<Client>,
}

/// One commit of a repository, from which all files of a model come.
struct Snapshot<'a> {
    hub: &'a Hub,
    name: Name<'a>,
    cache: &'a RepositoryCache,
    commit: String,
}

impl Hub {
    /// The hub and cache that the environment names.
    pub fn from_env(downloads: Downloads) -> Self {
        Self::new(Environment::of_process(), downloads)
    }

    fn new(environment: Environment, downloads: Downloads) -> Self {
        let downloads = match environment.is_on("HF_HUB_DISABLE_PROGRESS_BARS") {
            true => Downloads::Hidden,
            false => downloads,
        };
        Self { environment, downloads, pause: PAUSE, client: OnceCell::new() }
    }

    /// The folder in the cache that holds config, tokenizer and weights of `id` at `revision`.
    pub fn fetch(&self, id: &str, revision: &str) -> Result<PathBuf> {
        let name = Name { id, revision };
        let links = match self.environment.is_on("HF_HUB_DISABLE_SYMLINKS") {
            true => Links::Copies,
            false => Links::Symbolic,
        };
        let cache = RepositoryCache::new(&self.environment.cache(), id, links);
        let commit = self.commit(name, &cache)?;
        let snapshot = Snapshot { hub: self, name, cache: &cache, commit };
        snapshot.any_of(&TOKENIZER_FILES)?;
        snapshot.all_there_are(&TOKENIZER_SETTINGS_FILES)?;
        let weights = snapshot.any_of(&WEIGHT_FILES)?;
        if weights.extension().is_some_and(|extension| extension == "json") {
            for shard in shard_names(&weights)? {
                snapshot.any_of(&[&shard])?;
            }
        }
        Ok(cache.snapshot(&snapshot.commit))
    }

    /// Finds or fetches the config, and so the commit that the revision stands for.
    fn commit(&self, name: Name, cache: &RepositoryCache) -> Result<String> {
        let cached = cache.commit(name.revision);
        if let Some(commit) = cached.filter(|commit| cache.file(commit, CONFIG_FILE).is_some()) {
            return Ok(commit);
        }
        let client = self.client(name, &[CONFIG_FILE], cache.folder())?;
        let remote = self
            .describe(client, name, name.revision, CONFIG_FILE)?
            .ok_or_else(|| refusal::not_found(client, name, &[CONFIG_FILE]))?;
        self.download(client, name, cache, CONFIG_FILE, &remote)?;
        Ok(remote.commit)
    }

    /// The client, if requests may be made for these files.
    fn client(&self, name: Name, files: &[&str], folder: &Path) -> Result<&Client> {
        if let Some(switch) = self.environment.offline() {
            return Err(refusal::offline(&switch, name, files, folder));
        }
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.environment)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The hub's word on a file; `None` if the repository has no such file.
    fn describe(
        &self,
        client: &Client,
        name: Name,
        revision: &str,
        file: &str,
    ) -> Result<Option<Remote>> {
        let meter = Meter::of_notes(self.downloads);
        let mut patience = Patience::new(self.pause);
        loop {
            match client.describe(name.id, revision, file) {
                Ok(remote) => return Ok(Some(remote)),
                Err(Failure::Status(refusal)) if refusal.is_of_file() => return Ok(None),
                Err(failure) if patience.may_go_on(&failure, false, &meter) => {}
                Err(failure) => return Err(refusal::failed(client, name, file, failure)),
            }
        }
    }

    fn download(
        &self,
        client: &Client,
        name: Name,
        cache: &RepositoryCache,
        file: &str,
        remote: &Remote,
    ) -> Result<PathBuf> {
        let Remote { commit, etag, size, .. } = remote;
        let unwritable = |error| refusal::unwritable(error, name, file, *size, cache.folder());
        let lock = cache
            .lock(etag, |path| {
                if self.downloads == Downloads::Shown {
                    let path = path.display();
                    eprintln!("waiting for another process that downloads {file} (`{path}`)");
                }
            })
            .map_err(unwritable)?;
        if !cache.has_blob(etag) {
            let incomplete = cache.incomplete(etag, &lock).map_err(unwritable)?;
            let Self { downloads, pause, .. } = *self;
            Download { client, name, file, remote, downloads, pause }.run(&incomplete)?;
            cache.complete(&incomplete, etag).map_err(unwritable)?;
        }
        let path = cache.link(commit, file, etag).map_err(unwritable)?;
        cache.remember(name.revision, commit).map_err(unwritable)?;
        Ok(path)
    }
}

impl Snapshot<'_> {
    /// Fetches those of `files` that the hub has. A model that is cached otherwise is used without them, with a
    /// warning, if the hub cannot be asked.
    fn all_there_are(&self, files: &[&str]) -> Result<()> {
        let Self { hub, name, cache, ref commit } = *self;
        let is_known =
            |file: &str| cache.file(commit, file).is_some() || cache.is_absent(commit, file);
        for file in files.iter().filter(|file| !is_known(file)) {
            if hub.environment.offline().is_some() {
                return Ok(());
            }
            let client = hub.client(name, files, cache.folder())?;
            match client.describe(name.id, commit, file) {
                Ok(remote) => {
                    let remote = Remote { commit: commit.clone(), ..remote };
                    hub.download(client, name, cache, file, &remote)?;
                }
                // A cache that may only be read is no hindrance.
                Err(Failure::Status(refusal)) if refusal.is_of_file() => {
                    drop(cache.remember_absence(commit, file));
                }
                Err(failure) => {
                    let why = refusal::failed(client, name, file, failure);
                    eprintln!(
                        "warning: {why}; if the model has this file, texts may be split differently"
                    );
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The first of `files` that the cache has, else the first that the hub has.
    fn any_of(&self, files: &[&str]) -> Result<PathBuf> {
        let Self { hub, name, cache, ref commit } = *self;
        if let Some(path) = files.iter().find_map(|file| cache.file(commit, file)) {
            return Ok(path);
        }
        let client = hub.client(name, files, &cache.snapshot(commit))?;
        for file in files {
            if let Some(remote) = hub.describe(client, name, commit, file)? {
                let remote = Remote { commit: commit.clone(), ..remote };
                return hub.download(client, name, cache, file, &remote);
            }
        }
        Err(refusal::not_found(client, name, files))
    }
}

#[cfg(test)]
mod tests;
