//! Makes texts, labels and folds of CSV files. Tokenizing and batching are done elsewhere.
//!
//! ```text
//! file -> records (whole, checked) -> csv (polars) -> Dataset or Texts -> folds, duplicates
//! ```

mod columns;
pub mod csv;
mod dataset;
mod duplicates;
pub mod folds;
mod records;
mod scan;
#[cfg(test)]
mod testing;
mod text_key;
mod texts;
mod warning;

pub use columns::{ColumnChoice, quoted};
pub use dataset::{Dataset, LabelRule, LeftOut, Loaded};
pub use duplicates::{Duplicates, Repeats, Share, TestOverlap};
pub use folds::{Folds, Split};
pub use texts::{TextStream, Texts};
pub use warning::{Tally, Warning};
