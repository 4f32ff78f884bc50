//! Lines that have one peculiarity.

/// The number of lines with one peculiarity, and the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// The number of lines.
    pub count: usize,
    /// The first of them, counted from 1; 0 if there are none.
    pub first: usize,
}

impl Lines {
    /// Adds a line.
    pub fn note(&mut self, line: usize) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
