//! The shape of a student: what it has of its teacher.

use anyhow::Result;
use shared::model::DebertaConfig;

use crate::error::UserError;

/// The sizes that a user asks for; `None` for the teacher's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    pub layers: Option<usize>,
    pub hidden: Option<usize>,
    pub embedding_size: Option<usize>,
    pub vocab_size: Option<usize>,
}

/// The geometry of a student, and the layers of its teacher that it begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The student's config, but for the vocabulary, which is still the teacher's.
    pub config: DebertaConfig,
    /// For each layer of the student, the layer of the teacher whose output it is to have; both count from 0.
    pub layers: Vec<usize>,
}

impl Shape {
    /// Chooses the layers: as far apart as possible, the last one among them.
    ///
    /// # Errors
    /// If a size is 0, above the teacher's, or does not fit its heads.
    pub fn new(teacher: &DebertaConfig, wishes: Wishes) -> Result<Self> {
        let whole = |name, wish: Option<usize>, most: usize| match wish {
            Some(size) if size == 0 || size > most => Err(UserError::new(format!(
                "`{name}` is {size}, but must be at least 1 and at most the teacher's, {most}"
            ))),
            _ => Ok(wish.unwrap_or(most)),
        };
        let depth = teacher.num_hidden_layers;
        let count = whole("layers", wishes.layers, depth)?;
        let hidden = whole("hidden", wishes.hidden, teacher.hidden_size)?;
        let embedding = whole("embedding-size", wishes.embedding_size, hidden)?;
        if !hidden.is_multiple_of(teacher.head_dim()) {
            let head = teacher.head_dim();
            return Err(UserError::new(format!(
                "`hidden` is {hidden}, but the teacher's attention heads have {head} columns"
            ))
            .hint(format!("pass a multiple of {head}, so that whole heads are left"))
            .into());
        }
        let mut config = teacher.clone();
        config.num_hidden_layers = count;
        config.hidden_size = hidden;
        config.num_attention_heads = hidden / teacher.head_dim();
        config.intermediate_size =
            (teacher.intermediate_size * hidden).div_ceil(teacher.hidden_size);
        config.embedding_size = match wishes.embedding_size {
            Some(_) => embedding,
            None if teacher.embedding_size == teacher.hidden_size => hidden,
            None => teacher.embedding_size.min(hidden),
        };
        let layers = (1..=count).map(|layer| (layer * depth).div_ceil(count) - 1).collect();
        Ok(Self { config, layers })
    }

    /// The teacher's hidden state, as numbered by `output_hidden_states`, that each hidden state of the student is to
    /// equal: the embeddings' first.
    pub fn goals(&self) -> Vec<usize> {
        [0].into_iter().chain(self.layers.iter().map(|layer| layer + 1)).collect()
    }
}

/// Whether each piece is among the `size` that occur most, by the number of their occurrences; of pieces that occur
/// as often, the first are. Pieces that do not occur are left out.
pub fn kept_pieces(occurrences: &[u64], size: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..occurrences.len()).collect();
    order.sort_by_key(|&id| std::cmp::Reverse(occurrences[id]));
    let mut kept = vec![false; occurrences.len()];
    let frequent = order.into_iter().take(size).filter(|&id| occurrences[id] > 0);
    frequent.for_each(|id| kept[id] = true);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teacher() -> DebertaConfig {
        DebertaConfig::from_json(
            br#"{"model_type": "deberta-v2", "hidden_size": 96, "num_attention_heads": 6,
                "num_hidden_layers": 6, "intermediate_size": 384, "vocab_size": 100}"#,
        )
        .unwrap()
    }

    fn shape(wishes: Wishes) -> Result<Shape> {
        Shape::new(&teacher(), wishes)
    }

    #[test]
    fn layers_lie_as_far_apart_as_possible_and_the_last_is_among_them() {
        let layers =
            |count| shape(Wishes { layers: Some(count), ..Wishes::default() }).unwrap().layers;
        assert_eq!(layers(1), [5]);
        assert_eq!(layers(2), [2, 5]);
        assert_eq!(layers(3), [1, 3, 5]);
        assert_eq!(layers(4), [1, 2, 4, 5]);
        assert_eq!(layers(6), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_narrower_student_has_fewer_heads_of_the_same_size() {
        let wishes = Wishes { hidden: Some(48), embedding_size: Some(16), ..Wishes::default() };
        let config = shape(wishes).unwrap().config;
        assert_eq!((config.num_attention_heads, config.head_dim()), (3, 16));
        assert_eq!((config.intermediate_size, config.embedding_size), (192, 16));
    }

    #[test]
    fn sizes_that_the_teacher_has_not_are_refused() {
        for (wishes, words) in [
            (Wishes { layers: Some(7), ..Wishes::default() }, "`layers` is 7"),
            (Wishes { hidden: Some(50), ..Wishes::default() }, "heads have 16 columns"),
            (Wishes { embedding_size: Some(0), ..Wishes::default() }, "`embedding-size` is 0"),
        ] {
            let error = shape(wishes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_most_frequent_pieces_are_kept() {
        assert_eq!(kept_pieces(&[0, 5, 2, 2, 9], 3), [false, true, true, false, true]);
        assert_eq!(kept_pieces(&[0, 5, 0], 3), [false, true, false]);
    }
}
