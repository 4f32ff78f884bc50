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

use anyhow::{Context, Result, anyhow, ensure};

use super::foreign;
use super::state_dict::{Named, StateDict, storages, tensors};
use super::stored::{Location, Stored, damaged};
use super::unpickle::Pickle;
use crate::error::UserError;

const ZIP_START: &[u8] = b"PK\x03\x04";

/// The pickle of 0x1950a86a20f9469cfc6c, with which the older format begins.
const OLD_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";
/// The bytes in which a pickle of another protocol differs there: its number, and a frame before the number.
const OLD_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The tensors of a file.
pub struct Listed {
    pub tensors: Vec<(String, Stored)>,
    /// The entries that lead to the tensors, outermost first; none if they lie at the top.
    pub entries: Vec<String>,
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
    let StateDict { tensors, entries } = tensors(path, &pickle)?;

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
    for (name, named) in tensors {
        let Named::Tensor(window) = named else {
            listed.push((name, named.unusable()));
            continue;
        };
        let entry = format!("{folder}data/{}", window.key());
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
    let StateDict { tensors, entries } = tensors(path, &pickle)?;
    let keys = Pickle::read(&mut reader)?;

    let widths: BTreeMap<String, u64> = storages(&pickle).collect();
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
    for (name, named) in tensors {
        let Named::Tensor(window) = named else {
            listed.push((name, named.unusable()));
            continue;
        };
        let start = starts.get(window.key()).context("a tensor without a storage")?;
        listed.push((name, window.stored(|skip| Location::Offset(start + skip))));
    }
    Ok(Listed { tensors: listed, entries })
}

fn read_u64(reader: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
