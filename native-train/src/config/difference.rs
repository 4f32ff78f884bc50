//! The differences between the settings of a training and those of a saved run.

use std::collections::BTreeSet;
use std::fmt;

/// A setting whose value differs from a saved run's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub key: String,
    /// The value as TOML; `None` if it is not set.
    pub saved: Option<String>,
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        write!(f, "{}: was {}, now {}", self.key, shown(&self.saved), shown(&self.now))
    }
}

/// The settings whose values differ, in the order of their keys, but for those that may.
pub fn between(
    now: &toml::Table,
    saved: &toml::Table,
    may_differ: impl Fn(&str) -> bool,
) -> Vec<Difference> {
    let keys: BTreeSet<&String> = now.keys().chain(saved.keys()).collect();
    keys.into_iter()
        .filter(|key| !may_differ(key) && now.get(*key) != saved.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            saved: saved.get(key).map(ToString::to_string),
            now: now.get(key).map(ToString::to_string),
        })
        .collect()
}
