//! The tensors of a `.safetensors` file, listed from its header alone.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::foreign;
use super::stored::{Location, NumberFormat, Stored, damaged};

/// The file opens with the length of its header.
const LENGTH_BYTES: u64 = 8;

/// The limit of the format's own library.
const LONGEST_HEADER: u64 = 100_000_000;

/// The tensors by name.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn list(path: &Path) -> Result<Vec<(String, Stored)>> {
    let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let file_length = file.metadata()?.len();
    let header = read_header(&mut file).map_err(|error| other_or_damaged(path, &error))?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| damaged(path, &error.to_string()))?;

    let data_start = LENGTH_BYTES + header.len() as u64;
    let expected_length = data_start + metadata.data_len() as u64;
    if file_length != expected_length {
        let what = format!("its header asks for {expected_length} bytes, it has {file_length}");
        return Err(damaged(path, &what));
    }
    let stored = metadata.tensors().into_iter().map(|(name, info)| {
        let location = Location::Offset(data_start + info.data_offsets.0 as u64);
        let shape = info.shape.clone();
        (name, Stored { shape, strides: None, format: format(info.dtype), location })
    });
    Ok(stored.collect())
}

/// The error for a file without a header: it may be of another format.
fn other_or_damaged(path: &Path, error: &io::Error) -> anyhow::Error {
    let mut start = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(4).read_to_end(&mut start);
    }
    if start == b"PK\x03\x04" || start.starts_with(&[0x80, 2]) {
        let what = "a PyTorch checkpoint in spite of its name";
        return foreign::other_format(path, what, "pytorch_model.bin").into();
    }
    match foreign::by_content(path) {
        Some(foreign) => foreign.into(),
        None => damaged(path, &error.to_string()),
    }
}

fn read_header(file: &mut File) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(io::Error::other("it does not start with a safetensors header"));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    if header.len() as u64 == length {
        Ok(header)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn format(dtype: Dtype) -> NumberFormat {
    match dtype {
        Dtype::F32 => NumberFormat::F32,
        Dtype::F64 => NumberFormat::F64,
        Dtype::F16 => NumberFormat::F16,
        Dtype::BF16 => NumberFormat::Bf16,
        other => NumberFormat::Unusable(other.to_string()),
    }
}
