//! The models of one worker: verified shards in, answers out. No browser, so tested natively.

use std::collections::BTreeMap;

use shared::bundle::{FoldLoader, FoldModel, Manifest, OpenShard, Shard, TextAnswer};

use crate::failure::Failure;

/// The folds in memory and the one that is being loaded.
pub struct Session {
    manifest: Manifest,
    folds: BTreeMap<usize, FoldModel>,
    loading: Option<Loading>,
}

struct Loading {
    fold: usize,
    loader: FoldLoader,
    shards: Vec<usize>,
    taken: usize,
}

impl Session {
    pub fn new(manifest: &str) -> Result<Self, Failure> {
        let manifest = Manifest::from_json(manifest.as_bytes())?;
        Ok(Self { manifest, folds: BTreeMap::new(), loading: None })
    }

    /// Begins to load a fold, or goes on with it where an earlier attempt broke off.
    pub fn begin(&mut self, fold: usize) {
        if self.loading.as_ref().is_some_and(|loading| loading.fold == fold) {
            return;
        }
        let loader = match self.folds.values().next() {
            Some(loaded) => FoldLoader::beside(&self.manifest, fold, loaded),
            None => FoldLoader::new(&self.manifest, fold),
        };
        let shards = self.manifest.shards_of(fold);
        self.loading = Some(Loading { fold, loader, shards, taken: 0 });
    }

    /// The shard that [`Session::take`] takes next, with its index; `None` when all were taken.
    pub fn next_shard(&self) -> Option<(usize, Shard)> {
        let loading = self.loading.as_ref()?;
        let index = *loading.shards.get(loading.taken)?;
        Some((index, self.manifest.shards()[index].clone()))
    }

    /// Decodes a shard into the model that is being loaded. It can be dropped afterwards.
    ///
    /// # Errors
    /// If its content is not what the manifest says. The fold must then begin anew.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<(), Failure> {
        let loading = self.loading.as_mut().expect("begun");
        if let Err(error) = loading.loader.take(index, shard) {
            self.loading = None;
            return Err(error.into());
        }
        loading.taken += 1;
        Ok(())
    }

    /// The fold is whole and answers from now on.
    ///
    /// # Errors
    /// If a tensor is missing or the model does not fit together.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let Loading { fold, loader, .. } = self.loading.take().expect("begun");
        self.folds.insert(fold, loader.finish()?);
        Ok(())
    }

    /// Gives a fold's memory back.
    pub fn unload(&mut self, fold: usize) {
        self.folds.remove(&fold);
    }

    /// What a fold in memory says of each text.
    pub fn classify(&self, fold: usize, texts: &[String]) -> Result<Vec<TextAnswer>, Failure> {
        let fold = self.folds.get(&fold).expect("the pool asks for folds that are loaded");
        Ok(fold.classify(texts)?)
    }
}
