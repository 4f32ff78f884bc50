//! The bundle: what a browser downloads. Bytes in, bytes out; fetching and files are the callers'.
//!
//! # The format
//!
//! A folder with `manifest.json` and *shards*. A shard is a safetensors file of at most 16 MiB called
//! `<sha256 of the file>.safetensors`, so it never changes: it can be cached for good, and a new bundle can be
//! laid beside an old one. The manifest names every shard with its size and the folds that need it; nothing else
//! in the folder belongs to the bundle.
//!
//! **The manifest** is JSON: `format` ("quintet-bundle") and `version` (1) first, then `labels`, `thresholds`,
//! `max_len`, `encoding`, `hot_rows` (not in each), `config` (the models' `config.json`), `folds` (their numbers in the run),
//! `shards`, and what people want to know: `title`, `licence`, `provenance`, `scores` (the run's, measured by cross-validation) and
//! `verification` (the bundle against the run). Folds are told apart by their place in `folds`.
//!
//! **A fold** is the tensors of the shards that list it, together: each tensor that the config asks for, by Hugging
//! Face's names and shapes, and the tokenizer's (`tokenizer.*`, see [`crate::tokenizer::CompactTokenizer`]). A shard
//! holds a tensor whole or some of its rows. In the latter case `NAME.rows`, u32 [runs, 2], holds the first row and
//! the number of rows of each run, in the order in which `NAME` has them. Over all shards of a fold each row comes
//! exactly once.
//!
//! **Hot and cold.** A text needs the word embeddings of its own tokens and no others, and half of a vocabulary is in few texts.
//! Where there is a `hot_rows` H, rows of word embeddings from H on, and what is to be added to them, are *cold*: they have
//! shards of their own, which say `"cold": true` and come last in `shards`. The others make a fold answer every text all of
//! whose ids are below H. The cold ones are loaded after them, all of them and whatever was asked: which rows a
//! reader fetched when would tell the host what was typed. A reader that knows nothing of it loads all of a fold's shards.
//!
//! **Numbers.** Vectors (biases, LayerNorm) and the classifier's few rows are f32. All other matrices are stored as
//! `encoding` says, which is `MATRICES`, or `MATRICES/WORDS` where the word embeddings are stored otherwise:
//!
//! | `encoding` | dtype | bytes | value |
//! |---|---|---|---|
//! | `f32` | F32 | 4 | itself |
//! | `f16` | F16 | 2 | itself, in the feed-forward matrices; the others are as in `int16` |
//! | `int16` | I16 | 2 | times its row's scale, `NAME.scales`, f32 [rows]: the row's largest magnitude / 32767 |
//! | `int12` | U8 | 3/2 | times its row's scale, `NAME.scales`, f32 [rows]: the row's largest magnitude / 2047 |
//! | `int8` | I8 | 1 | times its row's scale, `NAME.scales`, f32 [rows]: the row's largest magnitude / 127 |
//! | `int4` | U8 | 1/2 | in the layers' matrices and the word embeddings (others as in `int8`): code c is (c - 7.5) times the scale of its group of 128 numbers of a row, `NAME.scales`, f32 [rows, groups] |
//!
//! Numbers of 4 or 12 bits lie packed, the first in the lowest bits, each row from a byte of its own: a tensor then has the shape
//! [rows, bytes of a row].
//!
//! **Sharing.** What is equal in several folds is stored once: a shard belongs to one set of folds and holds what is
//! equal in just those. Tensors are compared whole, and the word embeddings row by row: those of words that no text of a
//! run has are hardly changed by training. Rows of whole numbers are taken for equal if their numbers are and their scales
//! differ by less than half a step at the largest number: weight decay over some epochs more or less is no more than that in int8.
//!
//! **Deltas.** Folds come from one pretrained model and stay near it. An `encoding` that ends in `+BITS` or `+BITS/BITS` (of 1, 2 or
//! 4) stores that model (or the folds' mean) once, as what stands before the `+`, and beside it, of each fold, what is to be added to rows: `NAME.delta`,
//! U8 [rows, packed columns], of the first number of bits in the layers' matrices, of the second in the word embeddings (without a
//! second all folds have the same) and of four in the others. Code c of b bits is (c - (2^b - 1) / 2) times its row's scale,
//! `NAME.delta.scales`, f32 [rows]; `NAME.delta.rows` is as for `NAME`. A row has a delta at most once over all shards of a
//! fold, and none if it has hardly moved. Rows that have gone far from the base, such as those of a head that began
//! with other random numbers in each fold, are each fold's own and stored as what stands before the `+`.
//!
//! # Trust
//!
//! Manifest and shards may come from anywhere. [`Manifest::from_json`] refuses what would make a reader allocate
//! without bound or leave its folder (`limits.rs` has the numbers), [`Shard::open`] all bytes but those that were named, and
//! [`FoldLoader`] every tensor that the config does not ask for in that shape. What is left after that can be a bad
//! model, but not a panic.

mod account;
mod apart;
mod encoding;
mod limits;
mod loader;
mod manifest;
mod model;
mod numbers;
mod packing;
mod shard;
mod sink;
#[cfg(test)]
#[cfg(feature = "tokenizers")]
mod tests;
mod writer;

pub use account::{EnsembleScores, FoldScores, LabelScores, Provenance, Scores, Verification};
pub use encoding::Encoding;
pub use loader::{ColdLoader, FoldLoader};
pub use manifest::{About, Contents, Manifest, VERSION};
pub use model::{FoldModel, TextAnswer};
pub use shard::{LARGEST_SHARD, OpenShard, Shard};
pub use writer::{Base, Whose, write};

use crate::{Error, Result};

/// Rows of a tensor that a shard holds a part of: beside `NAME`, `NAME.rows`.
const ROWS: &str = ".rows";

/// The scales of whole numbers: beside `NAME`, `NAME.scales`.
const SCALES: &str = ".scales";

/// What is to be added to rows of `NAME`: `NAME.delta`.
const DELTA: &str = ".delta";

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Bundle(reason.into()))
}
