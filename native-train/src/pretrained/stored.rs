//! A tensor in its file: where its bytes are, and how to decode them.
//!
//! Values are decoded piece by piece straight into f32, so that a file and its tensors are never in
//! memory together.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use shared::quant::QuantizedMatrix;

use crate::error::UserError;

/// Bytes decoded at a time; a multiple of every format's width.
const PIECE: usize = 1 << 16;

/// A tensor in its file.
#[derive(Debug, Clone)]
pub struct Stored {
    pub shape: Vec<usize>,
    /// The numbers from one element to the next in each dimension; `None` if they lie row by row without gaps.
    pub strides: Option<Vec<usize>>,
    pub format: NumberFormat,
    pub location: Location,
}

/// The format of a stored number.
#[derive(Debug, Clone, PartialEq)]
pub enum NumberFormat {
    F32,
    /// Rounded to f32 as it is read.
    F64,
    F16,
    Bf16,
    /// A format that no parameter has, by its name. It matters only if the model asks for the tensor.
    Unusable(String),
}

/// The place of a tensor's bytes.
#[derive(Debug, Clone)]
pub enum Location {
    /// Begins at this byte of the file.
    Offset(u64),
    /// Lies in this entry of a zip archive, after `skip` bytes of it.
    ZipEntry { name: String, skip: u64 },
    /// Is within this program: [rows, what the other dimensions come to].
    Memory(Arc<QuantizedMatrix>),
}

impl Stored {
    /// The values of some rows.
    pub fn read(&self, path: &Path, rows: Range<usize>) -> io::Result<Vec<f32>> {
        if let Location::Memory(matrix) = &self.location {
            let mut values = vec![0.0; rows.len() * matrix.shape()[1]];
            matrix.slice_rows(rows).add_to(&mut values);
            return Ok(values);
        }
        let Some(strides) = &self.strides else {
            let width: usize = self.shape.iter().skip(1).product();
            return self.read_numbers(path, rows.start * width, rows.len() * width);
        };
        if self.shape.contains(&0) {
            return Ok(Vec::new());
        }
        let last = self.shape.iter().zip(strides).map(|(size, stride)| (size - 1) * stride);
        let numbers = self.read_numbers(path, 0, last.sum::<usize>() + 1)?;
        let (first, others) = (strides.first().copied().unwrap_or(0), self.shape.iter().skip(1));
        let mut places: Vec<usize> = rows.map(|row| row * first).collect();
        for (&size, &stride) in others.zip(strides.iter().skip(1)) {
            let steps = |place: usize| (0..size).map(move |step| place + step * stride);
            places = places.into_iter().flat_map(steps).collect();
        }
        Ok(places.into_iter().map(|place| numbers[place]).collect())
    }

    /// So many numbers after the first `before`, as they lie in the file.
    fn read_numbers(&self, path: &Path, before: usize, count: usize) -> io::Result<Vec<f32>> {
        let number_bytes = match self.format {
            NumberFormat::F64 => 8,
            NumberFormat::F32 => 4,
            _ => 2,
        };
        let before = (before * number_bytes) as u64;
        let mut file = File::open(path)?;
        match &self.location {
            Location::Offset(offset) => {
                file.seek(SeekFrom::Start(*offset + before))?;
                self.decode(&mut file, number_bytes, count)
            }
            Location::ZipEntry { name, skip } => {
                let mut archive = zip::ZipArchive::new(io::BufReader::new(file))?;
                let mut entry = archive.by_name(name)?;
                io::copy(&mut entry.by_ref().take(*skip + before), &mut io::sink())?;
                let values = self.decode(&mut entry, number_bytes, count)?;
                // The checksum is compared at the entry's end only.
                io::copy(&mut entry, &mut io::sink())?;
                Ok(values)
            }
            Location::Memory(_) => unreachable!("read before"),
        }
    }

    fn decode(
        &self,
        reader: &mut impl Read,
        number_bytes: usize,
        count: usize,
    ) -> io::Result<Vec<f32>> {
        let mut values = Vec::with_capacity(count);
        let mut piece = vec![0; PIECE.min(count * number_bytes)];
        while values.len() < count {
            let bytes = &mut piece[..PIECE.min((count - values.len()) * number_bytes)];
            reader.read_exact(bytes)?;
            match self.format {
                NumberFormat::F32 => values.extend(numbers(bytes, f32::from_le_bytes)),
                NumberFormat::F64 => {
                    values.extend(numbers(bytes, |b| f64::from_le_bytes(b) as f32));
                }
                NumberFormat::F16 => {
                    values.extend(numbers(bytes, |b| half::f16::from_le_bytes(b).to_f32()));
                }
                NumberFormat::Bf16 => {
                    values.extend(numbers(bytes, |b| half::bf16::from_le_bytes(b).to_f32()));
                }
                NumberFormat::Unusable(_) => unreachable!("rejected before it is read"),
            }
        }
        Ok(values)
    }
}

fn numbers<const WIDTH: usize>(
    bytes: &[u8],
    decode: impl Fn([u8; WIDTH]) -> f32,
) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().map(move |&number| decode(number))
}

/// The error for a file that is not what its name says.
pub fn damaged(path: &Path, what: &str) -> anyhow::Error {
    if is_lfs_pointer(path) {
        return UserError::new(format!(
            "`{}` is a Git LFS pointer, not the file itself",
            path.display()
        ))
        .hint("run `git lfs pull` in the folder, or download the file from the hub's page")
        .into();
    }
    UserError::new(format!("`{}` is truncated or damaged: {what}", path.display()))
        .hint("copy or download the file again")
        .into()
}

fn is_lfs_pointer(path: &Path) -> bool {
    const START: &[u8] = b"version https://git-lfs";
    let mut start = [0; START.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == START
}
