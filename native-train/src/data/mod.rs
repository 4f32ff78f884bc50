//!
//! ```text
//! ```

mod columns;
pub mod csv;
mod dataset;
mod records;
mod scan;
#[cfg(test)]
mod testing;
mod texts;
mod warning;

pub use columns::ColumnChoice;
pub use dataset::{Dataset, LabelRule, LeftOut, Loaded};
pub use texts::{TextStream, Texts};
pub use warning::{Tally, Warning};
