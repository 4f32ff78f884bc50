//! Where a model's tensors come from: by name, checked against the shape the config asks for.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use crate::autograd::Parameter;
use crate::{Error, Result};

/// Named tensors, and the name's beginning at this depth of the model.
#[derive(Clone)]
pub struct Weights<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    prefix: String,
}

impl<'a> Weights<'a> {
    pub fn new(tensors: &'a BTreeMap<String, Tensor>) -> Self {
        Self { tensors, prefix: String::new() }
    }

    /// The weights of a part, whose names go on with `name` and a dot.
    #[must_use]
    pub fn part(&self, name: impl std::fmt::Display) -> Self {
        Self { tensors: self.tensors, prefix: format!("{}{name}.", self.prefix) }
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
        if tensor.dims() != shape {
            let (expected, found) = (shape.to_vec(), tensor.dims().to_vec());
            return Err(Error::TensorShape { name, expected, found });
        }
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        Ok(Parameter::new(name, tensor))
    }
}
