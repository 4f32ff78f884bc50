//! Texts one after another in a single allocation: a million short ones take little more than their bytes.

/// A list of texts that grows at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    all: String,
    /// The end of each text in `all`.
    ends: Vec<usize>,
}

impl Texts {
    pub fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text at this index, which must be below [`len`](Self::len).
    pub fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..self.ends[index]]
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut all = Self::default();
        for text in texts {
            all.push(text.as_ref());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_index_and_may_be_empty() {
        let texts: Texts = ["one", "", "größer"].into_iter().collect();
        assert_eq!(
            (texts.len(), texts.get(0), texts.get(1), texts.get(2)),
            (3, "one", "", "größer")
        );
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["one", "", "größer"]);
        assert!(Texts::default().is_empty());
    }
}
