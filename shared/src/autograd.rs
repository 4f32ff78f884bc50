//! Reverse-mode differentiation: a tape of closures.
//!
//! candle's own backward pass allocates a zero tensor and adds to it at every edge of the graph and
//! limits a custom operation to three inputs. Here an operation hands the tape one closure that
//! turns the gradient of its output into those of its inputs; gradients move, and where several
//! meet they are summed in place. [`Gradients`] of parameters are kept by tensor name.
//!
//! A tape stands for training: with one, operations record themselves and dropout is applied;
//! without one (`None`), they compute only their result.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;
use crate::kernels::{elementwise, random::RandomKey};

type Backward = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<()>>;

/// Records one forward pass.
pub struct Tape {
    backward: RefCell<Vec<Backward>>,
    seed: u64,
    dropouts: Cell<u32>,
}

/// A tensor on its way through the model; a recorded one has a gradient.
#[derive(Clone)]
pub struct Value {
    tensor: Tensor,
    node: Option<usize>,
}

/// A named tensor that training changes.
#[derive(Clone)]
pub struct Parameter {
    name: Arc<str>,
    tensor: Tensor,
}

/// What [`Tape::backward`] computes: a gradient for each parameter that took part, by name.
#[derive(Default)]
pub struct Gradients {
    parameters: BTreeMap<Arc<str>, Tensor>,
    values: Vec<Option<Tensor>>,
}

impl Tape {
    /// `seed` decides every dropout mask of this forward pass.
    pub fn new(seed: u64) -> Self {
        Self { backward: RefCell::default(), seed, dropouts: Cell::new(0) }
    }

    /// The key of the next dropout mask: a place in the model and a seed give one mask.
    pub(crate) fn next_random_key(&self) -> RandomKey {
        let site = self.dropouts.get();
        self.dropouts.set(site + 1);
        RandomKey::new(self.seed, site)
    }

    /// Propagates `gradient`, that of `output`, back to all parameters.
    ///
    /// # Errors
    /// If a tensor operation fails (out of memory, say).
    pub fn backward(self, output: &Value, gradient: Tensor) -> Result<Gradients> {
        let backward = self.backward.into_inner();
        let mut gradients =
            Gradients { parameters: BTreeMap::new(), values: vec![None; backward.len()] };
        gradients.add(output, gradient)?;
        for (node, propagate) in backward.into_iter().enumerate().rev() {
            if let Some(gradient) = gradients.values[node].take() {
                propagate(gradient, &mut gradients)?;
            }
        }
        Ok(gradients)
    }
}

impl Value {
    /// A tensor without a gradient.
    pub fn constant(tensor: Tensor) -> Self {
        Self { tensor, node: None }
    }

    /// The output of an operation and, if there is a tape, the way back from it.
    pub(crate) fn output(
        tape: Option<&Tape>,
        tensor: Tensor,
        backward: impl FnOnce(Tensor, &mut Gradients) -> Result<()> + 'static,
    ) -> Self {
        let node = tape.map(|tape| {
            let mut recorded = tape.backward.borrow_mut();
            recorded.push(Box::new(backward));
            recorded.len() - 1
        });
        Self { tensor, node }
    }

    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

impl Parameter {
    pub fn new(name: impl Into<Arc<str>>, tensor: Tensor) -> Self {
        Self { name: name.into(), tensor }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

impl Gradients {
    /// The gradient of the parameter called `name`, if it took part.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.parameters.get(name)
    }

    /// Names and gradients in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|(name, gradient)| (&**name, gradient))
    }

    /// Adds to the gradient of a value; nothing is kept for a constant.
    ///
    /// The tensor must not be in use elsewhere: later contributions are added in place.
    pub(crate) fn add(&mut self, value: &Value, gradient: Tensor) -> Result<()> {
        self.update(value, |so_far| match so_far {
            None => Ok(gradient),
            Some(sum) => elementwise::add_assign(sum, &gradient),
        })
    }

    /// Replaces the gradient of a value by what `accumulate` makes of what is there so far.
    pub(crate) fn update(
        &mut self,
        value: &Value,
        accumulate: impl FnOnce(Option<Tensor>) -> Result<Tensor>,
    ) -> Result<()> {
        if let Some(node) = value.node {
            let so_far = self.values[node].take();
            self.values[node] = Some(accumulate(so_far)?);
        }
        Ok(())
    }

    /// As [`add`](Self::add), for a parameter.
    pub(crate) fn add_parameter(&mut self, parameter: &Parameter, gradient: Tensor) -> Result<()> {
        self.update_parameter(parameter, |so_far| match so_far {
            None => Ok(gradient),
            Some(sum) => elementwise::add_assign(sum, &gradient),
        })
    }

    /// As [`update`](Self::update), for a parameter.
    pub(crate) fn update_parameter(
        &mut self,
        parameter: &Parameter,
        accumulate: impl FnOnce(Option<Tensor>) -> Result<Tensor>,
    ) -> Result<()> {
        let so_far = self.parameters.remove(&parameter.name);
        self.parameters.insert(parameter.name.clone(), accumulate(so_far)?);
        Ok(())
    }
}
