//! The ordered set of label names. A label's place in it is its index in logits, targets and files.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Distinct, non-empty label names in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct LabelSet {
    names: Vec<String>,
}

impl LabelSet {
    /// Checks names.
    ///
    /// # Errors
    /// [`Error::Labels`], if there is no name, an empty one, or one that occurs twice.
    pub fn new(names: Vec<String>) -> Result<Self> {
        let distinct: std::collections::BTreeSet<&str> = names.iter().map(String::as_str).collect();
        if names.is_empty() || distinct.contains("") || distinct.len() != names.len() {
            return Err(Error::Labels { names });
        }
        Ok(Self { names })
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns false: a label set holds at least one name.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the index of the label `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Returns the names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl TryFrom<Vec<String>> for LabelSet {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::new(names)
    }
}

impl From<LabelSet> for Vec<String> {
    fn from(labels: LabelSet) -> Self {
        labels.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> Result<LabelSet> {
        LabelSet::new(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn keeps_the_given_order() {
        let labels = set(&["joy", "anger"]).expect("valid");
        assert_eq!(labels.names(), ["joy", "anger"]);
        assert_eq!(labels.index_of("anger"), Some(1));
        assert_eq!(labels.index_of("fear"), None);
    }

    #[test]
    fn refuses_repeated_empty_and_no_names() {
        assert!(set(&["joy", "joy"]).is_err());
        assert!(set(&["joy", ""]).is_err());
        assert!(set(&[]).is_err());
    }
}
