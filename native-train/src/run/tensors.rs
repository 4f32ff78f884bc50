//! Safetensors files whose metadata holds a digest of everything else, as a number with a flipped bit
//! looks like any other number.
//!
//! They are not written by the format's library, which orders metadata at random, so that the same
//! training would give other bytes, and needs the whole file in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::files::{self, damaged, write_atomically};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The metadata of a safetensors file.
pub type Metadata = BTreeMap<String, String>;

const METADATA: &str = "__metadata__";
const DIGEST: &str = "xxh3";

/// The alignment of the values, in bytes.
const ALIGNMENT: usize = 8;

/// Values encoded at a time.
const PIECE: usize = 1 << 14;

/// Writes f32 tensors, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, mut metadata: Metadata, tensors: &Tensors) -> Result<()> {
    let digest = digest(&metadata, tensors)?;
    metadata.insert(DIGEST.to_owned(), digest);
    let (header, bytes) = header(&metadata, tensors);
    write_atomically(path, |output| {
        output.expect_bytes(8 + (header.len() + bytes) as u64);
        output.write_all(&(header.len() as u64).to_le_bytes())?;
        output.write_all(header.as_bytes())?;
        for tensor in tensors.values() {
            in_pieces(tensor, |bytes| Ok(output.write_all(bytes)?))?;
        }
        Ok(())
    })
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// If the file cannot be read, or is not what was written, to the bit.
pub fn read(path: &Path) -> Result<(Metadata, Tensors)> {
    let bytes = files::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(path, error))?;
    let metadata: Metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| damaged(path, error))?;
    let tensors = tensors.into_iter().collect();
    compare(path, &metadata, &tensors)?;
    Ok((metadata, tensors))
}

/// Checks that `tensors`, which were read from `path` by other means, are those that were written.
///
/// A file that another program wrote has no digest and is not checked.
///
/// # Errors
/// If they differ.
pub fn check(path: &Path, tensors: &Tensors) -> Result<()> {
    let metadata = read_metadata(path)?;
    if metadata.contains_key(DIGEST) { compare(path, &metadata, tensors) } else { Ok(()) }
}

fn compare(path: &Path, metadata: &Metadata, tensors: &Tensors) -> Result<()> {
    let mut others = metadata.clone();
    let written = others.remove(DIGEST);
    if written == Some(digest(&others, tensors)?) {
        return Ok(());
    }
    Err(damaged(path, "its values are not those that were written"))
}

fn read_metadata(path: &Path) -> Result<Metadata> {
    let cannot_read = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).with_context(cannot_read)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).with_context(cannot_read)?;
    let header = file.take(u64::from_le_bytes(length));
    let mut header: Map<String, Value> =
        serde_json::from_reader(header).map_err(|error| damaged(path, error))?;
    let metadata = header.remove(METADATA).unwrap_or_else(|| json!({}));
    serde_json::from_value(metadata).map_err(|error| damaged(path, error))
}

/// The header, and the number of bytes that follow it.
fn header(metadata: &Metadata, tensors: &Tensors) -> (String, usize) {
    let mut entries = Map::new();
    entries.insert(METADATA.to_owned(), json!(metadata));
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += size_of::<f32>() * tensor.elem_count();
        let entry = json!({ "dtype": "F32", "shape": tensor.dims(), "data_offsets": [start, end] });
        entries.insert(name.clone(), entry);
    }
    let mut header = Value::Object(entries).to_string();
    while !header.len().is_multiple_of(ALIGNMENT) {
        header.push(' ');
    }
    (header, end)
}

fn digest(metadata: &Metadata, tensors: &Tensors) -> Result<String> {
    let mut digest = Xxh3::new();
    digest.update(json!(metadata).to_string().as_bytes());
    for (name, tensor) in tensors {
        digest.update(json!([name, tensor.dims()]).to_string().as_bytes());
        in_pieces(tensor, |bytes| {
            digest.update(bytes);
            Ok(())
        })?;
    }
    Ok(format!("{:016x}", digest.digest()))
}

/// Passes the bytes of a tensor's values to `take`, piece by piece.
fn in_pieces(tensor: &Tensor, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let mut bytes = Vec::with_capacity(size_of::<f32>() * PIECE);
    for piece in values.chunks(PIECE) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
        take(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tensors() -> Tensors {
        let tensor = |values: &[f32], shape: &[usize]| {
            Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
        };
        [
            ("b.weight".to_owned(), tensor(&[1.0, -2.5, 3.0, 4.0, 5.0, 0.1], &[2, 3])),
            ("a.bias".to_owned(), tensor(&[0.25], &[1])),
        ]
        .into()
    }

    fn metadata() -> Metadata {
        [("format", "pt"), ("by", "a test")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn what_is_written_reads_back_here_and_by_the_formats_library() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&path, metadata(), &tensors()).unwrap();
        let (read_metadata, read_tensors) = read(&path).unwrap();
        assert_eq!(read_metadata["format"], "pt");
        assert_eq!(read_tensors["b.weight"].to_vec2::<f32>().unwrap()[1], [4.0, 5.0, 0.1]);
        check(&path, &tensors()).unwrap();

        let bytes = fs::read(&path).unwrap();
        let theirs = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.tensor("b.weight").unwrap().shape(), [2, 3]);
        assert_eq!(theirs.tensor("a.bias").unwrap().data(), 0.25_f32.to_le_bytes());
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        assert_eq!(header % ALIGNMENT, 0);

        write(&path, metadata(), &tensors()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes, "the same tensors give the same bytes");
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&path, metadata(), &tensors()).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(read(&path).is_err(), "cut off after {at} bytes");
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(read(&path).is_err(), "flipped byte {at}");
        }
    }

    #[test]
    fn a_file_of_another_program_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        candle_core::safetensors::save(&tensors().into_iter().collect(), &path).unwrap();
        check(&path, &tensors()).unwrap();
        assert!(read(&path).is_err(), "where a digest is asked for, there must be one");
    }
}
