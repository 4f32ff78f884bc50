//! Disentangled self-attention: the projections around [`kernels::attention`](crate::kernels::attention).
//!
//! Mirrors `DisentangledSelfAttention`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L141-L349>.

use candle_core::Tensor;

use super::config::DebertaConfig;
use super::relative_position::Reach;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::kernels::attention::{Attention, Operands, PositionTables, Queries, Stacked};
use crate::kernels::random::DropoutMask;
use crate::kernels::{CumulativeSeqLengths, Indices};
use crate::nn::dropout::masked;
use crate::nn::{Dropout, Linear, LinearStack, Weights, select_rows};

#[derive(Clone)]
pub(super) struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    /// The projection of relative embeddings to keys, for c2p; with `share_att_key` it is `key`.
    position_key: Option<Linear>,
    /// The projection of relative embeddings to queries, for p2c; with `share_att_key` it is `query`.
    position_query: Option<Linear>,
    /// Several of these as one layer, where the weights come stacked.
    stacked: Option<StackedProjections>,
    position_dropout: Dropout,
    dropout: Dropout,
    heads: usize,
    scale: f32,
}

#[derive(Clone)]
struct StackedProjections {
    query_key_value: Linear,
    key_value: Linear,
}

/// Names the stack of all layers' `query_proj`, `key_proj` and `value_proj`, in this order: its weight is
/// [num_hidden_layers, 3 * hidden_size, hidden_size], its bias [num_hidden_layers, 3 * hidden_size]. A model whose
/// weights hold such a stack computes a layer's three projections as one product, and the positions' projections of all
/// layers as another.
pub const STACKED: &str = "query_key_value";

/// The relative-position rows that one forward pass uses.
pub(super) enum Positions<'a> {
    /// Embeddings [rows, hidden_size] that every layer projects for itself, under a mask of its own.
    Embedded { embeddings: &'a Value, expansion: Option<&'a Indices>, mask: Option<DropoutMask> },
    /// Position queries and keys of all layers, [distances, num_hidden_layers * 2 * hidden_size], and this layer's number.
    Stacked { projections: &'a Value, layer: usize },
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
    /// `stack` is that of all layers, and this layer's number.
    pub fn new(
        config: &DebertaConfig,
        weights: &Weights<'_>,
        stack: Option<(&LinearStack, usize)>,
    ) -> Result<Self> {
        let linear =
            |name| Linear::new(&weights.part(name), config.hidden_size, config.hidden_size);
        let width = config.hidden_size;
        let [query, key, value] = match stack {
            None => [linear("query_proj")?, linear("key_proj")?, linear("value_proj")?],
            Some((stack, layer)) => {
                let part = |place: usize| stack.layer(layer, place * width..(place + 1) * width);
                [part(0)?, part(1)?, part(2)?]
            }
        };
        let stacked = |(stack, layer): (&LinearStack, usize)| -> Result<_> {
            Ok(StackedProjections {
                query_key_value: stack.layer(layer, 0..3 * width)?,
                key_value: stack.layer(layer, width..3 * width)?,
            })
        };
        let position = |used: bool, shared: &Linear, own| match (used, config.share_att_key) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(shared.clone())),
            (true, false) => linear(own).map(Some),
        };
        let scale = 1.0 / ((config.head_dim() * config.score_terms()) as f32).sqrt();
        Ok(Self {
            position_key: position(config.has_c2p(), &key, "pos_key_proj")?,
            position_query: position(config.has_p2c(), &query, "pos_query_proj")?,
            query,
            key,
            value,
            stacked: stack.map(stacked).transpose()?,
            position_dropout: Dropout(config.hidden_dropout_prob),
            dropout: Dropout(config.attention_probs_dropout_prob),
            heads: config.num_attention_heads,
            scale,
        })
    }

    /// The mask of the relative embeddings, which every layer draws for itself.
    pub fn position_mask(&self, tape: Option<&Tape>) -> Option<DropoutMask> {
        self.position_dropout.mask(tape)
    }

    /// The mask of the attention probabilities.
    pub fn probability_mask(&self, tape: Option<&Tape>) -> Option<DropoutMask> {
        self.dropout.mask(tape)
    }

    /// The extent of an attention over some texts.
    pub fn over(
        &self,
        cumulative_seq_lengths: &CumulativeSeqLengths,
        queries: Queries,
        mask: Option<DropoutMask>,
    ) -> Attention {
        Attention {
            cumulative_seq_lengths: cumulative_seq_lengths.clone(),
            heads: self.heads,
            queries,
            scale: self.scale,
            mask,
        }
    }

    /// Attends from `query_rows` [queries, hidden_size] to x [tokens, hidden_size]: -> [queries, hidden_size],
    /// where the queries are all tokens or one token a text.
    pub fn forward(
        &self,
        x: &Value,
        query_rows: &Value,
        attention: Attention,
        positions: &Positions<'_>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let (position_key, position_query) = match positions {
            Positions::Unused => (None, None),
            Positions::Embedded { embeddings, expansion, mask } => {
                self.positions(embeddings, *expansion, *mask, tape)?
            }
            Positions::Stacked { projections, layer } => {
                return self.forward_stacked(x, query_rows, attention, projections, *layer, tape);
            }
            Positions::Projected { table, reach } => {
                return self.infer(x, query_rows, &attention, table, reach);
            }
        };
        let operands = Operands {
            query: self.query.forward(query_rows, tape)?,
            key: self.key.forward(x, tape)?,
            value: self.value.forward(x, tape)?,
            position_key,
            position_query,
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

    /// [`forward`](Self::forward) by stacked projections.
    fn forward_stacked(
        &self,
        x: &Value,
        query_rows: &Value,
        attention: Attention,
        positions: &Value,
        layer: usize,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let stacked = self.stacked.as_ref().expect("positions are stacked as the layers are");
        let projections = match attention.queries {
            Queries::All => vec![(stacked.query_key_value.clone(), x.clone())],
            Queries::First => {
                vec![
                    (self.query.clone(), query_rows.clone()),
                    (stacked.key_value.clone(), x.clone()),
                ]
            }
        };
        let products = projections.iter().map(|(linear, x)| linear.apply(linear.format(), x));
        let (inputs, rows) = products.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let inputs: Vec<Tensor> = inputs;
        let operands = Stacked { rows, positions: positions.tensor().clone(), layer };
        let (context, saved) = attention.forward_stacked(&operands)?;
        let positions = positions.clone();
        Ok(Value::output(tape, context, move |gradient, gradients| {
            let mut by_rows = Vec::new();
            gradients.update(&positions, |so_far| {
                let found = attention.backward_stacked(&gradient, &operands, &saved, so_far)?;
                by_rows = found.rows;
                Ok(found.positions)
            })?;
            for (((linear, x), input), by_rows) in projections.iter().zip(&inputs).zip(&by_rows) {
                linear.backward(x, input, by_rows, gradients)?;
            }
            Ok(())
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
        attention: &Attention,
        positions: &ProjectedPositions,
        reach: &Reach,
    ) -> Result<Value> {
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
        embeddings: &Value,
        expansion: Option<&Indices>,
        mask: Option<DropoutMask>,
        tape: Option<&Tape>,
    ) -> Result<(Option<Value>, Option<Value>)> {
        let embeddings = masked(embeddings, mask, tape)?;
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
