//! The endings of names in a shard that describe the tensor `NAME`, and how a bundle is refused.

use crate::{Error, Result};

/// The rows of `NAME` that a shard holds, if not all: `NAME.rows`.
pub(super) const ROWS: &str = ".rows";

/// The scales of the codes of `NAME`: `NAME.scales`.
pub(super) const SCALES: &str = ".scales";

/// The deltas that are added to rows of `NAME`: `NAME.delta`.
pub(super) const DELTA: &str = ".delta";

/// An error that the bundle is at fault for.
pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Bundle(reason.into()))
}
