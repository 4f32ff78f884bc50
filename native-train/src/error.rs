//! The errors that a user can correct. They end with exit code 2, all others with 1.

use std::fmt;

/// A user's mistake: what is wrong, where, and what to do about it.
///
/// It is passed on inside an `anyhow::Error`, where `main` finds it, prints the hint and exits with 2.
#[derive(Debug)]
pub struct UserError {
    message: String,
    hint: Option<String>,
}

impl UserError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds a remedy, which is printed on a `hint:` line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UserError {}

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
