//! The tensors of a `pytorch_model.bin`: a pickled dictionary in either of the two formats that
//! `torch.save` has written. Since 1.6 that is a zip archive, before it was pickles followed by the raw
//! storages.
//!
//! candle parses the pickles. Their objects are interpreted here, as candle's own code trusts a damaged
//! file and reads zip archives only.
//! Format: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/serialization.py> and `torch/_utils.py`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::pickle::{Object, Stack};

use super::stored::{Location, NumberFormat, Stored, damaged};

const ZIP_START: &[u8] = b"PK\x03\x04";

/// The pickle of 0x1950a86a20f9469cfc6c, with which the older format begins.
const OLD_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";

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

/// The tensors by name.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn list(path: &Path) -> Result<Vec<(String, Stored)>> {
    let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut start = Vec::new();
    file.by_ref().take(OLD_START.len() as u64).read_to_end(&mut start)?;
    let listed = if start.starts_with(ZIP_START) {
        list_zip(file)
    } else if start == OLD_START {
        list_old(file)
    } else {
        Err(anyhow!("it does not start as a PyTorch checkpoint does"))
    };
    listed.map_err(|error| damaged(path, &format!("{error:#}")))
}

fn list_zip(file: File) -> Result<Vec<(String, Stored)>> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file))?;
    let is_pickle = |name: &&str| *name == "data.pkl" || name.ends_with("/data.pkl");
    let names = archive.file_names().collect::<std::result::Result<Vec<_>, _>>()?;
    let name = names.iter().map(AsRef::as_ref).find(is_pickle);
    let name = name.context("it holds no data.pkl")?.to_owned();

    // Read to the end first, so that its checksum is compared before a byte of it is believed.
    let mut bytes = Vec::new();
    archive.by_name(&name)?.read_to_end(&mut bytes)?;
    let windows = windows(&unpickle(&mut bytes.as_slice())?)?;

    let folder = name.strip_suffix(".pkl").expect("found by that suffix");
    let mut listed = Vec::new();
    for (name, window) in windows {
        let entry = format!("{folder}/{}", window.storage.key);
        let length = archive.by_name(&entry).with_context(|| format!("entry `{entry}`"))?.size();
        let stored = window.stored(|skip| Location::ZipEntry { name: entry, skip });
        ensure!(length >= window.end(), "tensor `{name}` reaches beyond its storage");
        listed.push((name, stored));
    }
    Ok(listed)
}

/// Magic, version, system, dictionary, storage keys: five pickles; then each storage's length and bytes.
fn list_old(mut file: File) -> Result<Vec<(String, Stored)>> {
    let file_length = file.metadata()?.len();
    file.rewind()?;
    let mut reader = BufReader::new(file);
    reader.seek_relative(OLD_START.len() as i64)?;
    let _version = unpickle(&mut reader)?;
    let _system = unpickle(&mut reader)?;
    let windows = windows(&unpickle(&mut reader)?)?;
    let Object::List(keys) = unpickle(&mut reader)? else { bail!("it lists no storages") };

    let widths: BTreeMap<&str, u64> = windows
        .iter()
        .map(|(_, window)| (window.storage.key.as_str(), window.storage.width()))
        .collect();
    let mut starts = BTreeMap::new();
    for key in &keys {
        let key = text(key).context("a storage without a name")?;
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

    windows
        .into_iter()
        .map(|(name, window)| {
            let start = starts.get(&window.storage.key).context("a tensor without a storage")?;
            let stored = window.stored(|skip| Location::Offset(start + skip));
            Ok((name, stored))
        })
        .collect()
}

fn unpickle(reader: &mut impl BufRead) -> Result<Object> {
    let mut stack = Stack::empty();
    stack.read_loop(reader)?;
    Ok(stack.finalize()?)
}

fn read_u64(reader: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The tensors of a state dictionary, without its other entries (`_metadata`).
fn windows(state: &Object) -> Result<Vec<(String, Window)>> {
    let Object::Dict(entries) = state else { bail!("it holds no dictionary of tensors") };
    let mut windows = Vec::new();
    for (name, value) in entries {
        let (Some(name), Object::Reduce { .. }) = (text(name), value) else { continue };
        let window = window(value).with_context(|| format!("tensor `{name}` is not understood"))?;
        ensure!(window.fits(), "tensor `{name}` reaches beyond its storage");
        windows.push((name.to_owned(), window));
    }
    Ok(windows)
}

/// `_rebuild_tensor_v2(storage, offset, size, stride, ...)`, which a parameter wraps once more.
fn window(value: &Object) -> Option<Window> {
    let Object::Reduce { callable, args } = value else { return None };
    let Object::Class { module_name, class_name } = &**callable else { return None };
    let args = tuple(args)?;
    match (module_name.as_str(), class_name.as_str()) {
        ("torch._utils", "_rebuild_parameter") => window(args.first()?),
        ("torch._utils", "_rebuild_tensor_v2") => Some(Window {
            storage: storage(args.first()?)?,
            offset: integer(args.get(1)?)?,
            shape: sizes(args.get(2)?)?,
            strides: sizes(args.get(3)?)?,
        }),
        _ => None,
    }
}

/// The persistent id `("storage", class, key, device, elements)`.
fn storage(value: &Object) -> Option<Storage> {
    let Object::PersistentLoad(id) = value else { return None };
    let [_, Object::Class { class_name, .. }, key, _, elements, ..] = tuple(id)? else {
        return None;
    };
    Some(Storage {
        key: text(key)?.to_owned(),
        class: class_name.clone(),
        elements: integer(elements)?,
    })
}

fn tuple(value: &Object) -> Option<&[Object]> {
    if let Object::Tuple(items) = value { Some(items) } else { None }
}

fn text(value: &Object) -> Option<&str> {
    if let Object::Unicode(text) = value { Some(text) } else { None }
}

fn integer(value: &Object) -> Option<u64> {
    match value {
        Object::Int(number) => u64::try_from(*number).ok(),
        Object::Long(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn sizes(value: &Object) -> Option<Vec<usize>> {
    tuple(value)?.iter().map(|size| integer(size)?.try_into().ok()).collect()
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
            "HalfStorage" => NumberFormat::F16,
            "BFloat16Storage" => NumberFormat::Bf16,
            other => NumberFormat::Unusable(other.to_owned()),
        }
    }
}

impl Window {
    fn fits(&self) -> bool {
        let count = self.shape.iter().try_fold(1_u64, |all, &size| all.checked_mul(size as u64));
        let end = count.and_then(|count| count.checked_add(self.offset));
        end.is_some_and(|end| end <= self.storage.elements)
            && self.storage.elements.checked_mul(self.storage.width()).is_some()
    }

    /// The byte of the storage at which the tensor ends.
    fn end(&self) -> u64 {
        (self.offset + self.shape.iter().product::<usize>() as u64) * self.storage.width()
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        self.shape.len() == self.strides.len()
            && self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }

    fn stored(&self, location: impl FnOnce(u64) -> Location) -> Stored {
        let format = if self.is_row_major() {
            self.storage.format()
        } else {
            NumberFormat::Unusable("a view that is not row-major".to_owned())
        };
        let skip = self.offset * self.storage.width();
        Stored { shape: self.shape.clone(), format, location: location(skip) }
    }
}
