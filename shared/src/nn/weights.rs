//! A model's tensors by name, checked against the shapes that the config asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::quantized_embedding::QuantizedEmbedding;
use crate::autograd::Parameter;
use crate::kernels::packed::PackedLinear;
use crate::{Error, Result};

/// Weights that are not tensors but in a form that only inference reads, by name.
#[derive(Default)]
pub struct Prepared {
    /// Embeddings whose rows stay quantized.
    pub embeddings: BTreeMap<String, Arc<QuantizedEmbedding>>,
    /// Packed weights of linear layers.
    pub linear: BTreeMap<String, Arc<PackedLinear>>,
}

/// The source of an embedding's rows.
#[derive(Clone)]
pub enum Table {
    /// A tensor [entries, width], which can be trained.
    Parameter(Parameter),
    /// Rows for inference, which take no gradient.
    Quantized(Arc<QuantizedEmbedding>),
}

/// The weight w of a layer.
#[derive(Clone)]
pub enum LinearWeight {
    /// A tensor, which can be trained.
    Parameter(Parameter),
    /// Packed weights for inference, which take no gradient.
    Packed(Arc<PackedLinear>),
}

static NONE: Prepared = Prepared { embeddings: BTreeMap::new(), linear: BTreeMap::new() };

/// Named tensors, and the name's beginning at this depth of the model.
#[derive(Clone)]
pub struct Weights<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    halves: Option<&'a BTreeMap<String, Tensor>>,
    prepared: &'a Prepared,
    prefix: String,
}

impl<'a> Weights<'a> {
    /// Tensors by their full names.
    pub fn new(tensors: &'a BTreeMap<String, Tensor>) -> Self {
        Self::with_prepared(tensors, &NONE)
    }

    /// Tensors by their full names, where some weights are in `prepared` instead.
    pub fn with_prepared(tensors: &'a BTreeMap<String, Tensor>, prepared: &'a Prepared) -> Self {
        Self { tensors, halves: None, prepared, prefix: String::new() }
    }

    /// The same weights for products in half precision: `halves` are copies of tensors, all in one format.
    #[must_use]
    pub fn with_halves(self, halves: &'a BTreeMap<String, Tensor>) -> Self {
        Self { halves: Some(halves), ..self }
    }

    /// The format of the half-precision copies, if there are any.
    pub(super) fn half_format(&self) -> Option<DType> {
        self.halves?.values().next().map(Tensor::dtype)
    }

    /// Whether there is a tensor called `name` in this part.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&format!("{}{name}", self.prefix))
    }

    /// The weights of a part, whose names go on with `name` and a dot.
    #[must_use]
    pub fn part(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..*self }
    }

    /// The tensor called `name` in this part, in f32. An f32 tensor is shared, not copied.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Parameter> {
        let name = format!("{}{name}", self.prefix);
        let Some(tensor) = self.tensors.get(&name) else {
            return Err(Error::MissingTensor { name });
        };
        check_shape(&name, shape, tensor.dims())?;
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        let half = self.halves.and_then(|halves| halves.get(&name)).cloned();
        Ok(Parameter::new(name, tensor, half))
    }

    /// The table of embeddings called `name` in this part.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    pub(super) fn table(&self, name: &str, shape: [usize; 2]) -> Result<Table> {
        let full_name = format!("{}{name}", self.prefix);
        let Some(table) = self.prepared.embeddings.get(&full_name) else {
            return self.get(name, &shape).map(Table::Parameter);
        };
        check_shape(&full_name, &shape, &table.shape())?;
        Ok(Table::Quantized(table.clone()))
    }

    /// The weights of a linear layer, called `name` in this part.
    ///
    /// # Errors
    /// If they are missing or have another shape.
    pub(super) fn linear(&self, name: &str, shape: [usize; 2]) -> Result<LinearWeight> {
        let full_name = format!("{}{name}", self.prefix);
        let Some(weight) = self.prepared.linear.get(&full_name) else {
            return self.get(name, &shape).map(LinearWeight::Parameter);
        };
        check_shape(&full_name, &shape, &weight.shape())?;
        Ok(LinearWeight::Packed(weight.clone()))
    }
}

fn check_shape(name: &str, expected: &[usize], found: &[usize]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_vec(), found.to_vec());
    Err(Error::TensorShape { name: name.to_owned(), expected, found })
}
