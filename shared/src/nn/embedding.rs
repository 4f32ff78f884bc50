//! Rows of a table, picked by index.

use super::Weights;
use crate::Result;
use crate::autograd::{Parameter, Tape, Value};
use crate::kernels::rows;

/// A table [entries, width].
#[derive(Clone)]
pub struct Embedding {
    table: Parameter,
    entries: usize,
    /// A row that takes no gradient, as `padding_idx` of PyTorch's `Embedding`.
    padding: Option<u32>,
}

impl Embedding {
    pub fn new(weights: &Weights<'_>, entries: usize, width: usize) -> Result<Self> {
        let table = weights.get("weight", &[entries, width])?;
        Ok(Self { table, entries, padding: None })
    }

    #[must_use]
    pub fn with_padding(self, index: u32) -> Self {
        Self { padding: Some(index), ..self }
    }

    /// -> [indices, width].
    ///
    /// # Panics
    /// If an index is not below the number of entries.
    pub fn forward(&self, indices: &[u32], tape: Option<&Tape>) -> Result<Value> {
        let output = rows::gather(self.table.tensor(), indices)?;
        let (layer, indices) = (self.clone(), indices.to_vec());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            let padding = layer.padding;
            gradients.update_parameter(&layer.table, |so_far| {
                rows::scatter_add(&gradient, &indices, padding, layer.entries, so_far)
            })
        }))
    }

    pub fn entries(&self) -> usize {
        self.entries
    }
}

/// Rows of a value, picked by index; its backward sends each gradient to the row it came from.
pub fn select_rows(x: &Value, indices: Vec<u32>, tape: Option<&Tape>) -> Result<Value> {
    let output = rows::gather(x.tensor(), &indices)?;
    let x = x.clone();
    Ok(Value::output(tape, output, move |gradient, gradients| {
        let entries = x.tensor().dim(0)?;
        gradients.update(&x, |so_far| rows::scatter_add(&gradient, &indices, None, entries, so_far))
    }))
}
