//! Rows of a table, picked by index.

use super::weights::{Table, Weights};
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::kernels::{Indices, rows};

/// A table [entries, width].
#[derive(Clone)]
pub struct Embedding {
    table: Table,
    entries: usize,
    /// A row that takes no gradient, as `padding_idx` of PyTorch's `Embedding`.
    padding: Option<u32>,
}

impl Embedding {
    /// The table called `weight`.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    pub fn new(weights: &Weights<'_>, entries: usize, width: usize) -> Result<Self> {
        let table = weights.table("weight", [entries, width])?;
        Ok(Self { table, entries, padding: None })
    }

    /// The same table, where row `index` takes no gradient.
    #[must_use]
    pub fn with_padding(self, index: u32) -> Self {
        Self { padding: Some(index), ..self }
    }

    /// -> [indices, width].
    ///
    /// # Panics
    /// If an index is not below the number of entries, or if quantized rows are given a tape.
    pub fn forward(&self, indices: &Indices, tape: Option<&Tape>) -> Result<Value> {
        let table = match &self.table {
            Table::Parameter(table) => table.clone(),
            Table::Quantized(table) => {
                assert!(tape.is_none(), "quantized embeddings are for inference");
                return table.gather(indices).map(Value::constant);
            }
        };
        let output = rows::gather(table.tensor(), indices)?;
        let (padding, indices) = (self.padding, indices.clone());
        Ok(Value::output(tape, output, move |gradient, gradients| {
            rows::scatter_add(&gradient, &indices, padding, &gradients.target(&table)?)
        }))
    }

    /// The number of rows.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

/// Rows of a value, picked by index; its backward sends each gradient to the row it came from.
pub fn select_rows(x: &Value, indices: &Indices, tape: Option<&Tape>) -> Result<Value> {
    let output = rows::gather(x.tensor(), indices)?;
    let (x, indices) = (x.clone(), indices.clone());
    Ok(Value::output(tape, output, move |gradient, gradients| {
        let entries = x.tensor().dim(0)?;
        gradients.update(&x, |so_far| rows::scattered(&gradient, &indices, entries, so_far))
    }))
}
