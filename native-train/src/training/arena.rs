//! All weights of a model in one flat tensor, and beside it their gradients, moments and copies in
//! half precision: one pass over memory updates them, and their names are views.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use shared::kernels::attention::Stacked;
use shared::kernels::elementwise;
use shared::kernels::optimizer::Range;
use shared::model::STACKED;

use crate::run::tensors::Tensors;

/// Each tensor begins at a multiple of this, so that a GPU loads it in whole vectors and cuBLAS
/// takes it as an aligned operand.
const ALIGNMENT: usize = 16;

/// Flat tensors [len], in which the weights that decay lie before those that do not.
pub struct Arena {
    places: BTreeMap<String, Place>,
    /// Neighbours under a name of their own: what a GPU multiplies at once.
    stacks: BTreeMap<String, Place>,
    flat: Range,
    decayed: usize,
}

struct Place {
    start: usize,
    shape: Vec<usize>,
}

impl Arena {
    /// Copies `initial` to the device. `half` is the format of products, if it is not f32.
    pub fn new(initial: &Tensors, half: Option<DType>, device: &Device) -> Result<Self> {
        let mut end = 0;
        let mut places = BTreeMap::new();
        let mut decayed = 0;
        for group in [true, false] {
            for (name, tensor) in initial.iter().filter(|(name, _)| decays(name) == group) {
                places.insert(name.clone(), Place { start: end, shape: tensor.dims().to_vec() });
                end = (end + tensor.elem_count()).next_multiple_of(ALIGNMENT);
            }
            if group {
                decayed = end;
            }
        }
        let zeros = |format| Tensor::zeros(end, format, device);
        let flat = Range {
            weights: zeros(DType::F32)?,
            half: half.map(zeros).transpose()?,
            gradients: zeros(DType::F32)?,
            first: zeros(DType::F32)?,
            second: zeros(DType::F32)?,
        };
        let stacks = match Stacked::is_faster_on(device) {
            true => stacks(&places),
            false => BTreeMap::new(),
        };
        let arena = Self { places, stacks, flat, decayed };
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

    /// Where the gradients go, by name.
    pub fn gradients(&self) -> Result<Tensors> {
        self.views_and_stacks(&self.flat.gradients)
    }

    /// The stack that a tensor is part of.
    pub fn stack_of(&self, name: &str) -> Option<&str> {
        let place = self.places.get(name)?;
        let within =
            |stack: &Place| (stack.start..stack.start + stack.len()).contains(&place.start);
        self.stacks.iter().find(|(_, stack)| within(stack)).map(|(name, _)| &**name)
    }

    /// All gradients [len].
    pub fn all_gradients(&self) -> &Tensor {
        &self.flat.gradients
    }

    /// What an update goes over, and whether it decays: all tensors for which `took_part` holds.
    pub fn ranges(&self, took_part: impl Fn(&str) -> bool) -> Result<Vec<(Range, bool)>> {
        let mut bounds: Vec<(usize, usize)> = Vec::new();
        let mut by_place: Vec<_> = self.places.iter().collect();
        by_place.sort_by_key(|(_, place)| place.start);
        for (name, place) in by_place {
            if !took_part(name) {
                continue;
            }
            let end = (place.start + place.len()).next_multiple_of(ALIGNMENT);
            match bounds.last_mut() {
                Some((_, last)) if *last == place.start && place.start != self.decayed => {
                    *last = end;
                }
                _ => bounds.push((place.start, end)),
            }
        }
        let cut = |tensor: &Tensor, start, end| tensor.narrow(0, start, end - start);
        bounds
            .into_iter()
            .map(|(start, end)| {
                let Range { weights, half, gradients, first, second } = &self.flat;
                let range = Range {
                    weights: cut(weights, start, end)?,
                    half: half.as_ref().map(|half| cut(half, start, end)).transpose()?,
                    gradients: cut(gradients, start, end)?,
                    first: cut(first, start, end)?,
                    second: cut(second, start, end)?,
                };
                Ok((range, start < self.decayed))
            })
            .collect()
    }

    /// Copies of the weights on the CPU.
    pub fn copy_of_weights(&self) -> Result<Tensors> {
        let flat = &self.flat.weights;
        match flat.device() {
            Device::Cpu => self.views(&flat.copy()?),
            _ => self.on_cpu(flat),
        }
    }

    /// The weights on the CPU as they are now: to be used before the next update.
    pub fn weights_on_cpu(&self) -> Result<Tensors> {
        self.on_cpu(&self.flat.weights)
    }

    /// The moments on the CPU as they are now, called `first.NAME` and `second.NAME`.
    pub fn moments_on_cpu(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        for (kind, flat) in [("first", &self.flat.first), ("second", &self.flat.second)] {
            let named = self.on_cpu(flat)?.into_iter();
            tensors.extend(named.map(|(name, tensor)| (format!("{kind}.{name}"), tensor)));
        }
        Ok(tensors)
    }

    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn set_weights(&self, saved: &Tensors) -> Result<()> {
        self.fill(&self.flat.weights, |name| saved.get(name))?;
        match &self.flat.half {
            Some(half) => Ok(elementwise::copy_into(half, &self.flat.weights)?),
            None => Ok(()),
        }
    }

    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn set_moments(&self, saved: &Tensors) -> Result<()> {
        self.fill(&self.flat.first, |name| saved.get(&format!("first.{name}")))?;
        self.fill(&self.flat.second, |name| saved.get(&format!("second.{name}")))
    }

    fn fill<'a>(&self, flat: &Tensor, saved: impl Fn(&str) -> Option<&'a Tensor>) -> Result<()> {
        for (name, target) in self.views(flat)? {
            let saved = saved(&name).filter(|saved| saved.elem_count() == target.elem_count());
            let saved = saved.with_context(|| format!("it has no `{name}` of this shape"))?;
            let saved = saved.reshape(target.dims())?.to_device(target.device())?;
            elementwise::copy_into(&target, &saved)?;
        }
        Ok(())
    }

    fn views(&self, flat: &Tensor) -> Result<Tensors> {
        self.places.iter().map(|place| view(flat, place)).collect()
    }

    fn views_and_stacks(&self, flat: &Tensor) -> Result<Tensors> {
        self.places.iter().chain(&self.stacks).map(|place| view(flat, place)).collect()
    }

    fn on_cpu(&self, flat: &Tensor) -> Result<Tensors> {
        self.views(&flat.to_device(&Device::Cpu)?)
    }
}

impl Place {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

fn view(flat: &Tensor, (name, place): (&String, &Place)) -> Result<(String, Tensor)> {
    Ok((name.clone(), flat.narrow(0, place.start, place.len())?.reshape(&*place.shape)?))
}

/// The projections of each layer that follow each other without a gap.
fn stacks(places: &BTreeMap<String, Place>) -> BTreeMap<String, Place> {
    let stack = |(name, key): (&String, &Place)| {
        let (layer, kind) = name.rsplit_once("key_proj.")?;
        let part = |part: &str| places.get(&format!("{layer}{part}.{kind}"));
        let adjacent = |place: &&Place, before| {
            place.shape == key.shape && place.start == key.start + before * key.len()
        };
        part("query_proj").filter(|query| adjacent(query, 1))?;
        part("value_proj").filter(|value| adjacent(value, 2))?;
        let mut shape = key.shape.clone();
        shape[0] *= 3;
        Some((format!("{layer}{STACKED}.{kind}"), Place { start: key.start, shape }))
    };
    places.iter().filter_map(stack).collect()
}

/// Biases and layer norms are not decayed.
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
        elementwise::copy_into(&weights["a.bias"], &changed.zeros_like().unwrap()).unwrap();
        assert_eq!(values(&copy["a.bias"]), [9.0; 3]);
    }

    #[test]
    fn what_decays_is_one_range_and_what_does_not_another() {
        let decays: Vec<(usize, bool)> = arena()
            .ranges(|_| true)
            .unwrap()
            .iter()
            .map(|(range, decays)| (range.weights.elem_count(), *decays))
            .collect();
        assert_eq!(decays, [(8 * ALIGNMENT, true), (2 * ALIGNMENT, false)]);
    }

    #[test]
    fn projections_are_stacked_where_they_follow_each_other() {
        let stacked = |sizes: [usize; 3]| {
            let mut end = 0;
            let place = |(part, rows): (&str, usize)| {
                let place = Place { start: end, shape: vec![rows, 3] };
                end = (end + place.len()).next_multiple_of(ALIGNMENT);
                (format!("0.self.{part}_proj.weight"), place)
            };
            let names = ["key", "query", "value"];
            let places = names.into_iter().zip(sizes).map(place).collect();
            let stacks: Vec<_> = super::stacks(&places).into_iter().collect();
            stacks
                .into_iter()
                .map(|(name, place)| (name, place.start, place.shape))
                .collect::<Vec<_>>()
        };
        let name = format!("0.self.{STACKED}.weight");
        assert_eq!(stacked([16, 16, 16]), [(name, 0, vec![48, 3])]);
        assert_eq!(stacked([5, 5, 5]), [], "there is a gap between them");
        assert_eq!(stacked([16, 16, 8]), [], "they are not of one shape");
    }

    #[test]
    fn what_took_no_part_is_left_out() {
        let arena = arena();
        let ranges = arena.ranges(|name| name != "b.weight").unwrap();
        let sizes: Vec<usize> =
            ranges.iter().map(|(range, _)| range.half.as_ref().unwrap().elem_count()).collect();
        assert_eq!(sizes, [ALIGNMENT, 2 * ALIGNMENT]);
        assert_eq!(values(&ranges[0].0.weights)[..2], [4.0; 2]);
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
