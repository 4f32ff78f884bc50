//! Cold word embeddings: loaded like a fold that has no other tensor, and added to the fold's model.

use super::loader::FoldLoader;
use super::manifest::Manifest;
use super::model::FoldModel;
use super::shard::{OpenShard, Shard};
use super::sink::Filled;
use crate::model::WORD_EMBEDDINGS;
use crate::{Error, Result};

/// Takes the cold shards of one fold, in any order, and adds their rows to its model.
///
/// A shard can be dropped once it was taken. After an error the loader is of no more use.
pub struct ColdLoader(FoldLoader);

impl ColdLoader {
    /// # Panics
    /// If the bundle has no such fold, or no cold word embeddings.
    pub fn new(manifest: &Manifest, fold: usize) -> Self {
        let hot_rows = manifest.hot_rows().expect("a bundle with cold word embeddings");
        let words = hot_rows..manifest.config().vocab_size;
        let mut loader = FoldLoader::of(manifest, fold, manifest.cold_shards_of(fold), words);
        loader.shapes.retain(|name, _| name == WORD_EMBEDDINGS);
        loader.takes_tokenizer = false;
        Self(loader)
    }

    /// Begins like [`new`](Self::new), beside a loaded fold of the same bundle: if both have their cold word embeddings from the
    /// same shards, the new fold shares those in memory.
    pub fn beside(manifest: &Manifest, fold: usize, loaded: &FoldModel) -> Self {
        let mut loader = Self::new(manifest, fold);
        loader.0.share_words(loaded, true);
        loader
    }

    /// Takes the contents of the shard at `index` of the manifest's.
    ///
    /// # Errors
    /// If it is not a cold shard of this fold or was taken before, or if it holds anything but cold word embeddings.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<()> {
        self.0.take(index, shard)
    }

    /// Adds the cold rows to the fold's model, once all cold shards were taken.
    ///
    /// # Errors
    /// If a shard is missing, if the shards together lack a row, or if the model has its cold rows already.
    pub fn finish(mut self, model: &mut FoldModel) -> Result<()> {
        self.0.check_all_taken()?;
        match self.0.filled(WORD_EMBEDDINGS)? {
            Filled::Rows(segment) => model.add_cold_rows(segment, self.0.words_come_from()),
            _ => unreachable!("the manifest has cold rows only where rows stay quantized"),
        }
    }
}

impl FoldModel {
    /// The fold with all of its shards, which `read` gives one after the other: each by its index in the manifest.
    ///
    /// # Errors
    /// Those of `read` and of the loaders.
    pub fn load<E: From<Error>>(
        manifest: &Manifest,
        fold: usize,
        mut read: impl FnMut(usize, &Shard) -> Result<OpenShard, E>,
    ) -> Result<Self, E> {
        let mut loader = FoldLoader::new(manifest, fold);
        for index in manifest.hot_shards_of(fold) {
            loader.take(index, &read(index, &manifest.shards()[index])?)?;
        }
        let mut model = loader.finish()?;
        if !model.has_all_words() {
            let mut loader = ColdLoader::new(manifest, fold);
            for index in manifest.cold_shards_of(fold) {
                loader.take(index, &read(index, &manifest.shards()[index])?)?;
            }
            loader.finish(&mut model)?;
        }
        Ok(model)
    }
}
