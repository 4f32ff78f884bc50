//! The weights of a model in one flat tensor, and beside it their gradients, moments and copies in
//! half precision. One pass over memory updates them all; a named tensor is a view.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use shared::kernels::optimizer::ParamGroup;
use shared::kernels::{elementwise, stack};
use shared::model::STACKED;

use crate::run::tensors::Tensors;

/// The elements of which each tensor begins at a multiple, so that a GPU loads it in whole vectors
/// and cuBLAS takes it as an aligned operand.
const ALIGNMENT: usize = 16;

/// The projections of a layer in a stack.
const PROJECTIONS: [&str; 3] = ["query_proj", "key_proj", "value_proj"];

/// Flat tensors `[n]`, in which weights with weight decay come before those without. Each part is in the order of the
/// names; on a GPU, the projections of attention come last, layer after layer.
pub struct Arena {
    regions: BTreeMap<String, Region>,
    /// Neighbouring tensors under a name of their own, to be multiplied as one.
    stacks: BTreeMap<String, Region>,
    flat: ParamGroup,
    /// The end of the weights with weight decay.
    decayed: usize,
}

/// A tensor's part of the flat tensors.
struct Region {
    start: usize,
    shape: Vec<usize>,
}

impl Arena {
    /// Copies `initial` to the device. `half` is the format of products where that is not f32.
    ///
    /// # Errors
    /// If the device's memory does not suffice.
    pub fn new(initial: &Tensors, half: Option<DType>, device: &Device) -> Result<Self> {
        let stacked = stack::is_faster_on(device);
        let mut order: Vec<_> = initial.iter().collect();
        if stacked {
            // Stable: the other tensors stay in the order of their names.
            order.sort_by_key(|(name, _)| projection(name).map(|(_, layer, place)| (layer, place)));
        }
        let mut end = 0;
        let mut regions = BTreeMap::new();
        let mut decayed = 0;
        for with_decay in [true, false] {
            for (name, tensor) in order.iter().filter(|(name, _)| decays(name) == with_decay) {
                let region = Region { start: end, shape: tensor.dims().to_vec() };
                regions.insert((*name).clone(), region);
                end = (end + tensor.elem_count()).next_multiple_of(ALIGNMENT);
            }
            if with_decay {
                decayed = end;
            }
        }
        let zeros = |format| Tensor::zeros(end, format, device);
        let flat = ParamGroup {
            weights: zeros(DType::F32)?,
            half: half.map(zeros).transpose()?,
            gradients: zeros(DType::F32)?,
            exp_avg: zeros(DType::F32)?,
            exp_avg_sq: zeros(DType::F32)?,
        };
        let stacks = if stacked { stacks(&regions) } else { BTreeMap::new() };
        let arena = Self { regions, stacks, flat, decayed };
        arena.set_weights(initial)?;
        Ok(arena)
    }

    /// The weights by name, stacks among them. They change with every update.
    pub fn weights(&self) -> Result<Tensors> {
        self.views_and_stacks(&self.flat.weights)
    }

    /// The weights in the format of products, by name; none if that is f32.
    pub fn halves(&self) -> Result<Option<Tensors>> {
        self.flat.half.as_ref().map(|half| self.views_and_stacks(half)).transpose()
    }

    /// The tensors that gradients are written to, by name.
    pub fn gradients(&self) -> Result<Tensors> {
        self.views_and_stacks(&self.flat.gradients)
    }

    /// The stack that a tensor is part of.
    pub fn stack_of(&self, name: &str) -> Option<&str> {
        let region = self.regions.get(name)?;
        let within =
            |stack: &Region| (stack.start..stack.start + stack.len()).contains(&region.start);
        self.stacks.iter().find(|(_, stack)| within(stack)).map(|(name, _)| &**name)
    }

    /// All gradients `[len]`.
    pub fn all_gradients(&self) -> &Tensor {
        &self.flat.gradients
    }

    /// The parameter groups of the tensors that `has_gradient` accepts, and whether each has weight
    /// decay.
    pub fn param_groups(
        &self,
        has_gradient: impl Fn(&str) -> bool,
    ) -> Result<Vec<(ParamGroup, bool)>> {
        let mut bounds: Vec<(usize, usize)> = Vec::new();
        let mut by_start: Vec<_> = self.regions.iter().collect();
        by_start.sort_by_key(|(_, region)| region.start);
        for (name, region) in by_start {
            if !has_gradient(name) {
                continue;
            }
            let end = (region.start + region.len()).next_multiple_of(ALIGNMENT);
            match bounds.last_mut() {
                Some((_, last)) if *last == region.start && region.start != self.decayed => {
                    *last = end;
                }
                _ => bounds.push((region.start, end)),
            }
        }
        let cut = |tensor: &Tensor, start, end| tensor.narrow(0, start, end - start);
        bounds
            .into_iter()
            .map(|(start, end)| {
                let ParamGroup { weights, half, gradients, exp_avg, exp_avg_sq } = &self.flat;
                let group = ParamGroup {
                    weights: cut(weights, start, end)?,
                    half: half.as_ref().map(|half| cut(half, start, end)).transpose()?,
                    gradients: cut(gradients, start, end)?,
                    exp_avg: cut(exp_avg, start, end)?,
                    exp_avg_sq: cut(exp_avg_sq, start, end)?,
                };
                Ok((group, start < self.decayed))
            })
            .collect()
    }

    /// All weights `[len]`.
    pub fn all_weights(&self) -> &Tensor {
        &self.flat.weights
    }

    /// Copies of the weights on the CPU.
    pub fn copy_of_weights(&self) -> Result<Tensors> {
        let flat = &self.flat.weights;
        match flat.device() {
            Device::Cpu => self.views(&flat.copy()?),
            _ => self.on_cpu(flat),
        }
    }

    /// The weights on the CPU, to be used before the next update changes them.
    pub fn weights_on_cpu(&self) -> Result<Tensors> {
        self.on_cpu(&self.flat.weights)
    }

    /// AdamW's moments on the CPU, to be used before the next update changes them, as checkpoints name
    /// them: `first.NAME` is `exp_avg` and `second.NAME` is `exp_avg_sq`.
    pub fn moments_on_cpu(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        for (moment, flat) in [("first", &self.flat.exp_avg), ("second", &self.flat.exp_avg_sq)] {
            let named = self.on_cpu(flat)?.into_iter();
            tensors.extend(named.map(|(name, tensor)| (format!("{moment}.{name}"), tensor)));
        }
        Ok(tensors)
    }

    /// Takes over the weights of a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn set_weights(&self, saved: &Tensors) -> Result<()> {
        self.fill(&self.flat.weights, |name| saved.get(name))?;
        match &self.flat.half {
            Some(half) => Ok(elementwise::copy_into(half, &self.flat.weights)?),
            None => Ok(()),
        }
    }

    /// Takes over the moments of a checkpoint, named as by [`moments_on_cpu`](Self::moments_on_cpu).
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn set_moments(&self, saved: &Tensors) -> Result<()> {
        self.fill(&self.flat.exp_avg, |name| saved.get(&format!("first.{name}")))?;
        self.fill(&self.flat.exp_avg_sq, |name| saved.get(&format!("second.{name}")))
    }

    fn fill<'a>(&self, flat: &Tensor, saved: impl Fn(&str) -> Option<&'a Tensor>) -> Result<()> {
        for (name, target) in self.views(flat)? {
            let saved = saved(&name).filter(|saved| saved.elem_count() == target.elem_count());
            let saved = saved
                .with_context(|| format!("tensor `{name}` is missing or has another shape"))?;
            let saved = saved.reshape(target.dims())?.to_device(target.device())?;
            elementwise::copy_into(&target, &saved)?;
        }
        Ok(())
    }

    fn views(&self, flat: &Tensor) -> Result<Tensors> {
        self.regions.iter().map(|region| view(flat, region)).collect()
    }

    fn views_and_stacks(&self, flat: &Tensor) -> Result<Tensors> {
        self.regions.iter().chain(&self.stacks).map(|region| view(flat, region)).collect()
    }

    /// The weights of a flat tensor on the CPU, by name.
    pub fn on_cpu(&self, flat: &Tensor) -> Result<Tensors> {
        self.views(&flat.to_device(&Device::Cpu)?)
    }
}

impl Region {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

fn view(flat: &Tensor, (name, region): (&String, &Region)) -> Result<(String, Tensor)> {
    Ok((name.clone(), flat.narrow(0, region.start, region.len())?.reshape(&*region.shape)?))
}

/// The query, key and value projections of all layers, where they follow each other without a gap.
fn stacks(regions: &BTreeMap<String, Region>) -> BTreeMap<String, Region> {
    let mut members: BTreeMap<String, BTreeMap<(usize, usize), &Region>> = BTreeMap::new();
    for (name, region) in regions {
        if let Some((stack, layer, place)) = projection(name) {
            members.entry(stack).or_default().insert((layer, place), region);
        }
    }
    let stack = |(name, members): (String, BTreeMap<(usize, usize), &Region>)| {
        let first = *members.values().next()?;
        let layers = members.len() / PROJECTIONS.len();
        let expected = (0..layers).flat_map(|layer| [(layer, 0), (layer, 1), (layer, 2)]);
        let adjacent = members.values().enumerate().all(|(before, region)| {
            region.shape == first.shape && region.start == first.start + before * first.len()
        });
        let shape = [&[layers, 3 * first.shape[0]], &first.shape[1..]].concat();
        let complete = members.keys().copied().eq(expected);
        (adjacent && complete).then_some((name, Region { start: first.start, shape }))
    };
    members.into_iter().filter_map(stack).collect()
}

/// The stack that a projection of attention belongs to, its layer, and its place in the layer.
fn projection(name: &str) -> Option<(String, usize, usize)> {
    let (name, parameter) = name.rsplit_once('.')?;
    let (layer, projection) = name.rsplit_once(".attention.self.")?;
    let (encoder, layer) = layer.rsplit_once(".layer.")?;
    let place = PROJECTIONS.iter().position(|known| *known == projection)?;
    Some((format!("{encoder}.{STACKED}.{parameter}"), layer.parse().ok()?, place))
}

/// Whether a tensor has weight decay: biases and layer norms have none.
pub fn decays(name: &str) -> bool {
    !["bias", "LayerNorm.weight"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Tensors {
        let shapes: [(&str, &[usize]); 4] = [
            ("a.bias", &[3]),
            ("b.weight", &[5, 20]),
            ("c.LayerNorm.weight", &[7]),
            ("d.weight", &[2]),
        ];
        shapes
            .iter()
            .zip(1u8..)
            .map(|((name, shape), number)| {
                let tensor = Tensor::full(f32::from(number), *shape, &Device::Cpu).unwrap();
                ((*name).to_owned(), tensor)
            })
            .collect()
    }

    fn arena() -> Arena {
        Arena::new(&tensors(), Some(DType::BF16), &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn only_matrices_and_tables_decay() {
        assert!(decays("deberta.encoder.layer.0.intermediate.dense.weight"));
        assert!(decays("deberta.embeddings.word_embeddings.weight"));
        assert!(!decays("classifier.bias"));
        assert!(!decays("deberta.encoder.LayerNorm.weight"));
        assert!(!decays("deberta.encoder.LayerNorm.bias"));
    }

    #[test]
    fn names_are_views_in_both_formats() {
        let arena = arena();
        let (weights, halves) = (arena.weights().unwrap(), arena.halves().unwrap().unwrap());
        for (name, initial) in tensors() {
            assert_eq!(weights[&name].dims(), initial.dims());
            assert_eq!(values(&weights[&name]), values(&initial), "{name}");
            assert_eq!(values(&halves[&name]), values(&initial), "{name}");
        }
        let changed = Tensor::full(9f32, 3, &Device::Cpu).unwrap();
        elementwise::copy_into(&weights["a.bias"], &changed).unwrap();
        assert_eq!(values(&arena.weights().unwrap()["a.bias"]), [9.0; 3]);
        assert_eq!(values(&arena.weights_on_cpu().unwrap()["d.weight"]), [4.0; 2]);

        let copy = arena.copy_of_weights().unwrap();
        let flat = arena.all_weights().copy().unwrap();
        elementwise::copy_into(&weights["a.bias"], &changed.zeros_like().unwrap()).unwrap();
        assert_eq!(values(&copy["a.bias"]), [9.0; 3]);
        assert_eq!(values(&arena.on_cpu(&flat).unwrap()["a.bias"]), [9.0; 3]);
    }

    #[test]
    fn weights_with_decay_are_one_group_and_those_without_another() {
        let decays: Vec<(usize, bool)> = arena()
            .param_groups(|_| true)
            .unwrap()
            .iter()
            .map(|(group, decays)| (group.weights.elem_count(), *decays))
            .collect();
        assert_eq!(decays, [(8 * ALIGNMENT, true), (2 * ALIGNMENT, false)]);
    }

    #[test]
    fn projections_are_stacked_where_they_follow_each_other() {
        let stacked = |layers: usize, sizes: &[usize]| {
            let mut end = 0;
            let places = (0..layers).flat_map(|layer| PROJECTIONS.map(|name| (layer, name)));
            let region = |((layer, projection), rows): ((usize, &str), &usize)| {
                let region = Region { start: end, shape: vec![*rows, 3] };
                end = (end + region.len()).next_multiple_of(ALIGNMENT);
                (format!("e.layer.{layer}.attention.self.{projection}.weight"), region)
            };
            let regions = places.zip(sizes).map(region).collect();
            let stacks = super::stacks(&regions).into_iter();
            stacks.map(|(name, region)| (name, region.start, region.shape)).collect::<Vec<_>>()
        };
        let name = format!("e.{STACKED}.weight");
        assert_eq!(stacked(1, &[16; 3]), [(name.clone(), 0, vec![1, 48, 3])]);
        assert_eq!(stacked(11, &[16; 33]), [(name, 0, vec![11, 48, 3])], "layer 2 precedes 10");
        assert_eq!(stacked(1, &[5; 3]), [], "there is a gap between them");
        assert_eq!(stacked(1, &[16, 16, 8]), [], "they are not of one shape");
        assert_eq!(stacked(2, &[16; 5]), [], "one is missing");
    }

    #[test]
    fn tensors_without_a_gradient_are_in_no_group() {
        let arena = arena();
        let groups = arena.param_groups(|name| name != "b.weight").unwrap();
        let sizes: Vec<usize> =
            groups.iter().map(|(group, _)| group.half.as_ref().unwrap().elem_count()).collect();
        assert_eq!(sizes, [ALIGNMENT, 2 * ALIGNMENT]);
        assert_eq!(values(&groups[0].0.weights)[..2], [4.0; 2]);
    }

    #[test]
    fn weights_and_moments_come_back_from_their_copies() {
        let arena = arena();
        let saved = arena.copy_of_weights().unwrap();
        let other = Arena::new(&saved, None, &Device::Cpu).unwrap();
        other.set_moments(&arena.moments_on_cpu().unwrap()).unwrap();
        let mut lacking = saved.clone();
        lacking.remove("b.weight");
        let error = other.set_weights(&lacking).unwrap_err().to_string();
        assert!(error.contains("b.weight"), "{error}");
    }
}
