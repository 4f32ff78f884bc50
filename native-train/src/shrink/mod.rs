//! A smaller encoder from a larger one.
//!
//! Layers of the teacher are kept, its vocabulary is cut to what the texts need, and its word embeddings are
//! factorised. Then the student reads plain texts and learns to have the teacher's hidden states and self-attention
//! relations, by the trainer that fine-tunes classifiers.
//!
//! ```text
//! teacher, wishes -> Shape (which layers, heads, neurons, pieces) -> initial weights
//! texts -> Lesson (token ids for both, and which tokens are the same) -> Imitation, an Objective
//! ```

mod imitation;
mod initial;
mod lesson;
mod low_rank;
mod shape;
#[cfg(test)]
mod tests;

pub use imitation::{Imitation, Model};
pub use initial::{PROJECTION, initial_weights};
pub use lesson::Lesson;
pub use shape::{Shape, Wishes, kept_pieces};
