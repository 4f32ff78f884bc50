//! The bundle: what a browser downloads. Bytes in, bytes out; fetching and files are the business of the callers.
//!
//! # The format
//!
//! A bundle is a folder with `manifest.json` and *shards*. A shard is a safetensors file of at most 16 MiB called
//! `<sha256 of the file>.safetensors`, so it never changes: it can be cached for good, and a new bundle can be laid
//! beside an old one. The manifest lists every shard with its size and the folds that need it. Other files in the folder do
//! not belong to the bundle.
//!
//! **The manifest** is JSON: `format` ("quintet-bundle") and `version` (1) first, then `labels`, `thresholds`, `max_len`,
//! `encoding`, `hot_rows` (optional), `config` (the models' `config.json`), `folds` (their numbers in the run), `shards`, and
//! information for people: `title`, `license` (`licence` in older bundles), `provenance`, `scores` (of the run, by
//! cross-validation) and `verification` (how the bundle compares with the run). A fold is identified by its index in
//! `folds`.
//!
//! **Scores** are over the run's rows, each judged by the one model that was not trained on it. `macro_f1_interval` and each
//! label's `interval` (both optional) are the 95% intervals `{"low", "high"}` of the cross-fitted scores, or of those at 0.5
//! where there are no others. Each label's `reliability` (optional) tells how far a probability can be believed: its entries
//! `{"below", "texts", "with_label"}` are bins, ascending, of the rows whose probability is below `below` (and not below that
//! of the bin before); the last `below` is 1, and its bin has probabilities of 1 as well. Like the scores it is of single
//! models. There is no row that all models of an ensemble have not seen, so a probability of their mean is looked up in the
//! table of single ones.
//!
//! **A fold** is made of all tensors in the shards that list it: each tensor of the config, by Hugging Face's names and
//! shapes, and those of the tokenizer (`tokenizer.*`, see [`crate::tokenizer::CompactTokenizer`]). A shard holds all rows of
//! a tensor, or some of them. In the latter case `NAME.rows`, u32 [runs, 2], lists the first row and the number of rows of
//! each run, in the order in which `NAME` has them. Over all shards of a fold, each row comes exactly once.
//!
//! **Hot and cold rows.** A text needs the word embeddings of its own tokens only, and half of a vocabulary is in few
//! texts. If there is a `hot_rows` H, the rows of the word embeddings from H on, and their deltas, are *cold*. They are in
//! shards of their own, which have `"cold": true` and come last in `shards`. With the other shards, a fold answers every
//! text whose ids are all below H. The cold shards are loaded after that, always all of them: if a reader fetched rows by
//! demand, the host would learn what was typed. A reader that does not know `hot_rows` loads all shards of a fold.
//!
//! **Formats.** Vectors (biases, LayerNorm) and the classifier's few rows are f32. All other matrices are stored as
//! `encoding` says, which is `MATRICES`, or `MATRICES/WORDS` if the word embeddings have another format:
//!
//! | format | dtype | bytes | value |
//! |---|---|---|---|
//! | `f32` | F32 | 4 | the number |
//! | `f16` | F16 | 2 | the number, in the feed-forward matrices; other matrices are `int16` |
//! | `int16` | I16 | 2 | times its row's scale, `NAME.scales`, f32 `[rows]`: the row's largest magnitude / 32767 |
//! | `int12` | U8 | 3/2 | times its row's scale, `NAME.scales`, f32 `[rows]`: the row's largest magnitude / 2047 |
//! | `int8` | I8 | 1 | times its row's scale, `NAME.scales`, f32 `[rows]`: the row's largest magnitude / 127 |
//! | `int4` | U8 | 1/2 | in the layers' matrices and the word embeddings (other matrices are `int8`): code c is (c - 7.5) times the scale of its group of 128 numbers of a row, `NAME.scales`, f32 [rows, groups] |
//!
//! A matrix other than the word embeddings that `int8` is named for is stored as `int12`, and so has dtype U8, if the largest
//! numbers of its rows are far above the others (a crest factor above 5.5), unless there are deltas: the scale of such rows
//! leaves 8 bits too coarse. It is the same format in all folds.
//!
//! Integers of 12 bits and codes of 4 bits are packed, the first in the lowest bits, each row from a byte of its own: the
//! tensor then has the shape [rows, bytes of a row].
//!
//! **Sharing.** Rows that are equal in several folds are stored once: a shard belongs to one set of folds and holds what is
//! equal in exactly those. Tensors are compared as a whole, and the word embeddings row by row: training hardly changes the
//! rows of words that no text has. Rows of integers count as equal if their integers are equal and their scales differ by
//! less than half a step at the largest number, which in int8 is more than some epochs of weight decay change.
//!
//! **Deltas.** Folds come from one pretrained model and stay near it. An `encoding` that ends in `+BITS` or `+BITS/BITS` (of 1,
//! 2 or 4) stores that model (or the folds' mean) once, in the formats before the `+`, and for each fold `NAME.delta`, which is
//! added to rows of `NAME`: U8 [rows, bytes of a row], with the first number of bits in the layers' matrices, with the second
//! in the word embeddings (without a second, all folds have the same ones) and with four in other matrices. Code c of b bits is
//! (c - (2^b - 1) / 2) times its row's scale, `NAME.delta.scales`, f32 `[rows]`; `NAME.delta.rows` is as for `NAME`. A row has at
//! most one delta over all shards of a fold, and none if it has hardly moved. Rows far from the base, such as those of a
//! head that each fold began with other random numbers, are stored for each fold, in the formats before the `+`.
//!
//! **The final model.** Beside its folds a bundle may hold one model that learned from all rows, in the same architecture,
//! encoding and labels, decided at the same thresholds. `final_model` (optional) has its shards: `shared_shards` are indices of
//! `shards`, `shards` are those that no fold needs, listed without `folds`, and `verification` is the comparison with the run. All
//! of these together are a model as those of a fold are. With deltas it has its own to the same base. A reader may answer by the
//! final model alone until it has all folds. It is no part of the ensemble: an answer is either the final model's or the mean of
//! the folds. A reader that does not know `final_model` finds a bundle of folds.
//!
//! # Trust
//!
//! Manifest and shards may come from anywhere. [`Manifest::from_json`] refuses what would make a reader allocate without bound or
//! leave its folder (`limits.rs` has the numbers), [`Shard::open`] any bytes but those that the manifest lists, and [`FoldLoader`]
//! every tensor that the config does not ask for in that shape. What passes can be a bad model, but cannot cause a panic.

mod account;
mod block;
mod cold_loader;
mod contents;
mod deltas;
mod encoding;
mod integrity;
mod limits;
mod loader;
mod manifest;
mod model;
mod names;
mod packing;
mod resident;
mod shard;
mod sink;
#[cfg(test)]
#[cfg(feature = "tokenizers")]
mod tests;
mod writer;

pub use account::{
    EnsembleScores, Evidence, FoldScores, Interval, LabelScores, Provenance, ReliabilityBin,
    Scores, Verification,
};
pub use cold_loader::ColdLoader;
pub use contents::{About, Contents};
pub use encoding::Encoding;
pub use integrity::Integrity;
pub use limits::MANIFEST_BYTES;
pub use loader::FoldLoader;
pub use manifest::{FORMAT, Manifest, VERSION};
pub use model::{FoldModel, TextAnswer};
pub use resident::resident_classifier;
pub use shard::{LARGEST_SHARD, OpenShard, Shard};
pub use writer::{Base, Whose, write};
