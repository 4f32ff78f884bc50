//! The models of one worker: verified shards in, answers out. No browser, so tested natively.

use std::collections::BTreeMap;

use shared::bundle::{ColdLoader, FoldLoader, FoldModel, Manifest, OpenShard, Shard, TextAnswer};

use crate::failure::Failure;

/// The folds in memory and what is being loaded.
pub struct Session {
    manifest: Manifest,
    folds: BTreeMap<usize, FoldModel>,
    loading: Option<Loading>,
}

struct Loading {
    fold: usize,
    loader: Loader,
    shards: Vec<usize>,
    taken: usize,
}

enum Loader {
    Fold(FoldLoader),
    /// Of a fold in memory, the word embeddings that it lacks.
    Cold(ColdLoader),
}

impl Session {
    pub fn new(manifest: &str) -> Result<Self, Failure> {
        let manifest = Manifest::from_json(manifest.as_bytes())?;
        Ok(Self { manifest, folds: BTreeMap::new(), loading: None })
    }

    /// Begins to load what makes a fold answer, or goes on with it where an earlier attempt broke off.
    pub fn begin(&mut self, fold: usize) {
        if self.is_loading(fold, false) {
            return;
        }
        let loader = match self.folds.values().next() {
            Some(loaded) => FoldLoader::beside(&self.manifest, fold, loaded),
            None => FoldLoader::new(&self.manifest, fold),
        };
        let (loader, shards) = (Loader::Fold(loader), self.manifest.hot_shards_of(fold));
        self.loading = Some(Loading { fold, loader, shards, taken: 0 });
    }

    /// The same of the word embeddings that a fold in memory lacks.
    pub fn begin_cold(&mut self, fold: usize) {
        if self.is_loading(fold, true) {
            return;
        }
        let loader = match self.folds.values().find(|loaded| loaded.is_whole()) {
            Some(whole) => ColdLoader::beside(&self.manifest, fold, whole),
            None => ColdLoader::new(&self.manifest, fold),
        };
        let (loader, shards) = (Loader::Cold(loader), self.manifest.cold_shards_of(fold));
        self.loading = Some(Loading { fold, loader, shards, taken: 0 });
    }

    fn is_loading(&self, fold: usize, cold: bool) -> bool {
        self.loading.as_ref().is_some_and(|loading| {
            loading.fold == fold && matches!(loading.loader, Loader::Cold(_)) == cold
        })
    }

    /// The shard that [`Session::take`] takes next, with its index; `None` when all were taken.
    pub fn next_shard(&self) -> Option<(usize, Shard)> {
        let loading = self.loading.as_ref()?;
        let index = *loading.shards.get(loading.taken)?;
        Some((index, self.manifest.shards()[index].clone()))
    }

    /// Decodes a shard into what is being loaded. It can be dropped afterwards.
    ///
    /// # Errors
    /// If its content is not what the manifest says. What is being loaded must then begin anew.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<(), Failure> {
        let loading = self.loading.as_mut().expect("begun");
        let taken = match &mut loading.loader {
            Loader::Fold(loader) => loader.take(index, shard),
            Loader::Cold(loader) => loader.take(index, shard),
        };
        if let Err(error) = taken {
            self.loading = None;
            return Err(error.into());
        }
        loading.taken += 1;
        Ok(())
    }

    /// The fold answers from now on; or answers every text, if it did others before.
    ///
    /// # Errors
    /// If a tensor is missing or the model does not fit together.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let Loading { fold, loader, .. } = self.loading.take().expect("begun");
        match loader {
            Loader::Fold(loader) => drop(self.folds.insert(fold, loader.finish()?)),
            Loader::Cold(loader) => {
                let model = self.folds.get_mut(&fold);
                loader.finish(model.expect("the pool keeps a fold that is being completed"))?;
            }
        }
        Ok(())
    }

    /// Gives a fold's memory back.
    pub fn unload(&mut self, fold: usize) {
        self.folds.remove(&fold);
    }

    /// What a fold in memory says of each text; `None` of one that waits for its cold word embeddings.
    pub fn classify(
        &self,
        fold: usize,
        texts: &[String],
    ) -> Result<Vec<Option<TextAnswer>>, Failure> {
        let fold = self.folds.get(&fold).expect("the pool asks for folds that are loaded");
        Ok(fold.classify(texts)?)
    }
}
