//! The stack of transformer layers and the relative-position table that they share.
//!
//! Mirrors `DebertaV2Layer` and `DebertaV2Encoder`:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L420-L450>,
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py#L571-L686>.

use super::attention::{ContentProjections, Positions, ProjectedPositions, STACKED, SelfAttention};
use super::config::{DebertaConfig, NormRelEbd};
use super::relative_position::Reach;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::batch::Batch;
use crate::kernels::Indices;
use crate::kernels::attention::{PositionTables, Queries};
use crate::kernels::random::DropoutMask;
use crate::nn::{Dropout, Embedding, LayerNorm, Linear, LinearStack, Weights, select_rows};

#[derive(Clone)]
pub(super) struct Encoder {
    config: DebertaConfig,
    layers: Vec<Layer>,
    relative: Option<RelativeEmbeddings>,
    /// The projections of relative embeddings to position queries and keys, of all layers at once.
    positions: Option<LinearStack>,
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

/// The dropout masks of one layer.
#[derive(Clone, Copy)]
struct Masks {
    positions: Option<DropoutMask>,
    probabilities: Option<DropoutMask>,
    attended: Option<DropoutMask>,
    output: Option<DropoutMask>,
}

/// The relative positions of one pass, before a layer takes its part of them.
enum AllPositions<'a> {
    Embedded(Value),
    Stacked(Value),
    Projected(&'a [ProjectedPositions]),
    Unused,
}

#[derive(Clone)]
struct RelativeEmbeddings {
    table: Embedding,
    norm: Option<LayerNorm>,
}

impl Encoder {
    pub fn new(config: &DebertaConfig, weights: &Weights<'_>) -> Result<Self> {
        let (count, width) = (config.num_hidden_layers, config.hidden_size);
        let stack = match config.has_c2p() && config.has_p2c() && config.share_att_key {
            true => LinearStack::find(&weights.part(STACKED), count, width, 3 * width)?,
            false => None,
        };
        let layer = |n| {
            let stack = stack.as_ref().map(|stack| (stack, n));
            Layer::new(config, &weights.part("layer").part(n), stack)
        };
        let layers = (0..count).map(layer).collect::<Result<_>>()?;
        let relative = match config.relative_attention {
            true => Some(RelativeEmbeddings::new(config, weights)?),
            false => None,
        };
        let positions = stack.map(|stack| stack.of_each(0..2 * width)).transpose()?;
        Ok(Self { config: config.clone(), layers, relative, positions })
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
        let masks = self.masks(tape);
        let positions = self.positions(&reach, projected, &masks, tape)?;
        let mut x = x;
        for (n, (layer, masks)) in self.layers.iter().zip(&masks).enumerate() {
            let positions = positions.of_layer(n, &reach, masks);
            let last = n + 1 == self.layers.len();
            let queries = if last { Queries::First } else { Queries::All };
            x = layer.forward(&x, batch, queries, &positions, masks, tape)?;
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
        let masks = self.masks(tape);
        let positions = self.positions(&reach, None, &masks, tape)?;
        let mut states = vec![x];
        for (n, (layer, masks)) in self.layers.iter().zip(&masks).enumerate() {
            let positions = positions.of_layer(n, &reach, masks);
            let x = states.last().expect("begins with the embeddings");
            states.push(layer.forward(x, batch, Queries::All, &positions, masks, tape)?);
        }
        Ok(states)
    }

    /// Draws the masks of all layers, in the order in which the layers come to them: positions may need those of all
    /// layers before the first.
    fn masks(&self, tape: Option<&Tape>) -> Vec<Masks> {
        let relative = self.relative.is_some();
        self.layers.iter().map(|layer| layer.masks(relative, tape)).collect()
    }

    /// Returns what of the relative positions is computed before the first layer.
    fn positions<'a>(
        &self,
        reach: &Reach,
        projected: Option<&'a [ProjectedPositions]>,
        masks: &[Masks],
        tape: Option<&Tape>,
    ) -> Result<AllPositions<'a>> {
        let Some(relative) = &self.relative else {
            return Ok(AllPositions::Unused);
        };
        if let Some(projected) = projected {
            return Ok(AllPositions::Projected(projected));
        }
        let embeddings = relative.forward(&reach.rows, tape)?;
        let Some(stack) = &self.positions else {
            return Ok(AllPositions::Embedded(embeddings));
        };
        let masks: Vec<_> = masks.iter().map(|masks| masks.positions).collect();
        let rows = stack.forward(&embeddings, &masks, tape)?;
        match &reach.expansion {
            None => Ok(AllPositions::Stacked(rows)),
            Some(indices) => select_rows(&rows, indices, tape).map(AllPositions::Stacked),
        }
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

impl AllPositions<'_> {
    fn of_layer<'a>(&'a self, layer: usize, reach: &'a Reach, masks: &Masks) -> Positions<'a> {
        match self {
            Self::Embedded(embeddings) => {
                let expansion = reach.expansion.as_ref();
                Positions::Embedded { embeddings, expansion, mask: masks.positions }
            }
            Self::Stacked(projections) => Positions::Stacked { projections, layer },
            Self::Projected(tables) => Positions::Projected { table: &tables[layer], reach },
            Self::Unused => Positions::Unused,
        }
    }
}

impl Layer {
    fn new(
        config: &DebertaConfig,
        weights: &Weights<'_>,
        stack: Option<(&LinearStack, usize)>,
    ) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |weights: Weights<'_>| {
            LayerNorm::new(&weights.part("LayerNorm"), hidden, config.layer_norm_eps)
        };
        let dense = |weights: Weights<'_>, inputs, outputs| {
            Linear::new(&weights.part("dense"), inputs, outputs)
        };
        let attention = weights.part("attention");
        Ok(Self {
            attention: SelfAttention::new(config, &attention.part("self"), stack)?,
            attention_output: dense(attention.part("output"), hidden, hidden)?,
            attention_norm: norm(attention.part("output"))?,
            intermediate: dense(weights.part("intermediate"), hidden, inner)?,
            output: dense(weights.part("output"), inner, hidden)?,
            output_norm: norm(weights.part("output"))?,
            dropout: Dropout(config.hidden_dropout_prob),
        })
    }

    fn masks(&self, relative: bool, tape: Option<&Tape>) -> Masks {
        Masks {
            positions: if relative { self.attention.position_mask(tape) } else { None },
            probabilities: self.attention.probability_mask(tape),
            attended: self.dropout.mask(tape),
            output: self.dropout.mask(tape),
        }
    }

    fn forward(
        &self,
        x: &Value,
        batch: &Batch,
        queries: Queries,
        positions: &Positions<'_>,
        masks: &Masks,
        tape: Option<&Tape>,
    ) -> Result<Value> {
        let query_rows = match queries {
            Queries::All => x.clone(),
            Queries::First => select_rows(x, batch.first_tokens(), tape)?,
        };
        let texts = batch.cumulative_seq_lengths();
        let attention = self.attention.over(texts, queries, masks.probabilities);
        let context = self.attention.forward(x, &query_rows, attention, positions, tape)?;
        let attended = self.attention_norm.sublayer(
            &self.attention_output,
            masks.attended,
            &context,
            &query_rows,
            tape,
        )?;
        let inner = self.intermediate.forward_gelu(&attended, tape)?;
        self.output_norm.sublayer(&self.output, masks.output, &inner, &attended, tape)
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
