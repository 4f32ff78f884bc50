//! A GPU that can be used, its memory, and the libraries that it needs.

use serde::Serialize;

/// A GPU that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// NVIDIA's name for it.
    pub name: String,
    /// Major and minor, (9, 0) for a Hopper card.
    pub compute_capability: (u32, u32),
}

impl Card {
    /// Whether its tensor cores multiply bf16.
    pub fn has_bf16(&self) -> bool {
        self.compute_capability >= (8, 0)
    }
}

/// A GPU's memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub free: u64,
    pub total: u64,
}

/// One of NVIDIA's libraries that a GPU needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Library {
    /// The name of its file, such as `libcublas.so.13`.
    pub file: String,
    /// Where it was found, or why it was not.
    pub place: String,
}
