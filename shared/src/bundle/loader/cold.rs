//! Cold word embeddings: loaded like a fold that has nothing else, and added to the model.

use super::{FoldLoader, OpenShard};
use crate::bundle::encoding::WORD_EMBEDDINGS;
use crate::bundle::sink::Filled;
use crate::bundle::{FoldModel, Manifest, Shard};
use crate::{Error, Result};

/// Takes a fold's cold shards, in any order, and makes its model whole. After an error it is of no more use.
pub struct ColdLoader(FoldLoader);

impl ColdLoader {
    /// # Panics
    /// If the bundle has no such fold, or no cold word embeddings.
    pub fn new(manifest: &Manifest, fold: usize) -> Self {
        let hot_rows = manifest.hot_rows().expect("a bundle whose word embeddings are parted");
        let words = hot_rows..manifest.config().vocab_size;
        let mut loader = FoldLoader::of(manifest, fold, manifest.cold_shards_of(fold), words);
        loader.shapes.retain(|name, _| name == WORD_EMBEDDINGS);
        loader.takes_tokenizer = false;
        Self(loader)
    }

    /// As [`new`](Self::new), beside a loaded fold of the same bundle: if both have their cold word embeddings from the same
    /// shards, the new one uses those in memory.
    pub fn beside(manifest: &Manifest, fold: usize, loaded: &FoldModel) -> Self {
        let mut loader = Self::new(manifest, fold);
        loader.0.share_words(loaded, true);
        loader
    }

    /// As [`FoldLoader::take`].
    ///
    /// # Errors
    /// If it is no cold shard of this fold or came before, or has anything but cold word embeddings.
    pub fn take(&mut self, index: usize, shard: &OpenShard) -> Result<()> {
        self.0.take(index, shard)
    }

    /// Makes the fold's model whole, once all its cold shards were taken.
    ///
    /// # Errors
    /// If a shard has not come, the shards together lack a row, or the model does not.
    pub fn finish(mut self, model: &mut FoldModel) -> Result<()> {
        self.0.check_all_have_come()?;
        match self.0.filled(WORD_EMBEDDINGS)? {
            Filled::Encoded(rows) => model.complete(rows, self.0.words_come_from()),
            _ => unreachable!("the manifest parts none but encoded rows"),
        }
    }
}

impl FoldModel {
    /// The fold with all of its shards, which `read` gives, each in its turn.
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
        if !model.is_whole() {
            let mut loader = ColdLoader::new(manifest, fold);
            for index in manifest.cold_shards_of(fold) {
                loader.take(index, &read(index, &manifest.shards()[index])?)?;
            }
            loader.finish(&mut model)?;
        }
        Ok(model)
    }
}
