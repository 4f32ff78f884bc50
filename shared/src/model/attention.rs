//! Disentangled self-attention: the projections around [`kernels::attention`](crate::kernels::attention).
//!
//! Mirrors `DisentangledSelfAttention`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L141-L349>.

use super::config::DebertaConfig;
use super::relative_position::Reach;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::kernels::attention::{Attention, Operands, PositionTables, Queries, Stacked};
use crate::kernels::{CumulativeSeqLengths, Indices, rows};
use crate::nn::{Dropout, Linear, Weights, select_rows};

#[derive(Clone)]
pub(super) struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    /// The projection of relative embeddings to keys, for c2p; with `share_att_key` it is `key`.
    position_key: Option<Linear>,
    /// The projection of relative embeddings to queries, for p2c; with `share_att_key` it is `query`.
    position_query: Option<Linear>,
    /// Keys, queries and values of content as one layer, where the weights come stacked. Its first two
    /// thirds are the positions' layer.
    stacked: Option<Linear>,
    position_dropout: Dropout,
    dropout: Dropout,
    heads: usize,
    scale: f32,
}

/// Names the layer that has the rows of `key_proj`, `query_proj` and `value_proj`, in this order: its weight is
/// [3 * hidden_size, hidden_size], its bias [3 * hidden_size]. A model whose weights hold such a layer computes
/// the three projections as one product.
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

/// A layer's projections of all tokens, each [tokens, hidden_size].
pub struct ContentProjections {
    /// What the tokens look for.
    pub query: Value,
    /// What they are found by.
    pub key: Value,
    /// What they hand on.
    pub value: Value,
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

    /// Attends from `query_rows` [queries, hidden_size] to x [tokens, hidden_size]: -> [queries, hidden_size],
    /// where the queries are all tokens or one token a text.
    pub fn forward(
        &self,
        x: &Value,
        query_rows: &Value,
        queries: Queries,
        cumulative_seq_lengths: &CumulativeSeqLengths,
        positions: &Positions<'_>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        if let Positions::Projected { table, reach } = positions {
            return self.infer(x, query_rows, queries, cumulative_seq_lengths, table, reach);
        }
        if let (Some(stacked), Queries::All, Positions::Embedded { embeddings, expansion }) =
            (&self.stacked, queries, positions)
        {
            return self.forward_stacked(
                stacked,
                x,
                cumulative_seq_lengths,
                embeddings,
                *expansion,
                tape,
            );
        }
        let (position_key, position_query) = self.positions(positions, tape)?;
        let operands = Operands {
            query: self.query.forward(query_rows, tape)?,
            key: self.key.forward(x, tape)?,
            value: self.value.forward(x, tape)?,
            position_key,
            position_query,
        };
        let attention = Attention {
            cumulative_seq_lengths: cumulative_seq_lengths.clone(),
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

    /// [`forward`](Self::forward) by the layer that computes all projections.
    fn forward_stacked(
        &self,
        stacked: &Linear,
        x: &Value,
        cumulative_seq_lengths: &CumulativeSeqLengths,
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
            cumulative_seq_lengths: cumulative_seq_lengths.clone(),
            heads: self.heads,
            queries: Queries::All,
            scale: self.scale,
            mask: self.dropout.mask(tape),
        };
        let products = Stacked { rows: content, positions };
        let (context, saved) = attention.forward_stacked(&products)?;
        let (x, stacked, expansion) = (x.clone(), stacked.clone(), expansion.cloned());
        Ok(Value::output(tape, context, move |gradient, gradients| {
            let found = attention.backward_stacked(&gradient, &products, &saved)?;
            stacked.backward(&x, &operand, &found.rows, gradients)?;
            let by_reached = match &expansion {
                None => found.positions,
                Some(indices) => rows::scattered(&found.positions, indices, reached_rows, None)?,
            };
            of_positions.backward(&embeddings, &position_operand, &by_reached, gradients)
        }))
    }

    /// Projects x [tokens, hidden_size] to queries, keys and values.
    pub fn content_projections(
        &self,
        x: &Value,
        tape: Option<&Tape>,
    ) -> Result<ContentProjections> {
        Ok(ContentProjections {
            query: self.query.forward(x, tape)?,
            key: self.key.forward(x, tape)?,
            value: self.value.forward(x, tape)?,
        })
    }

    /// Projects the embeddings of all relative positions, for a model whose weights do not change.
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

    /// [`forward`](Self::forward) with positions that were projected before, without a tape.
    fn infer(
        &self,
        x: &Value,
        query_rows: &Value,
        queries: Queries,
        cumulative_seq_lengths: &CumulativeSeqLengths,
        positions: &ProjectedPositions,
        reach: &Reach,
    ) -> Result<Value> {
        let attention = Attention {
            cumulative_seq_lengths: cumulative_seq_lengths.clone(),
            heads: self.heads,
            queries,
            scale: self.scale,
            mask: None,
        };
        let query = self.query.forward(query_rows, None)?;
        let key = self.key.forward(x, None)?;
        let value = self.value.forward(x, None)?;
        let [query, key, value] = [&query, &key, &value].map(Value::tensor);
        let places = reach.place_of_each_distance();
        attention.context(query, key, value, &positions.0, &places).map(Value::constant)
    }

    /// Returns position keys and queries [distances, hidden_size], the largest distance first.
    fn positions(
        &self,
        positions: &Positions<'_>,
        tape: Option<&Tape>,
    ) -> Result<(Option<Value>, Option<Value>)> {
        match positions {
            Positions::Unused => Ok((None, None)),
            Positions::Projected { .. } => unreachable!("`infer` takes projected positions"),
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
