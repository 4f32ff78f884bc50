//! The objective of a student: to have its teacher's hidden states after each layer, and in the last layer the relations
//! of its queries, keys and values.
//!
//! The states are those of TinyBERT (Jiao et al., arXiv 1909.10351, equation 8), compared relative to their length. The
//! relations are those of MiniLM v2 (Wang et al., arXiv 2012.15828, section 3.1).

use anyhow::Result;
use candle_core::Tensor;
use shared::autograd::{ParameterGradients, Tape, Value};
use shared::batch::Batch;
use shared::kernels::imitation::{self, Imitated};
use shared::kernels::{elementwise, rows};
use shared::model::{Backbone, ContentProjections, DebertaConfig};
use shared::nn::{Linear, Weights, select_rows};

use super::initial::PROJECTION;
use super::lesson::{Common, Lesson};
use super::shape::Shape;
use crate::training::{MicroBatch, Objective, Validation};

/// Held-out texts that go through the models at once.
const VALIDATION_BATCH: usize = 64;

/// A teacher, its student, and the texts that both read.
pub struct Imitation<'a> {
    teacher: Backbone,
    student: Backbone,
    projection: Option<Linear>,
    goals: Vec<usize>,
    heads: usize,
    lesson: &'a Lesson,
    held_out: &'a [usize],
}

/// A model whose shape is known.
pub struct Model<'a> {
    pub config: &'a DebertaConfig,
    pub weights: Weights<'a>,
}

/// A part of the loss, and the value whose gradient it has.
type Part = (Value, Imitated);

impl<'a> Imitation<'a> {
    /// Prepares both models. The student's weights are the optimizer's; `held_out` texts measure it.
    ///
    /// # Errors
    /// If a tensor is missing.
    pub fn new(
        teacher: Model<'_>,
        student: Model<'_>,
        shape: &Shape,
        lesson: &'a Lesson,
        held_out: &'a [usize],
    ) -> Result<Self> {
        let (narrow, wide) = (student.config.hidden_size, teacher.config.hidden_size);
        let projection = match narrow == wide {
            true => None,
            false => Some(Linear::without_bias(&student.weights.part(PROJECTION), narrow, wide)?),
        };
        Ok(Self {
            teacher: Backbone::new(teacher.config, &teacher.weights)?,
            student: Backbone::new(student.config, &student.weights)?,
            projection,
            goals: shape.goals(),
            heads: student.config.num_attention_heads,
            lesson,
            held_out,
        })
    }

    /// The parts of the loss of some texts, each divided by `tokens`, the tokens of the whole batch.
    fn parts(
        &self,
        rows: &[usize],
        tokens: usize,
        scale: f64,
        tape: Option<&Tape>,
    ) -> Result<Vec<Part>> {
        let lesson = self.lesson;
        let common = lesson.common(rows);
        let taught = Batch::pack(rows.iter().map(|&row| lesson.teacher_ids(row)));
        let read = Batch::pack(rows.iter().map(|&row| lesson.student_ids(row)));
        let goals = self.teacher.hidden_states(&taught, None)?;
        let states = self.student.hidden_states(&read, tape)?;

        let factor = scale / tokens as f64;
        let (last, earlier) = (states.len() - 1, (states.len() - 1) as f64);
        let mut parts = Vec::new();
        for (number, (state, &goal)) in states.iter().zip(&self.goals).enumerate() {
            // The last state is what a classifier will read: it counts as much as all others together.
            let share = if number == last { 1.0 } else { 1.0 / earlier };
            let state = select_rows(state, &common.student, tape)?;
            let state = match &self.projection {
                Some(projection) => projection.forward(&state, tape)?,
                None => state,
            };
            let goal = rows::gather(goals[goal].tensor(), &common.teacher)?;
            let imitated = imitation::states(state.tensor(), &goal, share * factor)?;
            parts.push((state, imitated));
        }
        let inputs = (&states[last - 1], &goals[self.goals[last] - 1]);
        parts.extend(self.relations(inputs, &common, factor, tape)?);
        Ok(parts)
    }

    /// The parts of the loss that compare the relations of the last layers, whose inputs are given.
    fn relations(
        &self,
        (state, goal): (&Value, &Value),
        common: &Common,
        factor: f64,
        tape: Option<&Tape>,
    ) -> Result<Vec<Part>> {
        let last = self.goals.len() - 2;
        let last_of_teacher = self.goals[last + 1] - 1;
        let found = list(self.student.content_projections(last, state, tape)?);
        let goals = list(self.teacher.content_projections(last_of_teacher, goal, None)?);
        let compare = |(found, goal): (Value, Value)| {
            let found = select_rows(&found, &common.student, tape)?;
            let goal = rows::gather(goal.tensor(), &common.teacher)?;
            let factor = factor / 3.0;
            let imitated =
                imitation::relations(found.tensor(), &goal, &common.bounds, self.heads, factor)?;
            Ok((found, imitated))
        };
        found.into_iter().zip(goals).map(compare).collect()
    }

    fn tokens_of(&self, rows: &[usize]) -> usize {
        rows.iter().map(|&row| self.lesson.common_tokens(row)).sum()
    }
}

impl Objective for Imitation<'_> {
    fn backward(
        &self,
        micro_batch: MicroBatch<'_>,
        gradients: &mut ParameterGradients,
    ) -> Result<()> {
        let MicroBatch { rows, batch_rows, tape, scaler, loss: target } = micro_batch;
        let scale = scaler.state()?.scale;
        let parts = self.parts(rows, self.tokens_of(batch_rows), scale, Some(&tape))?;
        let loss = parts.iter().map(|(_, imitated)| imitated.loss).sum::<f64>() / scale;
        elementwise::write(&target, &Tensor::new(&[loss as f32], target.tensor.device())?)?;
        let outputs = parts.iter().map(|(value, imitated)| (value, imitated.gradient.clone()));
        tape.backward_all(outputs, gradients)?;
        Ok(())
    }

    /// The loss on the held-out texts.
    fn validate(&self) -> Result<Option<Validation>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let (tokens, mut loss) = (self.tokens_of(self.held_out), 0.0);
        for rows in self.held_out.chunks(VALIDATION_BATCH) {
            let parts = self.parts(rows, tokens, 1.0, None)?;
            loss += parts.iter().map(|(_, imitated)| imitated.loss).sum::<f64>();
        }
        Ok(Some(Validation { loss: loss as f32, macro_f1: None }))
    }

    fn tokens(&self, row: usize) -> usize {
        self.lesson.student_ids(row).len()
    }
}

fn list(projections: ContentProjections) -> [Value; 3] {
    let ContentProjections { query, key, value } = projections;
    [query, key, value]
}
