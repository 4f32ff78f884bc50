//! Makes texts, labels and folds of files. Tokenizing and batching are done elsewhere.
//!
//! ```text
//! file -> csv, json_lines or parquet -> Table (checked rows, as polars' columns) -> Dataset or Texts -> folds, duplicates
//! ```

mod chunk;
mod columns;
mod csv;
mod dataset;
mod duplicates;
pub mod folds;
mod groups;
mod input;
mod json_lines;
mod label_columns;
mod label_lists;
mod label_values;
mod near_duplicates;
mod needed;
mod parquet;
mod plain_texts;
mod table;
#[cfg(test)]
mod testing;
mod text_key;
mod texts;
mod warning;

pub use columns::{FileOptions, Unlabelled};
pub use dataset::{Dataset, Loaded};
pub use duplicates::{Duplicates, Repeats, Share, TestOverlap};
pub use folds::{Folds, Split};
pub use groups::Groups;
pub use input::refuse_pipe;
pub use label_columns::{LabelChoice, LabelRule};
pub use label_values::LabelValues;
pub use near_duplicates::{NearPair, near_duplicates};
pub use plain_texts::read_all_texts;
pub use text_key::{distinct, text_key};
pub use texts::{TextStream, Texts};
pub use warning::{Tally, Warning};
