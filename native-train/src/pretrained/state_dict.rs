//! The tensors of a model in a pickle that PyTorch wrote: the dictionary that holds them, and each as a window onto a run of
//! numbers.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::foreign;
use super::stored::{Location, NumberFormat, Stored};
use super::unpickle::{Pickle, Place, Value};
use crate::error::UserError;

/// The entries under which training programs keep a model's tensors, best first.
const STATE_ENTRIES: [&str; 8] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "weights",
    "params",
];

/// The levels to which dictionaries of tensors may lie in each other.
const DEEPEST: usize = 4;

/// The most numbers of a tensor.
const MOST_NUMBERS: usize = 1 << 40;

/// The dictionary that holds a model's tensors.
pub struct StateDict {
    pub tensors: Vec<(String, Named)>,
    /// The entries that lead to it, outermost first.
    pub entries: Vec<String>,
}

/// A run of numbers, which several tensors may share.
struct Storage {
    key: String,
    /// `FloatStorage` and the like.
    class: String,
    elements: u64,
}

/// A tensor as the pickle describes it: a window onto a storage.
pub struct Window {
    storage: Storage,
    offset: u64,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// The value of a name in a dictionary of tensors.
pub enum Named {
    Tensor(Window),
    /// A tensor that has no plain storage (sparse, quantised), by the function that makes it.
    Unusable(String),
}

/// The tensors of the dictionary that holds a model's, without its other entries (`_metadata`), and the entries that lead there.
pub fn tensors(path: &Path, pickle: &Pickle) -> Result<StateDict> {
    let (mut place, mut entries) = (pickle.root(), Vec::new());
    loop {
        if let Some((module, name, _)) = pickle.call(place)
            && !is_tensor(module, name)
        {
            return Err(foreign::whole_module(path, &format!("{module}.{name}")).into());
        }
        ensure!(pickle.entries(place).is_some(), "it holds no dictionary of tensors");
        match inner(pickle, place, entries.len()) {
            Ok(Some((name, next))) => {
                // A dictionary may lie in itself.
                ensure!(entries.len() < DEEPEST, "its dictionaries lie too deep in each other");
                entries.push(name.to_owned());
                place = next;
            }
            Ok(None) => break,
            Err(names) => {
                let (path, names) = (path.display(), names.join("`, `"));
                return Err(UserError::new(format!("`{path}` holds several models: `{names}`"))
                    .hint("load it in PyTorch and save the one to use: `torch.save(checkpoint[NAME], FILE)`")
                    .into());
            }
        }
    }
    let mut named = Vec::new();
    for &(name, value) in pickle.entries(place).expect("checked above") {
        let Some((module, function, _)) = pickle.call(value) else { continue };
        let Some(name) = pickle.text(name).filter(|_| is_tensor(module, function)) else {
            continue;
        };
        let tensor = match window(pickle, value) {
            Ok(window) => {
                ensure!(window.fits(), "tensor `{name}` reaches beyond its storage");
                Named::Tensor(window)
            }
            Err(Some(function)) => Named::Unusable(function),
            Err(None) => bail!("tensor `{name}` is not understood"),
        };
        named.push((name.to_owned(), tensor));
    }
    Ok(StateDict { tensors: named, entries })
}

/// The entry of a dictionary that holds the model's tensors; `None` if they lie in the dictionary itself, and the names of
/// the entries if several hold tensors and none has a usual name.
fn inner(
    pickle: &Pickle,
    place: Place,
    depth: usize,
) -> Result<Option<(&str, Place)>, Vec<String>> {
    let entries = pickle.entries(place).unwrap_or_default();
    let named = entries.iter().filter_map(|&(name, value)| Some((pickle.text(name)?, value)));
    let counts = named
        .clone()
        .map(|entry| (entry, most_tensors(pickle, entry.1, DEEPEST.saturating_sub(depth).max(1))));
    let candidates: Vec<((&str, Place), usize)> = counts.filter(|(_, count)| *count > 0).collect();
    let usual = STATE_ENTRIES
        .iter()
        .find_map(|usual| candidates.iter().find(|((name, _), _)| name == usual));
    if let Some((entry, _)) = usual {
        return Ok(Some(*entry));
    }
    // A loss beside the model is a tensor, too.
    let most = candidates.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let here = tensor_count(pickle, place);
    if here > 0 && here >= most {
        return Ok(None);
    }
    let is_whole = |(name, value): &(&str, Place)| {
        STATE_ENTRIES.contains(name)
            && pickle.call(*value).is_some_and(|(module, function, _)| !is_tensor(module, function))
    };
    match &candidates[..] {
        // A model that was pickled whole is refused by its name.
        [] => Ok(named.clone().find(is_whole)),
        [(only, _)] => Ok(Some(*only)),
        several => Err(several.iter().map(|((name, _), _)| (*name).to_owned()).collect()),
    }
}

/// The number of tensors of the dictionary that has the most, of a dictionary and those that lie in it, `levels` deep in all.
/// Each is looked at once, however many hold it.
fn most_tensors(pickle: &Pickle, place: Place, levels: usize) -> usize {
    let (mut seen, mut level, mut most) = (HashSet::from([place]), vec![place], 0);
    for _ in 0..levels {
        let mut next = Vec::new();
        for place in level {
            most = most.max(tensor_count(pickle, place));
            let entries = pickle.entries(place).unwrap_or_default().iter();
            let named = entries.filter(|(name, _)| pickle.text(*name).is_some());
            next.extend(named.map(|&(_, value)| value).filter(|&value| seen.insert(value)));
        }
        level = next;
    }
    most
}

/// The number of tensors with names that are values of a dictionary.
fn tensor_count(pickle: &Pickle, place: Place) -> usize {
    let entries = pickle.entries(place).unwrap_or_default().iter();
    let is_named_tensor = |&&(name, value): &&(Place, Place)| {
        pickle.text(name).is_some()
            && pickle.call(value).is_some_and(|(module, name, _)| is_tensor(module, name))
    };
    entries.filter(is_named_tensor).count()
}

/// Whether a function makes a tensor.
fn is_tensor(module: &str, function: &str) -> bool {
    matches!(module, "torch._utils" | "torch._tensor") && function.starts_with("_rebuild_")
}

/// `_rebuild_tensor_v2(storage, offset, size, stride, ...)`, which a parameter or a class of tensors wraps once more. The error
/// is the name of a function that makes another kind of tensor, or `None` for arguments that are not understood.
fn window(pickle: &Pickle, mut place: Place) -> Result<Window, Option<String>> {
    for _ in 0..DEEPEST {
        let (_, function, args) = pickle.call(place).ok_or(None)?;
        match function {
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => {
                place = *args.first().ok_or(None)?;
            }
            "_rebuild_tensor" | "_rebuild_tensor_v2" => return of_args(pickle, args).ok_or(None),
            "_rebuild_from_type_v2" => {
                let (Some(&made_by), Some(&args)) = (args.first(), args.get(2)) else {
                    return Err(None);
                };
                return match pickle.get(made_by) {
                    Value::Class(_, function) if function == "_rebuild_tensor_v2" => {
                        pickle.items(args).and_then(|args| of_args(pickle, args)).ok_or(None)
                    }
                    Value::Class(_, function) => Err(Some(function.clone())),
                    _ => Err(None),
                };
            }
            other => return Err(Some(other.to_owned())),
        }
    }
    Err(None)
}

fn of_args(pickle: &Pickle, args: &[Place]) -> Option<Window> {
    let &[storage_place, offset, shape, strides, ..] = args else { return None };
    let Value::Persistent(id) = pickle.get(storage_place) else { return None };
    Some(Window {
        storage: storage(pickle, *id)?,
        offset: pickle.count(offset)?,
        shape: sizes(pickle, shape)?,
        strides: sizes(pickle, strides)?,
    })
}

/// The persistent id `("storage", class, key, device, elements)`.
fn storage(pickle: &Pickle, id: Place) -> Option<Storage> {
    let &[_, class, key, _, elements, ..] = pickle.items(id)? else { return None };
    let Value::Class(_, class) = pickle.get(class) else { return None };
    Some(Storage {
        key: pickle.text(key)?.to_owned(),
        class: class.clone(),
        elements: pickle.count(elements)?,
    })
}

fn sizes(pickle: &Pickle, place: Place) -> Option<Vec<usize>> {
    pickle.items(place)?.iter().map(|&size| pickle.count(size)?.try_into().ok()).collect()
}

impl Named {
    /// A tensor that is listed and cannot be read.
    pub fn unusable(self) -> Stored {
        let Self::Unusable(function) = self else { unreachable!("only called for these") };
        Stored {
            shape: Vec::new(),
            strides: None,
            format: NumberFormat::Unusable(format!("a tensor made by `{function}`")),
            location: Location::Offset(0),
        }
    }
}

/// The storages of all tensors, whether or not they are the model's: their keys and the bytes of an element.
pub fn storages(pickle: &Pickle) -> impl Iterator<Item = (String, u64)> {
    pickle.values().iter().filter_map(|value| match value {
        Value::Persistent(id) => {
            let storage = storage(pickle, *id)?;
            let width = storage.width();
            Some((storage.key, width))
        }
        _ => None,
    })
}

impl Storage {
    /// Bytes of one element.
    fn width(&self) -> u64 {
        match self.class.as_str() {
            "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
            "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
            "FloatStorage" | "IntStorage" => 4,
            "ComplexDoubleStorage" => 16,
            // DoubleStorage, LongStorage, ComplexFloatStorage
            _ => 8,
        }
    }

    fn format(&self) -> NumberFormat {
        match self.class.as_str() {
            "FloatStorage" => NumberFormat::F32,
            "DoubleStorage" => NumberFormat::F64,
            "HalfStorage" => NumberFormat::F16,
            "BFloat16Storage" => NumberFormat::Bf16,
            other => NumberFormat::Unusable(other.to_owned()),
        }
    }
}

impl Window {
    /// The name of its storage.
    pub fn key(&self) -> &str {
        &self.storage.key
    }

    /// Whether all of it lies within its storage.
    fn fits(&self) -> bool {
        // One number may stand for many, but not for more than any model has.
        let count = self.shape.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        count.is_some_and(|count| count <= MOST_NUMBERS)
            && self.extent().and_then(|extent| extent.checked_add(self.offset)).is_some_and(|end| {
                end <= self.storage.elements
                    && self.storage.elements.checked_mul(self.storage.width()).is_some()
            })
    }

    /// The elements from its first to its last, with those between that are not its own.
    fn extent(&self) -> Option<u64> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().zip(&self.strides).try_fold(1_u64, |extent, (&size, &stride)| {
            extent.checked_add((size as u64 - 1).checked_mul(stride as u64)?)
        })
    }

    /// The byte of the storage at which the tensor ends.
    pub fn end(&self) -> u64 {
        (self.offset + self.extent().expect("it fits")) * self.storage.width()
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
    }

    pub fn stored(&self, location: impl FnOnce(u64) -> Location) -> Stored {
        let skip = self.offset * self.storage.width();
        Stored {
            shape: self.shape.clone(),
            strides: (!self.is_row_major()).then(|| self.strides.clone()),
            format: self.storage.format(),
            location: location(skip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pickle: &[u8]) -> Result<StateDict> {
        tensors(Path::new("x.bin"), &Pickle::read(&mut &pickle[..])?)
    }

    fn refusal(pickle: &[u8]) -> String {
        read(pickle).err().expect("refused").to_string()
    }

    #[test]
    fn a_dictionary_that_lies_in_itself_is_refused() {
        let pickle = b"\x80\x02}q\0(X\x0a\0\0\0state_dicth\0X\x01\0\0\0a\
                       ctorch._utils\n_rebuild_tensor_v2\n)Ru.";
        assert_eq!(refusal(pickle), "its dictionaries lie too deep in each other");
    }

    /// Dictionaries that each hold the one before many times are looked at once each.
    #[test]
    fn dictionaries_in_dictionaries_take_no_more_time_than_bytes() {
        let mut pickle = b"\x80\x02}q\0".to_vec();
        for level in 0..6_u8 {
            pickle.extend([b'}', b'(']);
            for name in 0..2000_u32 {
                pickle.extend(
                    [b"X\x04\0\0\0".as_slice(), &(0x30303030 + name % 10).to_le_bytes()].concat(),
                );
                pickle.extend([b'h', level]);
            }
            pickle.extend([b'u', b'q', level + 1]);
        }
        pickle.push(b'.');
        let found = read(&pickle).expect("a dictionary without tensors");
        assert!(found.tensors.is_empty());
    }

    #[test]
    fn dictionaries_that_are_copied_over_and_over_are_refused() {
        let mut pickle = b"\x80\x02ccollections\nOrderedDict\nq\0}(".to_vec();
        (0..100).for_each(|_| pickle.extend(b"X\x01\0\0\0aK\x01"));
        pickle.extend(b"uq\x01");
        let once = [&pickle, b"h\0h\x01\x85R.".as_slice()].concat();
        assert!(read(&once).is_ok(), "a copy is no fault");
        (0..200).for_each(|_| pickle.extend(b"h\0h\x01\x85Rq\x01"));
        pickle.push(b'.');
        assert_eq!(refusal(&pickle), "its dictionaries are copied over and over");
    }
}
