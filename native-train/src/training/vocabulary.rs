//! A compact vocabulary, so that only the word embeddings that a fold's texts use are trained.
//!
//! Most rows of a pretrained word embedding never occur in the training data. AdamW only decays
//! them, which can be done at the end, to the same bits as if each step had done it. This saves half
//! of the optimizer's work and memory.

use std::collections::BTreeSet;

use anyhow::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use shared::kernels::optimizer;

/// The ids in use, ascending. The index of an id is its row in the compact table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactVocabulary {
    ids: Vec<u32>,
}

impl CompactVocabulary {
    /// Collects all ids in `texts` and the padding id, whose row the model treats separately.
    pub fn new<'a>(texts: impl Iterator<Item = &'a [u32]>, padding: Option<usize>) -> Self {
        let mut ids: BTreeSet<u32> = texts.flatten().copied().collect();
        ids.extend(padding.map(|id| id as u32));
        Self { ids: ids.into_iter().collect() }
    }

    /// The number of ids in use.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The compact id of an id in use.
    pub fn compact(&self, id: u32) -> u32 {
        self.ids.binary_search(&id).expect("collected from all texts") as u32
    }

    /// Selects the rows in use: [vocabulary, width] -> [in use, width].
    pub fn select(&self, table: &Tensor) -> Result<Tensor> {
        Ok(shared::kernels::rows::gather(table, &self.ids.clone().into())?)
    }

    /// The whole table after training: the trained rows at their ids, the others multiplied by each
    /// step's decay factor in turn, as the optimizer would have done.
    pub fn expand(&self, initial: &Tensor, trained: &Tensor, decay: &[f32]) -> Result<Tensor> {
        let (entries, width) = initial.dims2()?;
        let mut table: Vec<f32> = initial.flatten_all()?.to_vec1()?;
        let trained: Vec<f32> = trained.flatten_all()?.to_vec1()?;
        // A step whose learning rate is 0, as the first of a warm-up, changes nothing.
        let decay: Vec<f32> = decay.iter().copied().filter(|&factor| factor != 1.0).collect();
        table.par_chunks_mut(width).enumerate().for_each(|(id, row)| {
            match self.ids.binary_search(&(id as u32)) {
                Ok(place) => row.copy_from_slice(&trained[place * width..][..width]),
                Err(_) => optimizer::decay(row, &decay),
            }
        });
        Ok(Tensor::from_vec(table, (entries, width), &Device::Cpu)?)
    }
}
