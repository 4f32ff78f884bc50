//! The models of a worker: verified shards in, answers out. It uses no browser, so it is tested natively.

use std::collections::BTreeMap;

use shared::bundle::{ColdLoader, FoldLoader, FoldModel, Manifest, OpenShard, Shard, TextAnswer};

use crate::failure::Failure;

/// The folds in memory and the one that is being loaded.
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
    /// The cold rows of a fold in memory.
    Cold(ColdLoader),
}

impl Session {
    pub fn new(manifest: &str) -> Result<Self, Failure> {
        let manifest = Manifest::from_json(manifest.as_bytes())?;
        Ok(Self { manifest, folds: BTreeMap::new(), loading: None })
    }

    /// Begins to load a fold, or resumes an attempt that broke off.
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

    /// Begins to load the cold rows of a fold in memory, or resumes an attempt that broke off.
    pub fn begin_cold(&mut self, fold: usize) {
        if self.is_loading(fold, true) {
            return;
        }
        let loader = match self.folds.values().find(|loaded| loaded.has_all_words()) {
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

    /// The shard to pass to [`take`](Self::take) next, with its index; `None` after the last.
    pub fn next_shard(&self) -> Option<(usize, Shard)> {
        let loading = self.loading.as_ref()?;
        let index = *loading.shards.get(loading.taken)?;
        Some((index, self.manifest.shards()[index].clone()))
    }

    /// Decodes a shard into the fold that is being loaded.
    ///
    /// # Errors
    /// If the shard's content is not what the manifest says. Loading must then begin again.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<(), Failure> {
        let loading = self.loading.as_mut().expect("loading has begun");
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

    /// Completes the fold, or its cold rows, from the shards taken.
    ///
    /// # Errors
    /// If a tensor is missing or has the wrong shape.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let Loading { fold, loader, .. } = self.loading.take().expect("loading has begun");
        match loader {
            Loader::Fold(loader) => drop(self.folds.insert(fold, loader.finish()?)),
            Loader::Cold(loader) => {
                let model = self.folds.get_mut(&fold);
                loader.finish(
                    model.expect("the pool does not unload a fold that is loading cold rows"),
                )?;
            }
        }
        Ok(())
    }

    /// Frees a fold's memory.
    pub fn unload(&mut self, fold: usize) {
        self.folds.remove(&fold);
    }

    /// A fold's answer to each text, in their order; `None` for a text that needs cold rows which are not loaded.
    ///
    /// # Errors
    /// If a tensor operation fails, for example because memory runs out.
    pub fn classify(
        &self,
        fold: usize,
        texts: &[String],
    ) -> Result<Vec<Option<TextAnswer>>, Failure> {
        let fold = self.folds.get(&fold).expect("the pool asks for folds that are loaded");
        Ok(fold.classify(texts)?)
    }
}
