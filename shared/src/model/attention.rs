//! Disentangled self-attention: the projections around `kernels::attention`.

use super::config::DebertaConfig;
use super::relative_position::Reach;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::kernels::attention::{Attention, Operands, PositionTables, Queries};
use crate::kernels::cuda::attention::{Stacked, backward_stacked, forward_stacked};
use crate::kernels::{Indices, Offsets, rows};
use crate::nn::{Dropout, Linear, Weights, select_rows};

#[derive(Clone)]
pub(super) struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    /// What turns relative embeddings into keys for c2p; the content's own with `share_att_key`.
    position_key: Option<Linear>,
    /// What turns relative embeddings into queries for p2c.
    position_query: Option<Linear>,
    /// Keys, queries and values of content as one layer, where a GPU trains: fewer and larger
    /// products. Its first two thirds are the positions' layer.
    stacked: Option<Linear>,
    position_dropout: Dropout,
    dropout: Dropout,
    heads: usize,
    scale: f32,
}

/// What the weights of [`SelfAttention`]'s stacked layer are called: `key_proj`, `query_proj` and
/// `value_proj`, in this order, [3 * hidden_size, ..].
pub const STACKED: &str = "key_query_value";

/// The relative-position rows that one forward pass uses.
pub(super) enum Positions<'a> {
    /// Embeddings [rows, hidden_size] that every layer projects for itself.
    Embedded { embeddings: &'a Value, expansion: Option<&'a Indices> },
    /// This layer's projections of the whole table, and the row of each distance.
    Projected { table: &'a ProjectedPositions, reach: &'a Reach },
    /// A model without relative attention.
    Unused,
}

/// One layer's projections of all relative embeddings [2 * span, hidden_size].
pub(super) struct ProjectedPositions(PositionTables);

impl SelfAttention {
    pub fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let linear =
            |name| Linear::new(&weights.part(name), config.hidden_size, config.hidden_size);
        let (query, key) = (linear("query_proj")?, linear("key_proj")?);
        let position = |used: bool, shared: &Linear, own| match (used, config.share_att_key) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(shared.clone())),
            (true, false) => linear(own).map(Some),
        };
        let both = config.has_c2p() && config.has_p2c() && config.share_att_key;
        let width = config.hidden_size;
        let has_stack = ["weight", "bias"].into_iter().all(|kind| weights.part(STACKED).has(kind));
        let stacked = match both && has_stack {
            true => Some(Linear::new(&weights.part(STACKED), width, 3 * width)?),
            false => None,
        };
        let scale = 1.0 / ((config.head_dim() * config.score_terms()) as f32).sqrt();
        Ok(Self {
            value: linear("value_proj")?,
            position_key: position(config.has_c2p(), &key, "pos_key_proj")?,
            position_query: position(config.has_p2c(), &query, "pos_query_proj")?,
            query,
            key,
            stacked,
            position_dropout: Dropout(config.hidden_dropout_prob),
            dropout: Dropout(config.attention_probs_dropout_prob),
            heads: config.num_attention_heads,
            scale,
        })
    }

    /// x [tokens, hidden_size], asking [tokens or texts, hidden_size] -> as `asking`.
    pub fn forward(
        &self,
        x: &Value,
        asking: &Value,
        queries: Queries,
        offsets: &Offsets,
        positions: &Positions<'_>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        if let Positions::Projected { table, reach } = positions {
            return self.infer(x, asking, queries, offsets, table, reach);
        }
        if let (Some(stacked), Queries::All, Positions::Embedded { embeddings, expansion }) =
            (&self.stacked, queries, positions)
        {
            return self.forward_stacked(stacked, x, offsets, embeddings, *expansion, tape);
        }
        let (position_key, position_query) = self.positions(positions, tape)?;
        let operands = Operands {
            query: self.query.forward(asking, tape)?,
            key: self.key.forward(x, tape)?,
            value: self.value.forward(x, tape)?,
            position_key,
            position_query,
        };
        let attention = Attention {
            offsets: offsets.clone(),
            heads: self.heads,
            queries,
            scale: self.scale,
            mask: self.dropout.mask(tape),
        };
        let tensors = operands.map(|value| Ok(value.tensor().clone()))?;
        let (context, probabilities) = attention.forward(&tensors)?;
        Ok(Value::output(tape, context, move |gradient, gradients| {
            let found = attention.backward(&gradient, &tensors, &probabilities)?;
            gradients.add(&operands.query, found.query)?;
            gradients.add(&operands.key, found.key)?;
            gradients.add(&operands.value, found.value)?;
            for (value, gradient) in [
                (&operands.position_key, found.position_key),
                (&operands.position_query, found.position_query),
            ] {
                if let (Some(value), Some(gradient)) = (value, gradient) {
                    gradients.add(value, gradient)?;
                }
            }
            Ok(())
        }))
    }

    /// As [`forward`](Self::forward) by the layer that has all projections.
    fn forward_stacked(
        &self,
        stacked: &Linear,
        x: &Value,
        offsets: &Offsets,
        embeddings: &Value,
        expansion: Option<&Indices>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let format = stacked.format();
        let embeddings = self.position_dropout.forward(embeddings, tape)?;
        let of_positions = stacked.first_outputs(2 * embeddings.tensor().dim(1)?)?;
        let (operand, content) = stacked.apply(format, x)?;
        let (position_operand, reached) = of_positions.apply(format, &embeddings)?;
        let reached_rows = reached.dim(0)?;
        let positions = match expansion {
            None => reached,
            Some(indices) => rows::gather(&reached, indices)?,
        };
        let attention = Attention {
            offsets: offsets.clone(),
            heads: self.heads,
            queries: Queries::All,
            scale: self.scale,
            mask: self.dropout.mask(tape),
        };
        let products = Stacked { rows: content, positions };
        let (context, saved) = forward_stacked(&attention, &products)?;
        let (x, stacked, expansion) = (x.clone(), stacked.clone(), expansion.cloned());
        Ok(Value::output(tape, context, move |gradient, gradients| {
            let found = backward_stacked(&attention, &gradient, &products, &saved)?;
            stacked.backward(&x, &operand, &found.rows, gradients)?;
            let by_reached = match &expansion {
                None => found.positions,
                Some(indices) => rows::scattered(&found.positions, indices, reached_rows, None)?,
            };
            of_positions.backward(&embeddings, &position_operand, &by_reached, gradients)
        }))
    }

    /// Projects the embeddings of all relative positions, for a model whose weights stay.
    pub fn project_positions(&self, embeddings: &Value) -> Result<ProjectedPositions> {
        let project = |linear: &Option<Linear>| -> Result<Option<Value>> {
            let Some(linear) = linear else { return Ok(None) };
            linear.forward(embeddings, None).map(Some)
        };
        let (key, query) = (project(&self.position_key)?, project(&self.position_query)?);
        let [key, query] = [&key, &query].map(|value| value.as_ref().map(Value::tensor));
        let is_integer = self.query.is_integer();
        PositionTables::new(key, query, self.heads, is_integer).map(ProjectedPositions)
    }

    /// [`forward`](Self::forward) with positions that were projected before.
    fn infer(
        &self,
        x: &Value,
        asking: &Value,
        queries: Queries,
        offsets: &Offsets,
        positions: &ProjectedPositions,
        reach: &Reach,
    ) -> Result<Value> {
        let attention = Attention {
            offsets: offsets.clone(),
            heads: self.heads,
            queries,
            scale: self.scale,
            mask: None,
        };
        let query = self.query.forward(asking, None)?;
        let key = self.key.forward(x, None)?;
        let value = self.value.forward(x, None)?;
        let [query, key, value] = [&query, &key, &value].map(Value::tensor);
        let places = reach.place_of_each_distance();
        attention.context(query, key, value, &positions.0, &places).map(Value::constant)
    }

    /// Position keys and queries, one row a distance, the largest distance first.
    fn positions(
        &self,
        positions: &Positions<'_>,
        tape: Option<&Tape>,
    ) -> Result<(Option<Value>, Option<Value>)> {
        match positions {
            Positions::Unused => Ok((None, None)),
            Positions::Projected { .. } => unreachable!("those are for `infer`"),
            Positions::Embedded { embeddings, expansion } => {
                let embeddings = self.position_dropout.forward(embeddings, tape)?;
                let project = |linear: &Option<Linear>| -> Result<Option<Value>> {
                    let Some(linear) = linear else { return Ok(None) };
                    let rows = linear.forward(&embeddings, tape)?;
                    match expansion {
                        None => Ok(Some(rows)),
                        Some(indices) => select_rows(&rows, indices, tape).map(Some),
                    }
                };
                Ok((project(&self.position_key)?, project(&self.position_query)?))
            }
        }
    }
}
