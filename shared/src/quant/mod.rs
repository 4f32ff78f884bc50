//! Quantized matrices: one type from the writer of a bundle to the embedding that reads rows of it and the linear
//! layer that multiplies by it.
//!
//! A [`QuantizedMatrix`] holds its rows exactly as a shard stores them: bytes in one [`Format`], and scales. Where
//! folds share a matrix, each fold adds [`Deltas`] of few bits to some of its rows; a [`Segment`] is the two together.
//!
//! Which tensor gets which format is the policy of [`crate::bundle::Encoding`]; how packed codes lie in bytes is the
//! business of [`crate::kernels`].

mod deltas;
mod format;
mod matrix;
mod segment;

pub use deltas::Deltas;
pub use format::{Format, GROUP, Operand};
pub use matrix::{QuantizedMatrix, QuantizedRows, crest_factor};
pub use segment::Segment;
