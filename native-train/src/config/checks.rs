//! Checks of ranges, and the number of cores.

use std::{fmt, thread};

use crate::error::UserError;

/// # Errors
/// If the value of a setting is not valid; `rule` says which values are.
pub fn check(
    key: &str,
    value: impl fmt::Display,
    valid: bool,
    rule: &str,
) -> Result<(), UserError> {
    if valid {
        return Ok(());
    }
    Err(UserError::new(format!("`{key}` is {value}, but must be {rule}")))
}

/// The number of cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
