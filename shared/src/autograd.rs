//! Reverse-mode differentiation: a tape of closures.
//!
//! candle's own backward pass allocates a zero tensor and adds to it at every edge of the graph, and
//! limits a custom operation to three inputs. Here an operation hands the tape one closure that
//! turns the gradient of its output into those of its inputs. Gradients are moved, and where several
//! meet they are summed in place. Gradients of parameters are kept by [`ParameterGradients`].
//!
//! A tape means training: with one, operations are recorded and dropout is applied; without one
//! (`None`), they compute only their result.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::Result;
use crate::kernels::{Target, WriteMode, elementwise, random::RandomKey};

type Backward = Box<dyn FnOnce(Tensor, &mut Gradients<'_>) -> Result<()>>;

/// A record of one forward pass.
pub struct Tape {
    backward: RefCell<Vec<Backward>>,
    seed: u64,
    dropouts: Cell<u32>,
}

/// A tensor on its way through the model. One that a tape has recorded has a gradient, in the tensor's format.
#[derive(Clone)]
pub struct Value {
    tensor: Tensor,
    /// The values in half precision, if the operation has written both.
    half: Option<Tensor>,
    node: Option<usize>,
}

/// A named f32 tensor that training changes, or a part of one.
#[derive(Clone)]
pub struct Parameter {
    name: Arc<str>,
    tensor: Tensor,
    /// The values in half precision, for products. Whoever changes the tensor changes them as well.
    half: Option<Tensor>,
    /// The whole tensor, and which part of it this is.
    part: Option<(Tensor, Part)>,
}

/// A part of a stack, a tensor [layers, rows, ..].
#[derive(Clone)]
pub(crate) struct Part {
    /// The layer, or `None` for every layer.
    pub layer: Option<usize>,
    /// The rows of that layer, or of each.
    pub rows: Range<usize>,
}

/// The gradients of parameters, f32 tensors by name, to which backward passes add.
#[derive(Default)]
pub struct ParameterGradients {
    slots: BTreeMap<Arc<str>, Slot>,
}

struct Slot {
    tensor: Tensor,
    /// The elements that backward passes have written since the last `clear`.
    filled: Vec<Range<usize>>,
}

/// The gradients that [`Tape::backward`] hands from operation to operation.
pub struct Gradients<'a> {
    parameters: &'a mut ParameterGradients,
    values: Vec<Option<Tensor>>,
}

impl Tape {
    /// Begins a forward pass. `seed` decides all of its dropout masks.
    pub fn new(seed: u64) -> Self {
        Self { backward: RefCell::default(), seed, dropouts: Cell::new(0) }
    }

    /// Returns the key of the next dropout mask. A place in the model and a seed give one mask.
    pub(crate) fn next_random_key(&self) -> RandomKey {
        let site = self.dropouts.get();
        self.dropouts.set(site + 1);
        RandomKey::new(self.seed, site)
    }

    /// Propagates `gradient`, that of `output` and of its shape, back to all parameters, and adds to
    /// what `parameters` hold since their last [`clear`](ParameterGradients::clear).
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if a tensor operation fails, for example for lack of memory.
    pub fn backward(
        self,
        output: &Value,
        gradient: Tensor,
        parameters: &mut ParameterGradients,
    ) -> Result<()> {
        self.backward_all([(output, gradient)], parameters)
    }

    /// Propagates the gradients of several outputs at once, as [`backward`](Self::backward) does with one.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor), if a tensor operation fails, for example for lack of memory.
    pub fn backward_all<'a>(
        self,
        outputs: impl IntoIterator<Item = (&'a Value, Tensor)>,
        parameters: &mut ParameterGradients,
    ) -> Result<()> {
        let backward = self.backward.into_inner();
        let mut gradients = Gradients { parameters, values: vec![None; backward.len()] };
        for (output, gradient) in outputs {
            gradients.add(output, gradient)?;
        }
        for (node, propagate) in backward.into_iter().enumerate().rev() {
            if let Some(gradient) = gradients.values[node].take() {
                propagate(gradient, &mut gradients)?;
            }
        }
        Ok(())
    }
}

impl Value {
    /// Wraps a tensor that has no gradient.
    pub fn constant(tensor: Tensor) -> Self {
        Self { tensor, half: None, node: None }
    }

    /// Wraps the output of an operation and records its backward pass, if there is a tape.
    pub(crate) fn output(
        tape: Option<&Tape>,
        tensor: Tensor,
        backward: impl FnOnce(Tensor, &mut Gradients<'_>) -> Result<()> + 'static,
    ) -> Self {
        let node = tape.map(|tape| {
            let mut recorded = tape.backward.borrow_mut();
            recorded.push(Box::new(backward));
            recorded.len() - 1
        });
        Self { tensor, half: None, node }
    }

    /// Adds the values in half precision.
    #[must_use]
    pub(crate) fn with_half(self, half: Option<Tensor>) -> Self {
        Self { half, ..self }
    }

    /// Returns the tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Returns the format of the copy in half precision, if there is one.
    pub(crate) fn half_format(&self) -> Option<DType> {
        self.half.as_ref().map(Tensor::dtype)
    }

    /// Returns the tensor in the format that a product takes.
    pub(crate) fn operand(&self, format: DType) -> Result<Tensor> {
        [Some(&self.tensor), self.half.as_ref()]
            .into_iter()
            .flatten()
            .find(|tensor| tensor.dtype() == format)
            .map_or_else(|| elementwise::cast(&self.tensor, format), |tensor| Ok(tensor.clone()))
    }
}

impl Parameter {
    /// Names a tensor, f32, that has a copy `half` in f16 or bf16 if products are in half precision.
    pub fn new(name: impl Into<Arc<str>>, tensor: Tensor, half: Option<Tensor>) -> Self {
        Self { name: name.into(), tensor, half, part: None }
    }

    /// Returns the parameter's name, as Hugging Face has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the f32 tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Returns a part of this parameter, a stack, under the same name.
    pub(crate) fn part(&self, part: Part) -> Result<Self> {
        let half = self.half.as_ref().map(|half| part.of(half)).transpose()?;
        let tensor = part.of(&self.tensor)?;
        Ok(Self { name: self.name.clone(), tensor, half, part: Some((self.tensor.clone(), part)) })
    }

    /// Returns the copy in half precision, if there is one.
    pub(crate) fn half(&self) -> Option<&Tensor> {
        self.half.as_ref()
    }

    /// Returns the operand of products: the copy in half precision, if there is one, or else the tensor.
    pub(crate) fn operand(&self) -> &Tensor {
        self.half.as_ref().unwrap_or(&self.tensor)
    }

    /// Returns the ranges of its elements in the whole tensor, which is contiguous.
    fn elements(&self) -> Vec<Range<usize>> {
        let Some((whole, part)) = &self.part else {
            return std::iter::once(0..self.tensor.elem_count()).collect();
        };
        let [layers, rows, ..] = *whole.dims() else { unreachable!("a stack has layers and rows") };
        let row = whole.elem_count() / (layers * rows);
        let layers = part.layer.map_or(0..layers, |layer| layer..layer + 1);
        let of_layer = |layer| {
            let first = layer * rows;
            (first + part.rows.start) * row..(first + part.rows.end) * row
        };
        layers.map(of_layer).collect()
    }
}

impl Part {
    fn of(&self, stack: &Tensor) -> candle_core::Result<Tensor> {
        let Range { start, end } = self.rows;
        match self.layer {
            Some(layer) => stack.get(layer)?.narrow(0, start, end - start),
            None => stack.narrow(1, start, end - start),
        }
    }
}

impl ParameterGradients {
    /// Puts gradients into these f32 tensors, by name. Those of other parameters get tensors of their own.
    pub fn over(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        let slot = |tensor| Slot { tensor, filled: Vec::new() };
        let slots = tensors.into_iter().map(|(name, tensor)| (name.into(), slot(tensor)));
        Self { slots: slots.collect() }
    }

    /// Begins a new sum: the next backward pass replaces the gradients.
    pub fn clear(&mut self) {
        self.slots.values_mut().for_each(|slot| slot.filled.clear());
    }

    /// Returns the gradient of the parameter `name`, if it took part since the last `clear`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.slots.get(name).filter(|slot| !slot.filled.is_empty()).map(|slot| &slot.tensor)
    }

    /// Returns the names and gradients of the parameters that took part, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let filled = self.slots.iter().filter(|(_, slot)| !slot.filled.is_empty());
        filled.map(|(name, slot)| (&**name, &slot.tensor))
    }

    /// Returns the target of the next contribution to the gradient of `parameter`.
    ///
    /// The contribution to a part of a parameter goes to that part of its gradient.
    fn target(&mut self, parameter: &Parameter) -> Result<Target> {
        let part = parameter.part.as_ref();
        if !self.slots.contains_key(&parameter.name) {
            let tensor = part.map_or(&parameter.tensor, |(whole, _)| whole).zeros_like()?;
            self.slots.insert(parameter.name.clone(), Slot { tensor, filled: Vec::new() });
        }
        let slot = self.slots.get_mut(&parameter.name).expect("just made");
        let tensor =
            part.map_or_else(|| Ok(slot.tensor.clone()), |(_, part)| part.of(&slot.tensor))?;
        Ok(Target { tensor, write: slot.fill(parameter.elements()) })
    }
}

impl Slot {
    /// Notes that elements are written, and returns whether what they hold is to be added to.
    fn fill(&mut self, elements: Vec<Range<usize>>) -> WriteMode {
        let common = |a: &Range<usize>, b: &Range<usize>| {
            a.end.min(b.end).saturating_sub(a.start.max(b.start))
        };
        let written: usize = elements
            .iter()
            .flat_map(|range| self.filled.iter().map(move |filled| common(range, filled)))
            .sum();
        if written == 0 {
            self.filled.extend(elements);
            return WriteMode::Replace;
        }
        let all: usize = elements.iter().map(Range::len).sum();
        assert_eq!(
            written, all,
            "parts of a gradient come all before what is added to them, or none"
        );
        WriteMode::Add
    }
}

impl Gradients<'_> {
    /// Adds to the gradient of a value; a constant has none.
    ///
    /// `gradient` must not be in use elsewhere, as later contributions are added in place.
    pub(crate) fn add(&mut self, value: &Value, gradient: Tensor) -> Result<()> {
        self.update(value, |so_far| match so_far {
            None if gradient.dtype() == value.tensor.dtype() => Ok(gradient),
            None => elementwise::cast(&gradient, value.tensor.dtype()),
            Some(sum) => elementwise::add_assign(sum, &gradient),
        })
    }

    /// Replaces the gradient of a value by what `accumulate` makes of the gradient so far.
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

    /// Returns the target of a contribution to the gradient of a parameter, to be written at once.
    pub(crate) fn target(&mut self, parameter: &Parameter) -> Result<Target> {
        self.parameters.target(parameter)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// A stack of two layers of three rows.
    fn stack() -> Parameter {
        let tensor = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu).unwrap();
        Parameter::new("stack", tensor, None)
    }

    fn part(layer: Option<usize>, rows: Range<usize>) -> Parameter {
        stack().part(Part { layer, rows }).unwrap()
    }

    #[test]
    fn parts_are_replaced_once_and_then_added_to() {
        let mut gradients = ParameterGradients::default();
        for parameter in [part(Some(0), 0..3), part(Some(1), 0..1), part(Some(1), 1..3)] {
            let target = gradients.target(&parameter).unwrap();
            assert_eq!(target.write, WriteMode::Replace);
            assert_eq!(target.tensor.dims(), parameter.tensor().dims());
            let ones = target.tensor.ones_like().unwrap();
            elementwise::copy_into(&target.tensor, &ones).unwrap();
        }
        let of_both = gradients.target(&part(None, 0..2)).unwrap();
        assert_eq!((of_both.tensor.dims(), of_both.write), (&[2, 2, 4][..], WriteMode::Add));
        assert_eq!(of_both.tensor.sum_all().unwrap().to_scalar::<f32>().unwrap(), 16.0);

        gradients.clear();
        assert!(gradients.get("stack").is_none());
        let again = gradients.target(&part(None, 0..2)).unwrap();
        assert_eq!(again.write, WriteMode::Replace);
    }

    #[test]
    #[should_panic(expected = "parts of a gradient")]
    fn what_is_partly_written_is_not_added_to() {
        let mut gradients = ParameterGradients::default();
        gradients.target(&part(Some(0), 0..3)).unwrap();
        let _ = gradients.target(&part(None, 0..2));
    }
}
