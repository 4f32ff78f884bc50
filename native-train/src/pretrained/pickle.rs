//! The tensors of a `pytorch_model.bin`: a pickled dictionary in either of the two formats that
//! `torch.save` has written. Since 1.6 that is a zip archive, before it was pickles followed by the raw
//! storages.
//!
//! | the file holds | what is done |
//! |---|---|
//! | tensors by their names, pickled by protocol 2 to 5 | they are listed, with views (transposed, strided, of a larger storage) and parameters |
//! | a dictionary with such a one in `state_dict`, `model_state_dict`, `model`, `module` or another entry | the tensors of that entry, which is said |
//! | several such dictionaries under other names | refused, with the names |
//! | a whole module, a TorchScript archive | refused, with how to save its tensors |
//! | another kind of file | refused by its kind: see [`super::foreign`] |
//!
//! Format: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/serialization.py> and `torch/_utils.py`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::foreign;
use super::stored::{Location, NumberFormat, Stored, damaged};
use super::unpickle::{Pickle, Place, Value};
use crate::error::UserError;

const ZIP_START: &[u8] = b"PK\x03\x04";

/// The pickle of 0x1950a86a20f9469cfc6c, with which the older format begins.
const OLD_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";
/// The bytes in which a pickle of another protocol differs there: its number, and a frame before the number.
const OLD_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

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

/// How deep dictionaries of tensors may lie in each other.
const DEEPEST: usize = 4;

/// The most numbers of a tensor.
const MOST_NUMBERS: usize = 1 << 40;

/// The tensors of a file.
pub struct Listed {
    pub tensors: Vec<(String, Stored)>,
    /// The entries that lead to the tensors, outermost first; none if they lie at the top.
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
struct Window {
    storage: Storage,
    offset: u64,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// What a name stands for in a dictionary of tensors.
enum Named {
    Tensor(Window),
    /// A tensor that has no plain storage (sparse, quantised), by the function that makes it.
    Unusable(String),
}

/// The tensors by name.
///
/// # Errors
/// If the file cannot be read, is damaged, or holds something else.
pub fn list(path: &Path) -> Result<Listed> {
    let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut start = Vec::new();
    file.by_ref().take(64).read_to_end(&mut start)?;
    let listed = if start.starts_with(ZIP_START) {
        list_zip(path, file)
    } else if start == OLD_START || is_old(&start) {
        list_old(path, file)
    } else if let Some(foreign) = foreign::by_content(path) {
        return Err(foreign.into());
    } else if start.get(8) == Some(&b'{') {
        let what = "in the format safetensors in spite of its name";
        return Err(foreign::other_format(path, what, "model.safetensors").into());
    } else {
        Err(anyhow!("it does not start as a PyTorch checkpoint does"))
    };
    listed.map_err(|error| match error.downcast::<UserError>() {
        Ok(error) => error.into(),
        Err(error) => damaged(path, &format!("{error:#}")),
    })
}

fn is_old(start: &[u8]) -> bool {
    start.first() == Some(&0x80)
        && start.windows(OLD_MAGIC.len()).take(16).any(|part| part == OLD_MAGIC)
}

fn list_zip(path: &Path, file: File) -> Result<Listed> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file))?;
    let names = archive.file_names().collect::<std::result::Result<Vec<_>, _>>()?;
    let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    let ends_with = |end: &str| {
        names.iter().find(|name| *name == end || name.ends_with(&format!("/{end}"))).cloned()
    };
    if ends_with("constants.pkl").is_some() {
        return Err(foreign::torch_script(path).into());
    }
    if let Some(foreign) = foreign::by_entries(path, &names) {
        return Err(foreign.into());
    }
    let name = ends_with("data.pkl").context("it holds no data.pkl")?;

    // Read to the end first, so that its checksum is compared before a byte of it is believed.
    let mut bytes = Vec::new();
    archive.by_name(&name)?.read_to_end(&mut bytes)?;
    let pickle = Pickle::read(&mut bytes.as_slice())?;
    let (named, entries) = tensors(path, &pickle)?;

    let folder = name.strip_suffix("data.pkl").expect("found by that suffix");
    if let Ok(mut entry) = archive.by_name(&format!("{folder}byteorder")) {
        let mut order = String::new();
        entry.by_ref().take(16).read_to_string(&mut order)?;
        ensure!(
            order.trim() == "little",
            "its numbers are {order}-endian; save it on another machine"
        );
    }
    let mut listed = Vec::new();
    for (name, named) in named {
        let Named::Tensor(window) = named else {
            listed.push((name, named.unusable()));
            continue;
        };
        let entry = format!("{folder}data/{}", window.storage.key);
        let length = archive.by_name(&entry).with_context(|| format!("entry `{entry}`"))?.size();
        let stored = window.stored(|skip| Location::ZipEntry { name: entry, skip });
        ensure!(length >= window.end(), "tensor `{name}` reaches beyond its storage");
        listed.push((name, stored));
    }
    Ok(Listed { tensors: listed, entries })
}

/// Magic, version, system, dictionary, storage keys: five pickles; then each storage's length and bytes.
fn list_old(path: &Path, mut file: File) -> Result<Listed> {
    let file_length = file.metadata()?.len();
    file.rewind()?;
    let mut reader = BufReader::new(file);
    let _magic = Pickle::read(&mut reader)?;
    let _version = Pickle::read(&mut reader)?;
    let _system = Pickle::read(&mut reader)?;
    let pickle = Pickle::read(&mut reader)?;
    let (named, entries) = tensors(path, &pickle)?;
    let keys = Pickle::read(&mut reader)?;

    let storages = pickle.values().iter().filter_map(|value| match value {
        Value::Persistent(id) => storage(&pickle, *id),
        _ => None,
    });
    let widths: BTreeMap<String, u64> =
        storages.map(|storage| (storage.key.clone(), storage.width())).collect();
    let mut starts = BTreeMap::new();
    for key in keys.items(keys.root()).context("it lists no storages")? {
        let key = keys.text(*key).context("a storage without a name")?;
        let width = *widths.get(key).with_context(|| format!("storage {key} is no tensor's"))?;
        let elements = read_u64(&mut reader)?;
        let start = reader.stream_position()?;
        let length = elements.checked_mul(width).and_then(|length| i64::try_from(length).ok());
        let length = length.context("a storage of impossible length")?;
        reader.seek_relative(length)?;
        starts.insert(key.to_owned(), start);
    }
    let end = reader.stream_position()?;
    ensure!(end == file_length, "its storages end at byte {end}, the file at {file_length}");

    let mut listed = Vec::new();
    for (name, named) in named {
        let Named::Tensor(window) = named else {
            listed.push((name, named.unusable()));
            continue;
        };
        let start = starts.get(&window.storage.key).context("a tensor without a storage")?;
        listed.push((name, window.stored(|skip| Location::Offset(start + skip))));
    }
    Ok(Listed { tensors: listed, entries })
}

fn read_u64(reader: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The tensors of the dictionary that holds a model's, without its other entries (`_metadata`), and the entries that lead there.
fn tensors(path: &Path, pickle: &Pickle) -> Result<(Vec<(String, Named)>, Vec<String>)> {
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
    Ok((named, entries))
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
    let counts = named.clone().map(|entry| (entry, most_tensors(pickle, entry.1, depth + 1)));
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

/// The number of tensors of the dictionary that has the most, of a dictionary and those that lie in it.
fn most_tensors(pickle: &Pickle, place: Place, depth: usize) -> usize {
    let here = tensor_count(pickle, place);
    if depth >= DEEPEST {
        return here;
    }
    let entries = pickle.entries(place).unwrap_or_default().iter();
    let inner = entries.filter(|(name, _)| pickle.text(*name).is_some());
    inner.map(|&(_, value)| most_tensors(pickle, value, depth + 1)).max().unwrap_or(0).max(here)
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
    fn unusable(self) -> Stored {
        let Self::Unusable(function) = self else { unreachable!("only called for these") };
        Stored {
            shape: Vec::new(),
            strides: None,
            format: NumberFormat::Unusable(format!("a tensor made by `{function}`")),
            location: Location::Offset(0),
        }
    }
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
    fn end(&self) -> u64 {
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

    fn stored(&self, location: impl FnOnce(u64) -> Location) -> Stored {
        let skip = self.offset * self.storage.width();
        Stored {
            shape: self.shape.clone(),
            strides: (!self.is_row_major()).then(|| self.strides.clone()),
            format: self.storage.format(),
            location: location(skip),
        }
    }
}
