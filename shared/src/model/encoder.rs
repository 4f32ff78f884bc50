//! The stack of transformer layers and the relative-position table that they share.
//!
//! Mirrors `DebertaV2Layer` and `DebertaV2Encoder`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L420-L450>,
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L571-L686>.

use super::attention::{ContentProjections, Positions, ProjectedPositions, SelfAttention};
use super::config::{DebertaConfig, NormRelEbd};
use super::relative_position::Reach;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::batch::Batch;
use crate::kernels::Indices;
use crate::kernels::attention::{PositionTables, Queries};
use crate::nn::{Dropout, Embedding, LayerNorm, Linear, Weights, select_rows};

#[derive(Clone)]
pub(super) struct Encoder {
    config: DebertaConfig,
    layers: Vec<Layer>,
    relative: Option<RelativeEmbeddings>,
}

#[derive(Clone)]
struct Layer {
    attention: SelfAttention,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
    dropout: Dropout,
}

#[derive(Clone)]
struct RelativeEmbeddings {
    table: Embedding,
    norm: Option<LayerNorm>,
}

impl Encoder {
    pub fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let layers = (0..config.num_hidden_layers)
            .map(|n| Layer::new(config, &weights.part("layer").part(n)))
            .collect::<Result<_>>()?;
        let relative = match config.relative_attention {
            true => Some(RelativeEmbeddings::new(config, weights)?),
            false => None,
        };
        Ok(Self { config: config.clone(), layers, relative })
    }

    /// x [tokens, hidden_size] -> the last hidden state of the `[CLS]` tokens [texts, hidden_size].
    ///
    /// `projected` holds what [`Self::project_positions`] returned for the same weights.
    pub fn forward(
        &self,
        x: Value,
        batch: &Batch,
        projected: Option<&[ProjectedPositions]>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let reach = Reach::new(&self.config, batch.longest());
        let embeddings = match (&self.relative, projected) {
            (Some(relative), None) => Some(relative.forward(&reach.rows, tape)?),
            _ => None,
        };
        let mut x = x;
        for (n, layer) in self.layers.iter().enumerate() {
            let positions = match (&embeddings, projected) {
                (_, Some(tables)) => Positions::Projected { table: &tables[n], reach: &reach },
                (Some(embeddings), None) => {
                    Positions::Embedded { embeddings, expansion: reach.expansion.as_ref() }
                }
                (None, None) => Positions::Unused,
            };
            let last = n + 1 == self.layers.len();
            let queries = if last { Queries::First } else { Queries::All };
            x = layer.forward(&x, batch, queries, &positions, tape)?;
        }
        Ok(x)
    }

    /// x [tokens, hidden_size] -> x and the output of every layer, all [tokens, hidden_size].
    pub fn hidden_states(
        &self,
        x: Value,
        batch: &Batch,
        tape: Option<&Tape>,
    ) -> Result<Vec<Value>> {
        let reach = Reach::new(&self.config, batch.longest());
        let relative = self.relative.as_ref();
        let embeddings = relative.map(|table| table.forward(&reach.rows, tape)).transpose()?;
        let positions = embeddings.as_ref().map_or(Positions::Unused, |embeddings| {
            Positions::Embedded { embeddings, expansion: reach.expansion.as_ref() }
        });
        let mut states = vec![x];
        for layer in &self.layers {
            let x = states.last().expect("begins with the embeddings");
            states.push(layer.forward(x, batch, Queries::All, &positions, tape)?);
        }
        Ok(states)
    }

    /// The queries, keys and values of a layer whose input is x [tokens, hidden_size].
    pub fn content_projections(
        &self,
        layer: usize,
        x: &Value,
        tape: Option<&Tape>,
    ) -> Result<ContentProjections> {
        self.layers[layer].attention.content_projections(x, tape)
    }

    /// Returns each layer's projections of the whole relative-position table, in the layout of the CPU's kernels,
    /// or none on a GPU, which projects what a batch can reach.
    pub fn project_positions(&self) -> Result<Vec<ProjectedPositions>> {
        let Some(relative) = &self.relative else {
            return Ok(Vec::new());
        };
        let all: Vec<u32> = (0..relative.table.entries() as u32).collect();
        let embeddings = relative.forward(&all.into(), None)?;
        if !PositionTables::are_read_beside(embeddings.tensor()) {
            return Ok(Vec::new());
        }
        self.layers.iter().map(|layer| layer.attention.project_positions(&embeddings)).collect()
    }
}

impl Layer {
    fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |weights: Weights<'_>| {
            LayerNorm::new(&weights.part("LayerNorm"), hidden, config.layer_norm_eps)
        };
        let dense = |weights: Weights<'_>, inputs, outputs| {
            Linear::new(&weights.part("dense"), inputs, outputs)
        };
        let attention = weights.part("attention");
        Ok(Self {
            attention: SelfAttention::new(config, &attention.part("self"))?,
            attention_output: dense(attention.part("output"), hidden, hidden)?,
            attention_norm: norm(attention.part("output"))?,
            intermediate: dense(weights.part("intermediate"), hidden, inner)?,
            output: dense(weights.part("output"), inner, hidden)?,
            output_norm: norm(weights.part("output"))?,
            dropout: Dropout(config.hidden_dropout_prob),
        })
    }

    fn forward(
        &self,
        x: &Value,
        batch: &Batch,
        queries: Queries,
        positions: &Positions<'_>,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let query_rows = match queries {
            Queries::All => x.clone(),
            Queries::First => select_rows(x, batch.first_tokens(), tape)?,
        };
        let bounds = batch.cumulative_seq_lengths();
        let context = self.attention.forward(x, &query_rows, queries, bounds, positions, tape)?;
        let attended = self.attention_norm.sublayer(
            &self.attention_output,
            self.dropout,
            &context,
            &query_rows,
            tape,
        )?;
        let inner = self.intermediate.forward_gelu(&attended, tape)?;
        self.output_norm.sublayer(&self.output, self.dropout, &inner, &attended, tape)
    }
}

impl RelativeEmbeddings {
    fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let width = config.hidden_size;
        let table = weights.part("rel_embeddings");
        let norm = match config.norm_rel_ebd {
            NormRelEbd::None => None,
            NormRelEbd::LayerNorm => {
                Some(LayerNorm::new(&weights.part("LayerNorm"), width, config.layer_norm_eps)?)
            }
        };
        Ok(Self { table: Embedding::new(&table, config.relative_rows(), width)?, norm })
    }

    /// Returns the normalised rows of the table [rows, hidden_size].
    fn forward(&self, rows: &Indices, tape: Option<&Tape>) -> Result<Value> {
        let embeddings = self.table.forward(rows, tape)?;
        match &self.norm {
            None => Ok(embeddings),
            Some(norm) => norm.forward(&embeddings, tape),
        }
    }
}
